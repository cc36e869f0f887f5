"""Clients that stop halfway, or do not read: what they hold is taken back."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import hpack
import numpy as np
import pytest

from modelfleet_runtime.grpc_server import GrpcServer
from modelfleet_runtime.http2 import connection, frames
from modelfleet_runtime.http2.connection import Connection, Open
from modelfleet_runtime.http2.frames import Code, frame
from modelfleet_runtime.incoming import Bodies
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.protocols.grpc.messages import reflection_pb2
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.grpc.serving import PATIENCE, Running, request, running, until
from tests.unit.runtime.grpc.test_http2 import END, INFER, STREAM, Client, connected, prefixed

MESSAGE = prefixed(request().SerializeToString())
DEADLINE_EXCEEDED = "4"
UNAVAILABLE = "14"
REQUEST_HEAD = hpack.Encoder().encode(
    [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
)


def begin(client: Client, number: int, path: bytes, data: bytes) -> None:
    client.send(
        frame(frames.HEADERS, frames.END_HEADERS, number, client.head(path)),
        frame(frames.DATA, 0, number, data),
    )


async def test_a_stream_that_stops_within_a_message_ends_after_a_requests_time() -> None:
    async with running(doubling()) as up, connected(up) as client:
        up.service.timeout = 0.05
        begin(client, 1, STREAM, MESSAGE + MESSAGE[:-1])
        assert await client.status(1) == DEADLINE_EXCEEDED
        assert up.service.bodies.held == 0


REFLECTION = b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
OTHERS = {
    "a method with one message": b"/inference.GRPCInferenceService/ServerLive",
    "Check": b"/grpc.health.v1.Health/Check",
    "Watch": b"/grpc.health.v1.Health/Watch",
    "reflection": REFLECTION,
}


@pytest.mark.parametrize("path", OTHERS.values(), ids=OTHERS)
async def test_no_method_waits_for_a_message_for_ever(path: bytes) -> None:
    async with running(doubling()) as up, connected(up) as client:
        up.service.timeout = 0.05
        begin(client, 1, path, prefixed(bytes(1000))[:-1])
        await until(lambda: up.service.bodies.held > 0)
        assert await client.status(1) == DEADLINE_EXCEEDED
        assert up.service.bodies.held == 0


@pytest.mark.parametrize("path", [OTHERS["Check"], OTHERS["Watch"]])
async def test_a_call_that_is_never_half_closed_ends(path: bytes) -> None:
    async with running(doubling()) as up, connected(up) as client:
        up.service.timeout = 0.05
        begin(client, 1, path, prefixed(b""))
        assert await client.status(1) == DEADLINE_EXCEEDED


@pytest.mark.parametrize(("path", "flags"), [(OTHERS["Watch"], frames.END_STREAM), (REFLECTION, 0)])
async def test_who_watches_and_who_asks_now_and_then_may_stay(path: bytes, flags: int) -> None:
    async with running(doubling()) as up, connected(up) as client:
        up.service.timeout = 0.05
        client.send(
            frame(frames.HEADERS, frames.END_HEADERS, 1, client.head(path)),
            frame(frames.DATA, flags, 1, prefixed(b"")),
        )
        await client.wait_for(frames.DATA, 1)
        begin(client, 3, INFER, MESSAGE[:-1])
        assert await client.status(3) == DEADLINE_EXCEEDED
        client.send(frames.rst_stream(1, Code.CANCEL))
        await client.ping()


async def test_a_stream_that_is_silent_between_messages_goes_on() -> None:
    async with running(doubling()) as up, connected(up) as client:
        up.service.timeout = 0.05
        begin(client, 1, STREAM, MESSAGE)
        await client.wait_for(frames.DATA, 1)
        begin(client, 3, INFER, MESSAGE[:-1])
        assert await client.status(3) == DEADLINE_EXCEEDED
        client.send(frame(frames.DATA, frames.END_STREAM, 1, MESSAGE))
        assert await client.status(1) == "0"


async def test_a_message_that_comes_in_pieces_and_in_time_is_answered() -> None:
    async with running(doubling()) as up, connected(up) as client:
        begin(client, 1, STREAM, MESSAGE[:20])
        client.send(frame(frames.DATA, 0, 1, MESSAGE[20:]))
        await client.wait_for(frames.DATA, 1)
        client.send(frame(frames.DATA, frames.END_STREAM, 1))
        assert await client.status(1) == "0"


async def test_an_answer_that_the_client_makes_no_room_for_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "PREFACE_S", 0.2)
    monkeypatch.setattr(connection, "KEEP_ALIVE_S", 0.2)
    async with running(doubling()) as up, connected(up, greet=False) as client:
        client.greet(INITIAL_WINDOW_SIZE=0)
        client.call(1)
        assert await client.reset(1) is Code.CANCEL
        client.send(frame(frames.PING, frames.ACK, 0, b"modelflt"))
        await client.ping()  # the connection goes on


async def test_one_connection_too_many_hears_so_and_the_others_go_on() -> None:
    limits = RequestLimits(connections=1)
    async with running(doubling(), limits=limits) as up, connected(up) as first:
        await first.ping()
        async with connected(up) as second:
            assert await second.goaway() is Code.ENHANCE_YOUR_CALM
        first.call(1)
        assert await first.status(1) == "0"
        assert refused_connections(up) == 1


def refused_connections(up: Running) -> float:
    page = up.metrics.exposition()[1].decode()
    (line,) = [line for line in page.splitlines() if 'limit="connections"' in line]
    return float(line.rpartition(" ")[2])


class Unread:
    """A transport whose client reads nothing."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()
        self.size = 0
        self.full: Callable[[], None] | None = None
        """Told once the buffer holds more than it should."""
        self._high = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        if self.full is not None and self.size > self._high:
            self.full()

    def get_write_buffer_size(self) -> int:
        return self.size

    def set_write_buffer_limits(self, high: int) -> None:
        self._high = high

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """It would close when all is sent."""

    def abort(self) -> None:
        self.aborted.set()


