"""The gRPC port: opened beside the HTTP port, drained and closed with it."""

import asyncio
import contextlib
import logging

from modelfleet_contract import Batching
from modelfleet_runtime.errors import Limit
from modelfleet_runtime.grpc.methods import Methods
from modelfleet_runtime.grpc.rpc import Handler, Rpc
from modelfleet_runtime.http2 import frames
from modelfleet_runtime.http2.connection import Connection, Opened
from modelfleet_runtime.http2.heads import Head
from modelfleet_runtime.server import listen
from modelfleet_runtime.service import Service

log = logging.getLogger("modelfleet.grpc")

CONTENT_TYPE = b"application/grpc"
_NOT_POST = frames.literal(b":status", b"405")
_NOT_GRPC = frames.literal(b":status", b"415")


class GrpcServer:
    """Make it inside the running loop."""

    def __init__(self, service: Service, batching: Batching) -> None:
        self._service = service
        self._methods = Methods(service, batching)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """The port, which is another one where 0 was asked. Raises `CannotServe`."""
        sock = listen(host, port, flag=None)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self._connection(loop), sock=sock)
        found: int = sock.getsockname()[1]
        return found

    def _connection(self, loop: asyncio.AbstractEventLoop) -> Connection:
        service = self._service
        full = len(self._connections) >= service.limits.connections
        if full:
            service.metrics.limited(Limit.CONNECTIONS)
        return Connection(self._open, service.bodies, self._connections, loop, full)

    def changed(self) -> None:
        """The server became ready, or was told to stop."""
        self._methods.health.changed()
        life = self._service.life
        if life.ready:
            self._methods.prepare()
        if life.draining:
            for connection in list(self._connections):
                connection.drain()

    async def stop(self, patience: float) -> None:
        """Take no more calls; those that are open have `patience` seconds."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close()
        gone = [connection.gone.wait() for connection in self._connections]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*gone)
        for connection in list(self._connections):
            connection.abort()

    def _open(self, head: Head) -> Opened | bytes:
        if head.method != b"POST":
            return _NOT_POST
        headers = head.headers
        if not headers.get(b"content-type", b"").startswith(CONTENT_TYPE):
            return _NOT_GRPC
        bounds, start = self._methods.find(head.path)

        def handler(rpc: Rpc) -> Handler:
            return start(headers, rpc)

        return Opened(bounds, handler)
