"""uvicorn's HTTP/1.1 protocol, with bounds on what a client may keep it waiting for.

A request's head is bounded in bytes and in time, an idle connection in time, an answer that nobody
reads in time, and so is a body that was refused and still comes. In the usual case (a head in one
piece, an answer that is taken) none of them sets a timer.
"""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from modelfleet_runtime.errors import Limit
from modelfleet_runtime.http import upgrade
from modelfleet_runtime.http.paced import PacedConnection
from modelfleet_runtime.service import Service

HEAD_SECONDS = 30.0
"""From the first byte of a request until its headers are complete."""
REFUSED_BODY_SECONDS = 30.0
"""From an answer that did not wait for the body until the body's end."""
LARGEST_PIECE = 256 * 1024
"""Bytes that the event loop reads at once."""
STALL_SECONDS = 60.0
"""A client that takes none of its answer for so long is cut; it may take long to take all of it."""

_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: 53\r\n\r\n"
    b'{"error":"the server has as many connections as may"}'
)


class BoundedConnection(PacedConnection):
    def __init__(
        self,
        service: Service,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._service = service
        self._most_head_bytes = service.limits.head_bytes
        self._quiet_since = 0.0
        """When the connection became idle, as of the loop's time."""
        self._keep_alive_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        """Of a head that came in pieces, so far."""
        self._head_timer: asyncio.TimerHandle | None = None
        """Set while there is such a head."""
        self._heavy = False
        """The head that is being parsed may be too long."""
        self._too_long = False
        self._unreadable: str | None = None
        """Why the last request in the pipeline cannot be read: said when its turn comes."""
        self._trailer_bytes: int | None = None
        """Since the last chunk of a body began; None while it has not."""
        self._body_timer: asyncio.TimerHandle | None = None
        """Set while a body comes whose request was answered already."""
        self._write_timer: asyncio.Handle | None = None
        """Set while answers wait for the client to take them."""
        self._unsent_bytes = 0
        """Bytes that waited when that timer was set."""

    @property
    def answering(self) -> bool:
        """Whether a request has begun and is not answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._quiet_since = self.loop.time()
        self._keep_alive_timer = self.loop.call_later(self.timeout_keep_alive, self._look_if_idle)
        service = self._service
        service.metrics.connections.set(len(self.connections))
        if len(self.connections) > service.limits.connections:
            service.metrics.limited(Limit.CONNECTIONS)
            transport.write(_TOO_MANY)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._service.metrics.connections.set(len(self.connections))
        for timer in (
            self._keep_alive_timer, self._head_timer, self._body_timer, self._write_timer
        ):  # fmt: skip
            if timer is not None:
                timer.cancel()

    # -- an idle connection

    def _look_if_idle(self) -> None:
        """One timer for the connection's life: one for each request would cost more than parsing
        it. A request in progress has bounds of its own."""
        if self.transport.is_closing():
            return
        idle = not self.answering and not self._in_head and self._head_timer is None
        left: float = self.timeout_keep_alive
        if idle:
            left = self._quiet_since + self.timeout_keep_alive - self.loop.time()
            if left <= 0:
                self.transport.close()
                return
        self._keep_alive_timer = self.loop.call_later(left, self._look_if_idle)

    def on_response_complete(self) -> None:
        """As uvicorn's, but for its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._quiet_since = self.loop.time()
        if self._unreadable is not None and len(self.pipeline) == 1:
            self.pipeline.clear()
            super().send_400_response(self._unreadable)
            return
        if self.flow.read_paused:
            self.make_room()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.cycle.response_complete and self.cycle.more_body:
            self._body_timer = self.loop.call_later(REFUSED_BODY_SECONDS, self.transport.close)

    # -- a request's head, and a body that nobody waits for

    def read(self, data: bytes, idle: bool) -> None:
        """`idle`: between two messages, and all before is answered."""
        before = self.cycle
        self._heavy = self._head_bytes + len(data) > self._most_head_bytes
        size = self.parse(data, idle)
        if self._trailer_bytes is not None and not self.transport.is_closing():
            self._bound_trailers(size)
        # Line breaks before a request begin no message; they are part of its head all the same.
        nothing_else = idle and self.cycle is before
        if (self._in_head or nothing_else or self._head_timer) and not self.transport.is_closing():
            self._wait_for_head(size, nothing_else)

    def on_chunk_header(self) -> None:
        self._trailer_bytes = 0

    def on_chunk_complete(self) -> None:
        self._trailer_bytes = None

    def on_body(self, body: bytes) -> None:
        self._trailer_bytes = None  # that chunk was not the last
        super().on_body(body)

    def _bound_trailers(self, size: int) -> None:
        """The parser keeps a trailer until it is complete, as it does a header."""
        assert self._trailer_bytes is not None
        self._trailer_bytes += size
        # The first piece may have been body but for its end.
        if self._trailer_bytes > self._most_head_bytes + LARGEST_PIECE:
            self._trailer_bytes = None
            self._service.metrics.limited(Limit.HEAD)
            self.send_400_response("The trailers of the request are too long.")

    def between_messages(self) -> bool:
        """All that was begun is answered, and nothing of another request is there."""
        cycle = self.cycle
        return (
            not self._in_head
            and self._head_timer is None
            and (cycle is None or (cycle.response_complete and not cycle.more_body))
        )

    def _wait_for_head(self, size: int, nothing_else: bool) -> None:
        if self._head_timer is not None:
            self._head_bytes += size
        else:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
            # Where a message ended in the same piece, how much is the head's is not known.
            self._head_bytes = size if nothing_else else 0
        if self._head_bytes > self._most_head_bytes:
            self.refuse_head()

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.answering:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def refuse_head(self) -> None:
        self.deaf = True
        self._service.metrics.limited(Limit.HEAD)
        self._forget_head()
        if self.answering:
            self._answer_and_close()
            return
        text = b"The URL and headers of the request are too long."
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(text), text)
        )
        self.transport.close()

    def _answer_and_close(self) -> None:
        """What follows the last request cannot be read; that one still gets its answer."""
        self.cycle.keep_alive = False
        self.flow.pause_reading()

    def send_400_response(self, msg: str) -> None:
        self.deaf = True
        if self._too_long:
            self.refuse_head()
        elif not self.answering:
            super().send_400_response(msg)
        elif not self.cycle.more_body:
            self._answer_and_close()
        elif self.pipeline:
            self.spoil()
            self._unreadable = msg
        else:
            self.spoil()
            super().send_400_response(msg)

    def spoil(self) -> None:
        """The body of the last request cannot be read."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else it is a trailer, which must not pass for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.head_is_complete()
        if self.parser.should_upgrade():
            self.refuse_upgrade()
        else:
            super().on_headers_complete()

    def refuse_upgrade(self) -> None:
        """The parser takes what follows such a head for the other protocol, a body of the request
        as well. A proxy takes the body for a body, so nothing after the head may be read."""
        app, self.app = self.app, upgrade.refusing(self._service.limits)
        try:
            HttpToolsProtocol.on_headers_complete(self)
        finally:
            self.app = app

    def _unsupported_upgrade_warning(self) -> None:
        """Where the parser has stopped. It is the client's fault, and not worth a log line."""
        self.deaf = True

    def head_is_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._forget_head()
        if self._heavy:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._most_head_bytes:
                self._too_long = True
                raise ValueError("the head is too long")  # the parser ends, by send_400_response

    def on_message_complete(self) -> None:
        self.body_is_complete()
        super().on_message_complete()

    def body_is_complete(self) -> None:
        self.cycle.more_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None
            self._quiet_since = self.loop.time()

    # -- a client that does not read

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._write_timer is None:
            # Not at once: this is called amid the write of an answer.
            self._write_timer = self.loop.call_soon(self._watch_writing)

    def _watch_writing(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(STALL_SECONDS, self._cut_if_stalled)

    def _cut_if_stalled(self) -> None:
        if self.transport.get_write_buffer_size() == self._unsent_bytes:
            self.transport.abort()
        else:
            self._watch_writing()

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()
