"""One inference on a connection: its body comes in pieces, its answer goes out as bytes.

It stands where uvicorn has its `RequestResponseCycle`, so that a connection may carry requests of
both kinds, each answered in its turn.
"""

import asyncio
import time
from typing import Protocol

from modelfleet_runtime import incoming
from modelfleet_runtime.errors import BadInput, Refusal
from modelfleet_runtime.inference import Inference
from modelfleet_runtime.protocols.message import Answer
from modelfleet_runtime.service import Route, Service


class Carrier(Protocol):
    """The connection, as an exchange sees it."""

    loop: asyncio.AbstractEventLoop

    def write_answer(self, exchange: "Exchange") -> None:
        """Its turn has come, and `exchange.answer` is there."""

    def write_continue(self) -> None:
        """The client waits for leave to send the body."""


class Exchange:
    __slots__ = (
        "_body_timer", "_carrier", "_expects_continue", "_limits", "_pieces", "_size", "_started",
        "answer", "disconnected", "head_only", "inference", "keep_alive", "more_body",
        "response_complete",
    )  # fmt: skip

    def __init__(
        self,
        carrier: Carrier,
        service: Service,
        route: Route,
        method: str,
        headers: dict[bytes, bytes],
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        self._carrier = carrier
        self._limits = service.limits
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self.head_only = method == "HEAD"
        self.answer: Answer | None = None
        self.more_body = True
        self.response_complete = False
        self.disconnected = False
        self._started = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._body_timer: asyncio.TimerHandle | None = None
        self.inference = Inference(service, route, method, headers, self._answered)

    @property
    def body_left(self) -> int:
        """Bytes that still come of an announced body; 0 if that is not known."""
        announced = self.inference.headers.get(b"content-length")
        if announced is None or not self.more_body or self.inference.ended:
            return 0
        return incoming.length(announced) - self._size

    def start(self) -> None:
        """The requests before it on this connection are answered."""
        self._started = True
        inference = self.inference
        if inference.ended:  # refused while it waited for its turn
            if self.answer is not None:
                self._write()
            return
        inference.begin()
        if inference.ended:
            return
        if not self.more_body:
            self._give_body()
            return
        # Here and not where a piece comes: perhaps none comes any more.
        left = inference.deadline - time.monotonic()
        self._body_timer = self._carrier.loop.call_later(max(0.001, left), self._body_is_late)
        if self._expects_continue and not self._pieces:
            self._expects_continue = False
            self._carrier.write_continue()

    def start_whole(self, body: bytes) -> None:
        """As `start`, with the body; none was told of before it."""
        self._started = True
        self.more_body = False
        inference = self.inference
        inference.begin()
        if inference.ended:
            return
        try:
            inference.share.hold(len(body))
        except Refusal as refusal:
            inference.refuse(refusal)
        else:
            inference.body(body)

    def add(self, piece: bytes) -> None:
        inference = self.inference
        if inference.ended:
            return
        self._size += len(piece)
        try:
            if self._size > self._limits.body_bytes:
                raise incoming.too_large(self._limits)
            inference.share.hold(self._size)
        except Refusal as refusal:
            self._pieces.clear()
            inference.refuse(refusal)
            return
        self._pieces.append(piece)

    def end_of_body(self) -> None:
        self.more_body = False
        if self._started and not self.inference.ended:
            self._give_body()

    def lost(self) -> None:
        """The client hung up."""
        self.disconnected = True
        self.inference.leave()

    def spoil(self) -> None:
        """Its body cannot be read, and the connection has said so."""
        self.disconnected = True
        self.inference.refuse(BadInput("the body cannot be read"))

    def _give_body(self) -> None:
        self._wait_no_longer()
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self.inference.body(body)

    def _wait_no_longer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _body_is_late(self) -> None:
        self._body_timer = None
        self.inference.refuse(incoming.late())

    def _answered(self, answer: Answer | None) -> None:
        self._wait_no_longer()
        self.answer = answer
        if answer is not None and self._started and not self.disconnected:
            self._write()

    def _write(self) -> None:
        if self.inference.last:
            self.keep_alive = False
        self._carrier.write_answer(self)
