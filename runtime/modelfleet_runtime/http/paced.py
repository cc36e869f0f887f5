"""uvicorn's HTTP/1.1 protocol, with a bound on the requests that a client sends ahead.

Those that wait for the answers before theirs have been read, and are objects. What comes when
`MOST_WAITING` of them wait stays as it came, and no more of it is taken from the socket.
"""

import asyncio
from abc import abstractmethod
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MOST_WAITING = 16
"""Requests that may wait on one connection for the answers before theirs; the next are not read."""

HEAD_ENDS = b"\r\n\r\n"
FEW_BYTES = 256
"""No more than 15 requests have room in them: the shortest takes 18."""

MORE_FOLLOW = "more_follow"
"""In a request's `scope["state"]`: a function that says whether others wait behind it."""


class _Flow(FlowControl):
    held = False
    """An application that waits for its client asks to read on. It is not heard then."""

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class PacedConnection(HttpToolsProtocol):
    cycle: Any  # uvicorn's own, or one that stands in its place
    flow: _Flow

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # What the ASGI application sees of the connection, as `scope["state"]`.
        super().__init__(config, server_state, app_state | {MORE_FOLLOW: self.more_follow}, _loop)
        self._in_head = False
        """A request has begun whose headers are not complete."""
        self.deaf = False
        """Nothing more can be read as a request; what was read is answered."""
        self._ahead = b""
        """What came and is not read yet. While there is some, reading is paused."""
        self._reads_ahead_soon = False
        self._shut = False
        """The connection is to end, once what came ahead is answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)

    @abstractmethod
    def between_messages(self) -> bool:
        """All that was begun is answered, and nothing of another request is there."""

    @abstractmethod
    def read(self, data: bytes, idle: bool) -> None:
        """Some bytes, by `parse`. `idle`: before them it was between messages."""

    def body_left(self) -> int:
        """Bytes that are of the body that comes, whatever they look like; 0: it is not known."""
        return 0

    def more_follow(self) -> bool:
        """Whether requests wait for the answers before theirs."""
        return bool(self.pipeline or self._ahead)

    def data_received(self, data: bytes) -> None:
        if self._ahead:
            self._ahead += data
        elif not self.deaf:
            self.read(data, self.between_messages())

    def parse(self, data: bytes, idle: bool) -> int:
        """As much as there is room for; the rest stays ahead. How many bytes that was.

        A piece may hold thousands of requests, and the parser stops only at the end of what it is
        given. So it is given parts in which no more than one head ends.
        """
        start, size = 0, len(data)
        if not self.pipeline:
            if size <= FEW_BYTES:
                super().data_received(data)
                return size
            if idle:
                # Nearly always a head and its body.
                start = data.find(HEAD_ENDS) + len(HEAD_ENDS)
                if size - start <= FEW_BYTES or start < len(HEAD_ENDS):
                    super().data_received(data)
                    return size
                super().data_received(data[:start])
        while start < size and not self.deaf:
            left = self.body_left()
            if left == 0 and len(self.pipeline) >= MOST_WAITING:
                self.hold(data[start:])
                return start
            if left:
                end = min(start + left, size)
            else:
                found = data.find(HEAD_ENDS, start)
                end = size if found < 0 else found + len(HEAD_ENDS)
            # A view: a large body is not copied for this.
            super().data_received(memoryview(data)[start:end])  # type: ignore[arg-type]
            start = end
        return size

    # -- what came ahead of its turn

    def hold(self, data: bytes) -> None:
        self._ahead = data
        self.flow.pause_reading()
        self.flow.held = True

    def make_room(self) -> None:
        if not self._ahead:
            self.flow.resume_reading()
        elif not self._reads_ahead_soon and len(self.pipeline) <= MOST_WAITING // 2:
            # Not at once: this is called amid the start of what waits.
            self._reads_ahead_soon = True
            self.loop.call_soon(self._read_ahead)

    def _read_ahead(self) -> None:
        self._reads_ahead_soon = False
        if self.transport.is_closing():
            return
        data, self._ahead = self._ahead, b""
        self.flow.held = False
        if not self.deaf:
            self.read(data, self.between_messages())
        if self._ahead:
            return
        if len(self.pipeline) < MOST_WAITING:
            self.flow.resume_reading()
        if self._shut:
            super().shutdown()

    def shutdown(self) -> None:
        if self._ahead:
            self._shut = True
        else:
            super().shutdown()
