"""ServerReflectionInfo: an answer to each message, as long as the client asks."""

from modelfleet_runtime.errors import Refusal, UnsupportedEncoding
from modelfleet_runtime.grpc.patient import Patient
from modelfleet_runtime.grpc.rpc import Metadata, Rpc
from modelfleet_runtime.protocols.grpc.reflection import Reflection
from modelfleet_runtime.protocols.grpc.statuses import Status, status_of
from modelfleet_runtime.service import Service

MOST_UNSENT = 1 << 20
"""Bytes of answers that the client has not taken; then its questions are not read."""


class Reflect(Patient):
    __slots__ = ("_reflection", "_rpc")

    def __init__(self, service: Service, reflection: Reflection, _: Metadata, rpc: Rpc) -> None:
        super().__init__(service)
        self._reflection = reflection
        self._rpc = rpc

    @property
    def full(self) -> bool:
        return self._rpc.unsent > MOST_UNSENT

    def waits(self) -> None:
        """The client may be silent for as long as it likes, but not within a message."""
        if self._rpc.partial and not self.full:
            self._wait()

    def message(self, message: bytes, compressed: bool) -> None:
        self._wait_no_longer()
        if compressed:
            self.refuse(UnsupportedEncoding("this method takes no compressed messages"))
            return
        try:
            answer = self._reflection.answer(message)
        except Refusal as refusal:
            self.refuse(refusal)
        else:
            self._rpc.send(answer)

    def half_closed(self) -> None:
        self._wait_no_longer()
        self._rpc.finish(Status.OK)

    def refuse(self, refusal: Refusal) -> None:
        self._wait_no_longer()
        self._rpc.finish(status_of(refusal), refusal.message)

    def cancelled(self) -> None:
        self._wait_no_longer()

    def drained(self) -> None:
        self._wait_no_longer()
        self._rpc.finish(Status.UNAVAILABLE, "the server is shutting down")