NO_CALL = frames.literal(b":status", b"415")


def unread(open_: Open = lambda _: NO_CALL) -> tuple[Connection, Unread]:
    transport = Unread()
    made = Connection(
        open_,
        Bodies(RequestLimits()),
        set(),
        asyncio.get_running_loop(),
    )
    made.connection_made(cast("Any", transport))
    made.data_received(frames.PREFACE + frames.settings({}))
    return made, transport


async def test_who_asks_on_without_reading_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_MOST_UNREAD", 1000)
    asking, transport = unread()
    asking.pause_writing()
    for _ in range(100):
        asking.data_received(frame(frames.PING, 0, 0, b"12345678"))
    assert transport.aborted.is_set()
    assert transport.size < 2000
    asking.connection_lost(None)


async def test_who_calls_on_without_reading_that_all_is_refused_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "_MOST_UNREAD", 1000)
    asking, transport = unread()
    asking.pause_writing()
    for number in range(1, 1001, 2):
        asking.data_received(frame(frames.HEADERS, END, number, REQUEST_HEAD))
    assert transport.aborted.is_set()
    assert transport.size < 2000
    asking.connection_lost(None)


async def test_answers_of_one_turn_wait_once_the_transport_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However large the windows are that the client gives."""
    monkeypatch.setattr(connection, "_WRITE_HIGH", 5000)
    question = prefixed(reflection_pb2.ServerReflectionRequest(
        file_containing_symbol="inference.GRPCInferenceService"
    ).SerializeToString())  # fmt: skip
    async with running(doubling()) as up:
        server = cast("GrpcServer", up.server)
        asking, transport = unread(server._open)
        transport.full = asking.pause_writing
        huge = frames.settings({frames.SETTING_INITIAL_WINDOW_SIZE: frames.LARGEST_WINDOW})
        head = hpack.Encoder().encode(
            [(b":method", b"POST"), (b":scheme", b"http"), (b":path", REFLECTION),
             (b"content-type", b"application/grpc")]
        )  # fmt: skip
        asking.data_received(
            huge
            + frames.window_update(0, frames.LARGEST_WINDOW - frames.FIRST_WINDOW)
            + frame(frames.HEADERS, frames.END_HEADERS, 1, head)
            + frame(frames.DATA, 0, 1, question) * 100
        )
        assert 5000 < transport.size < 30_000
        asking.connection_lost(None)


def answers_of_4_kib(batch: Tensors) -> Tensors:
    return {"y": np.zeros((len(batch["x"]), 1024), np.float32)}


async def test_answers_that_nobody_takes_are_bounded_as_bodies_are() -> None:
    limits = RequestLimits(body_bytes=10_000, bodies_bytes=10_000)
    async with (
        running(answers_of_4_kib, limits=limits) as up,
        connected(up, greet=False) as client,
    ):
        client.greet(INITIAL_WINDOW_SIZE=0)
        held = []
        for number in (1, 3):
            client.call(number)
            await client.wait_for(frames.HEADERS, number)
            held.append(up.service.bodies.held)
        assert 8192 < held[1] == 2 * held[0] < 10_000
        client.call(5)
        assert await client.status(5) == UNAVAILABLE
        client.send(frames.window_update(1, 4096))
        await client.wait_for(frames.DATA, 1)
        assert up.service.bodies.held < held[0] + 100
        client.send(frames.window_update(1, 4096), frames.rst_stream(3, Code.CANCEL))
        assert await client.status(1) == "0"
        await client.ping()
        assert up.service.bodies.held == 0


async def test_one_answer_always_fits() -> None:
    limits = RequestLimits(body_bytes=1000, bodies_bytes=1000)
    async with (
        running(answers_of_4_kib, limits=limits) as up,
        connected(up, greet=False) as client,
    ):
        client.greet(INITIAL_WINDOW_SIZE=0)
        client.call(1)
        await client.wait_for(frames.HEADERS, 1)
        client.send(frames.window_update(1, 10_000))
        assert await client.status(1) == "0"
        assert up.service.bodies.held == 0


async def test_who_does_not_take_the_last_bytes_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CLOSING_S", 0.01)
    wrong, transport = unread()
    wrong.data_received(frame(frames.PING, 0, 1, b"12345678"))  # of a stream: that is an error
    async with asyncio.timeout(PATIENCE):
        await transport.aborted.wait()
    wrong.connection_lost(None)
