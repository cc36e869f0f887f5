"""uvicorn, started and stopped on our terms.

Its own signal handling closes the door at the first SIGTERM and kills at the second SIGINT; here
the drain decides when the door closes, so uvicorn never sees a signal.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator
from functools import partial

import uvicorn

from modelfleet_contract import FailureReason
from modelfleet_runtime.app import App
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.http.bounds import BoundedConnection
from modelfleet_runtime.http.connection import Connection
from modelfleet_runtime.service import Service
from modelfleet_runtime.settings import Settings

BACKLOG = 2048


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


def listen(host: str, port: int, flag: str | None = "--port") -> socket.socket:
    """Raises `CannotServe` where the port cannot be had; `flag` is named as what takes another."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        another = flag is not None and error.errno in (errno.EADDRINUSE, errno.EACCES)
        raise CannotServe(
            FailureReason.CRASHED,
            f"cannot listen on {host}:{port}: {error.strerror}"
            + (f"; {flag} takes another port" if another else ""),
        ) from error
    sock.setblocking(False)
    return sock


def make(app: App, settings: Settings) -> Server:
    return Server(
        uvicorn.Config(
            app,
            http=_protocol(app.service, settings),
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


def _protocol(service: Service, settings: Settings) -> type[asyncio.Protocol]:
    connection = BoundedConnection if settings.http == "asgi" else Connection
    # A partial is no class, and uvicorn only calls it.
    return partial(connection, service)  # type: ignore[return-value]
