"""A call with one message and one answer that is there at once."""

import logging
from collections.abc import Callable

from modelfleet_runtime.errors import Refusal, UnsupportedEncoding
from modelfleet_runtime.grpc.patient import Patient
from modelfleet_runtime.grpc.rpc import Metadata, Rpc
from modelfleet_runtime.protocols.grpc.statuses import Status, status_of
from modelfleet_runtime.service import Service

log = logging.getLogger("modelfleet.grpc")


class Once(Patient):
    __slots__ = ("_message", "_method", "_rpc")
    full = False

    def __init__(
        self, service: Service, method: Callable[[bytes], bytes], _: Metadata, rpc: Rpc
    ) -> None:
        """`method` raises `Refusal`."""
        super().__init__(service)
        self._method = method
        self._rpc = rpc
        self._message = b""

    def waits(self) -> None:
        self._wait()

    def message(self, message: bytes, compressed: bool) -> None:
        if compressed:
            self.refuse(UnsupportedEncoding("this method takes no compressed messages"))
        self._message = message

    def half_closed(self) -> None:
        self._wait_no_longer()
        try:
            answer = self._method(self._message)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception:  # a bug of ours, and no reason to leave the client without an answer
            log.exception("a call failed")
            self._rpc.finish(Status.INTERNAL, "the server failed; its log has the details")
        else:
            self._rpc.send(answer)
            self._rpc.finish(Status.OK)

    def refuse(self, refusal: Refusal) -> None:
        self._wait_no_longer()
        self._rpc.finish(status_of(refusal), refusal.message)

    def cancelled(self) -> None:
        self._wait_no_longer()

    def drained(self) -> None: ...
