"""One call, as the transport and its handler see each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelfleet_runtime.errors import Limit, Refusal, TooLarge
from modelfleet_runtime.protocols.grpc.statuses import Status

Metadata = dict[bytes, bytes]
"""Names in lower case; of a repeated one the last."""


class Rpc(Protocol):
    """The transport's side. All methods are called on the loop's thread."""

    unsent: int
    """Bytes of answers that the client has not made room for."""

    @property
    def partial(self) -> bool:
        """Whether there is a message that was not taken: a part of one, or all of it while the
        handler is full."""

    def answer(
        self,
        message: bytes,
        tail: Sequence[memoryview],
        request_id: bytes,
        metadata: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """The one message of the answer (`message` and `tail` together), and that all is well.
        `metadata` goes before it, with the request's id."""

    def send(self, message: bytes) -> None:
        """One of several messages."""

    def finish(
        self, status: Status, detail: str = "", trailers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """The call is over. What comes from the client is ignored from now on."""

    def read_on(self) -> None:
        """The handler is no longer full."""


class Handler(Protocol):
    """What answers one call. None of these raises."""

    @property
    def full(self) -> bool:
        """Whether it wants no message now; it calls `Rpc.read_on` when it does."""

    def message(self, message: bytes, compressed: bool) -> None:
        """A message has arrived."""

    def half_closed(self) -> None:
        """All messages have arrived."""

    def waits(self) -> None:
        """There is more to come of a message, or a first one to come."""

    def refuse(self, refusal: Refusal) -> None:
        """What arrives cannot be taken; the handler finishes the call with it."""

    def cancelled(self) -> None:
        """The client gave up, or its connection is gone. Nothing can be sent any more."""

    def drained(self) -> None:
        """The process ends; a call that would go on for ever is finished now."""


class _Over:
    full = False

    def message(self, message: bytes, compressed: bool) -> None: ...

    def half_closed(self) -> None: ...

    def waits(self) -> None: ...

    def refuse(self, refusal: Refusal) -> None: ...

    def cancelled(self) -> None: ...

    def drained(self) -> None: ...


OVER: Handler = _Over()
"""Of a call that has ended. A call and its own handler hold each other, which only the
interpreter's collector could part again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """On what a call may send."""

    message_bytes: int
    """One message, before it is decompressed."""
    messages: int | None
    """How many messages the call has; None for any number."""


def too_large(bounds: Bounds) -> TooLarge:
    return TooLarge(f"a message is larger than {bounds.message_bytes} bytes", Limit.BODY)
