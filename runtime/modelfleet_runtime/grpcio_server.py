"""The gRPC port on grpcio's server: the fallback, which answers the same at a quarter of the speed.

For a client that the port's own HTTP/2 does not get along with. It needs the package grpcio.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc

from modelfleet_contract import Batching, FailureReason
from modelfleet_runtime import incoming
from modelfleet_runtime.errors import BadInput, CannotServe
from modelfleet_runtime.grpc import metadata
from modelfleet_runtime.grpc.methods import Methods
from modelfleet_runtime.grpc.rpc import Bounds, Metadata, too_large
from modelfleet_runtime.protocols.grpc.statuses import Status
from modelfleet_runtime.service import Service

log = logging.getLogger("modelfleet.grpc")

STREAMS = 1024
"""Calls that may be open at once on one connection."""
HEAD_BYTES = 64 * 1024
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcioServer:
    """As `GrpcServer`. Make it inside the running loop."""

    def __init__(self, service: Service, batching: Batching) -> None:
        self._service = service
        self._methods = Methods(service, batching)
        self._open: set[_Call] = set()
        largest = service.limits.body_bytes + HEAD_BYTES
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", largest),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", STREAMS),
                ("grpc.max_metadata_size", HEAD_BYTES),
                ("grpc.keepalive_time_ms", 60_000),
            ]
        )
        self._server.add_generic_rpc_handlers((_Generic(self),))

    async def start(self, host: str, port: int) -> int:
        """The port, which is another one where 0 was asked. Raises `CannotServe`."""
        try:
            found = self._server.add_insecure_port(
                f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            )
        except RuntimeError as error:
            raise CannotServe(
                FailureReason.CRASHED, f"cannot listen on {host}:{port} for gRPC"
            ) from error
        await self._server.start()
        return found

    def changed(self) -> None:
        self._methods.health.changed()
        if self._service.life.ready:
            self._methods.prepare()

    async def stop(self, patience: float) -> None:
        for call in list(self._open):
            call.handler.drained()
        await self._server.stop(patience)

    async def answer(
        self, path: bytes, messages: AsyncIterator[bytes], context: Any
    ) -> AsyncIterator[bytes]:
        headers = _headers(context)
        bounds, start = self._methods.find(path)
        call = _Call()
        call.handler = start(headers, call)
        self._open.add(call)
        reader = asyncio.get_running_loop().create_task(call.read(messages, bounds))
        try:
            while not isinstance(item := await call.out.get(), _Finish):
                if call.first:
                    await context.send_initial_metadata(call.first)
                call.unsent -= len(item)
                yield item
                call.make_room()
            context.set_code(_CODES[item.status])
            context.set_details(item.detail)
            context.set_trailing_metadata(item.trailers)
        finally:
            self._open.discard(call)
            reader.cancel()
            call.lost()


class _Generic(grpc.GenericRpcHandler):
    def __init__(self, server: GrpcioServer) -> None:
        self._server = server

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        path = str(handler_call_details.method).encode()

        # grpcio looks whether it is a function of this kind.
        async def answer(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            async for message in self._server.answer(path, messages, context):
                yield message

        return grpc.stream_stream_rpc_method_handler(answer)


class _Finish:
    def __init__(self, status: Status, detail: str, trailers: tuple[tuple[str, str], ...]) -> None:
        self.status = status
        self.detail = detail
        self.trailers = trailers


class _Call:
    """The transport's side of one call."""

    def __init__(self) -> None:
        self.handler: Any = None
        self.first: tuple[tuple[str, str], ...] = ()
        """What goes before the one message of an answer."""
        self.unsent = 0
        self.partial = False
        """grpcio hands on whole messages only."""
        self.out: asyncio.Queue[bytes | _Finish] = asyncio.Queue()
        self._finished = False
        self._room = asyncio.Event()

    async def read(self, messages: AsyncIterator[bytes], bounds: Bounds) -> None:
        got, most = 0, bounds.messages
        async for message in messages:
            got += 1
            if most is not None and got > most:
                self.handler.refuse(BadInput(f"the call has more than {most} message"))
                return
            if len(message) > bounds.message_bytes:
                self.handler.refuse(too_large(bounds))
                return
            while self.handler.full:
                self._room.clear()
                await self._room.wait()
            self.handler.message(message, False)
        if got == 0 and most is not None:
            self.handler.refuse(BadInput("the call has no message"))
        else:
            self.handler.half_closed()

    def make_room(self) -> None:
        self._room.set()

    def lost(self) -> None:
        if not self._finished:
            self._finished = True
            self.handler.cancelled()

    # -- what the handler calls

    def answer(
        self,
        message: bytes,
        tail: Sequence[memoryview],
        request_id: bytes,
        metadata: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        pairs = ((incoming.REQUEST_ID_HEADER, request_id), *metadata)
        self.first = tuple((name.decode(), value.decode("latin-1")) for name, value in pairs)
        self.send(b"".join((message, *tail)) if tail else message)
        self.finish(Status.OK)

    def send(self, message: bytes) -> None:
        if not self._finished:
            self.unsent += len(message)
            self.out.put_nowait(message)

    def finish(
        self, status: Status, detail: str = "", trailers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        if not self._finished:
            self._finished = True
            pairs = tuple((name.decode(), value.decode("latin-1")) for name, value in trailers)
            self.out.put_nowait(_Finish(status, detail, pairs))

    def read_on(self) -> None:
        self._room.set()


def _headers(context: Any) -> Metadata:
    headers = {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in context.invocation_metadata() or ()
    }
    headers.pop(metadata.ENCODING, None)  # grpcio has decompressed the messages
    left = context.time_remaining()
    if left is not None:
        headers[metadata.TIMEOUT] = b"%dm" % min(99_999_999, max(1, round(left * 1000)))
    return headers
