"""uvicorn, started and stopped on our terms.

Its own signal handling closes the door at the first SIGTERM and kills at the second SIGINT; here
the drain decides when the door closes, so uvicorn never sees a signal.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from modelfleet_contract import FailureReason
from modelfleet_runtime.app import App
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.settings import Settings

BACKLOG = 2048
HEAD_BYTES = 64 * 1024
"""Of a request's URL and headers."""
HEAD_SECONDS = 30.0
"""From the first byte of a request until its headers are complete."""


class Connection(HttpToolsProtocol):
    """uvicorn's, with bounds on a request's head and on the wait for it.

    A head nearly always comes in one piece; then nothing here sets a timer or counts.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head = False
        self._head_bytes = 0
        """Of a head that came in pieces, so far."""
        self._head_timer: asyncio.TimerHandle | None = None
        """Set while there is such a head."""
        self._heavy = False
        """The head that is being parsed may be too long."""
        self._too_long = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn sets this only after an answer.
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._forget_head()

    def data_received(self, data: bytes) -> None:
        idle = self.timeout_keep_alive_task is not None
        before = self.cycle
        self._heavy = self._head_bytes + len(data) > HEAD_BYTES
        super().data_received(data)
        # Line breaks before a request begin no message; they are part of its head all the same.
        nothing_else = idle and self.cycle is before
        if (self._in_head or nothing_else or self._head_timer) and not self.transport.is_closing():
            self._wait_for_head(len(data), nothing_else)

    def _wait_for_head(self, size: int, nothing_else: bool) -> None:
        if self._head_timer is not None:
            self._head_bytes += size
        else:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)
            # Where a message ended in the same piece, how much is the head's is not known.
            self._head_bytes = size if nothing_else else 0
        if self._head_bytes > HEAD_BYTES:
            self._refuse_head()

    def _forget_head(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        if self._answering():
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse_head(self) -> None:
        self._forget_head()
        if not self._answering():
            text = b"The URL and headers of the request are too long."
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(text), text)
            )
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        if self._too_long:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._forget_head()
        if self._heavy:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > HEAD_BYTES:
                self._too_long = True
                raise ValueError("the head is too long")  # the parser ends, by send_400_response
        super().on_headers_complete()


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(settings: Settings) -> socket.socket:
    """Raises `CannotServe` where the port cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((settings.host, settings.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotServe(
            FailureReason.CRASHED,
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
        ) from error
    sock.setblocking(False)
    return sock


def make(app: App, settings: Settings) -> Server:
    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=settings.keep_alive_seconds,
        )
    )
