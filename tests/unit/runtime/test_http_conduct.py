"""How a connection is kept, shared and ended: RFC 9112, and what docs/http.md adds to it.

Each holds for the connection's own answers and for the ASGI application's.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.http import bounds
from modelfleet_runtime.http.paced import MOST_WAITING
from modelfleet_runtime.life import State
from modelfleet_runtime.signature import DType, Signature, Tensors, TensorSpec
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.processes import metric
from tests.unit.runtime.serving import Running, running
from tests.unit.runtime.sockets import PATIENCE, get, predict, wire

PAGE = "/v2/models/m"
PROBE = "/health/live"
MALFORMED = get("/predict", "content-length: 1", method="POST") + b"{"


@pytest.fixture(params=["own", "asgi"])
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Gate:
    """A model that waits for leave."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self.runs = 0

    def __call__(self, batch: Tensors) -> Tensors:
        self.runs += 1
        self.entered.set()
        assert self.go.wait(PATIENCE)
        return doubling()(batch)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, PATIENCE)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.go.set()


async def until(true: Callable[[], bool]) -> None:
    """What a closed socket brings about in the server, which has no event for a test."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def answered(at: Running, status: int) -> float:
    page = at.metrics.exposition()[1].decode()
    try:
        return metric(page, "inference_requests_total", status=str(status))
    except AssertionError:
        return 0


def connections(at: Running) -> float:
    return metric(at.metrics.exposition()[1].decode(), "inference_connections")


# -- kept and closed


def routes(*lines: str, version: str = "1.1") -> list[bytes]:
    """A good request for a route of each kind: inference, page, probe."""
    return [
        predict(1, *lines, version=version),
        get(PAGE, *lines, version=version),
        get(PROBE, *lines, version=version),
    ]


async def test_a_connection_is_kept(transport: str) -> None:
    async with running(doubling(), transport=transport) as at, wire(at) as to:
        for sent in routes() * 2:
            await to.send(sent)
            reply = await to.reply()
            assert reply.status == 200
            assert not reply.closes


@pytest.mark.parametrize("value", ["close", "Close", "close, te"])
async def test_connection_close_is_answered_and_done(transport: str, value: str) -> None:
    async with running(doubling(), transport=transport) as at:
        for sent in routes(f"connection: {value}"):
            async with wire(at) as to:
                await to.send(sent + predict(2))
                reply = await to.reply()
                assert (reply.status, reply.closes) == (200, True)
                assert await to.ended()


@pytest.mark.parametrize("lines", [(), ("connection: keep-alive",)], ids=["", "keep-alive"])
async def test_http_1_0_is_answered_and_closed(transport: str, lines: tuple[str, ...]) -> None:
    async with running(doubling(), transport=transport) as at:
        for sent in routes(*lines, version="1.0"):
            async with wire(at) as to:
                await to.send(sent)
                reply = await to.reply()
                assert (reply.status, reply.closes) == (200, True)
                assert await to.ended()


async def test_an_idle_connection_is_closed_after_its_time(transport: str) -> None:
    async with running(doubling(), transport=transport, keep_alive_seconds=1) as at:
        async with wire(at) as used, wire(at) as unused:
            began = time.monotonic()
            await used.send(predict(1))
            assert await used.outputs() == [2, 0]
            assert await unused.ended()
            assert await used.ended()
            assert time.monotonic() - began > 0.9


async def test_a_connection_that_waits_for_the_model_is_not_idle(
    transport: str, gate: Gate
) -> None:
    async with running(gate, transport=transport, keep_alive_seconds=1) as at:
        async with wire(at) as to:
            await to.send(predict(1))
            await gate.reached()
            await asyncio.sleep(1.3)  # longer than it may be idle
            gate.go.set()
            assert await to.outputs() == [2, 0]


async def test_while_draining_answers_end_their_connection(transport: str) -> None:
    async with running(doubling(), transport=transport) as at:
        for sent in routes():
            async with wire(at) as to:
                at.life.state = State.READY
                await to.send(predict(1))
                assert not (await to.reply()).closes
                at.life.drain()
                await to.send(sent)
                reply = await to.reply()
                assert (reply.status, reply.closes) == (200, True)
                assert await to.ended()


async def test_while_draining_what_waits_behind_an_answer_is_answered_too(
    transport: str, gate: Gate
) -> None:
    """The last one ends the connection, whichever kind it is."""
    async with running(gate, transport=transport) as at:
        for last in routes():
            gate.entered.clear()
            gate.go.clear()
            at.life.state = State.READY
            async with wire(at) as to:
                await to.send(predict(1) + predict(2) + get(PROBE) + get(PAGE) + last)
                await gate.reached()
                at.life.drain()
                gate.go.set()
                replies = [await to.reply() for _ in range(5)]
                assert [reply.status for reply in replies] == [200] * 5
                assert [reply.closes for reply in replies] == [False] * 4 + [True]
                assert await to.ended()
        assert answered(at, 499) == 0


async def test_a_server_that_stops_answers_what_it_has(transport: str, gate: Gate) -> None:
    """All that came on one connection, also what waits behind the first."""
    async with running(gate, transport=transport) as at:
        async with wire(at) as idle, wire(at) as to:
            await idle.send(get(PROBE))
            await idle.reply()
            await to.send(predict(1) + predict(2) + get(PROBE))
            await gate.reached()
            at.stop()
            assert await idle.ended()
            gate.go.set()
            assert await to.outputs() == [2, 0]
            assert await to.outputs() == [4, 0]
            assert (await to.reply()).status == 200
            assert await to.ended()


# -- in order


async def test_a_hundred_requests_in_one_write_are_answered_in_order(transport: str) -> None:
    async with running(doubling(), transport=transport) as at, wire(at) as to:
        await to.send(b"".join(map(predict, range(100))))
        assert [await to.outputs() for _ in range(100)] == [[2 * n, 0] for n in range(100)]


async def test_requests_of_all_kinds_are_answered_in_order(transport: str) -> None:
    async with running(doubling(), transport=transport) as at, wire(at) as to:
        kinds = [predict(1), get(PAGE), MALFORMED, get(PROBE), get("/nothing"), get("/predict")]
        await to.send(b"".join(kinds * 10))
        statuses = [(await to.reply()).status for _ in range(60)]
        assert statuses == [200, 200, 400, 200, 404, 405] * 10


async def test_quick_ones_wait_for_a_slow_one_before_them(transport: str, gate: Gate) -> None:
    async with running(gate, transport=transport) as at, wire(at) as to:
        await to.send(predict(1) + get(PROBE) + MALFORMED + predict(2))
        await gate.reached()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await to.reader.read(1)
        gate.go.set()
        assert await to.outputs() == [2, 0]
        assert [(await to.reply()).status for _ in range(2)] == [200, 400]
        assert await to.outputs() == [4, 0]


HEADS = get(PROBE) * 10
REFUSED = get("/v2/models/x/infer", f"content-length: {len(HEADS)}", method="POST") + HEADS
FRAMES = {
    "probes": (get(PROBE), 200),
    "inferences": (predict(1), 200),
    "a body of heads": (REFUSED, 404),
    "chunks": (get("/predict", "transfer-encoding: chunked", method="POST") + b"0\r\n\r\n", 400),
}


@pytest.mark.parametrize("kind", FRAMES)
async def test_few_requests_wait_whatever_comes_in_one_piece(
    transport: str, gate: Gate, kind: str
) -> None:
    """Those beyond stay bytes, and are answered all the same."""
    sent, status = FRAMES[kind]
    many = 40_000 // len(sent)
    async with running(gate, transport=transport) as at, wire(at) as to:
        await to.send(predict(1))
        await gate.reached()
        (connection,) = [one for one in at.connections if one.answering]
        sending = asyncio.create_task(to.send(sent * many + predict(2)))
        await until(lambda: connection.flow.read_paused)
        await asyncio.sleep(0.05)  # for what would come all the same
        assert len(connection.pipeline) == MOST_WAITING
        assert at.life.in_flight <= 1 + MOST_WAITING
        gate.go.set()
        assert await to.outputs() == [2, 0]
        assert {(await to.reply()).status for _ in range(many)} == {status}
        assert await to.outputs() == [4, 0]
        await sending


@pytest.mark.parametrize("ends", ["drain", "stop"])
async def test_what_came_ahead_is_answered_before_the_end(
    transport: str, gate: Gate, ends: str
) -> None:
    async with running(gate, transport=transport) as at, wire(at) as to, wire(at) as idle:
        await idle.send(get(PROBE))
        await idle.reply()
        await to.send(predict(1) + get(PROBE) * 300 + predict(2))
        await gate.reached()
        if ends == "drain":
            at.life.drain()
        else:
            at.stop()
            assert await idle.ended()
        gate.go.set()
        assert await to.outputs() == [2, 0]
        replies = [await to.reply() for _ in range(300)]
        assert {(reply.status, reply.closes) for reply in replies} == {(200, False)}
        last = await to.reply()
        assert (last.status, last.closes) == (200, True)
        assert await to.ended()
        assert answered(at, 499) == 0


@pytest.mark.parametrize("refused", [MALFORMED, get("/predict")], ids=["body", "method"])
async def test_a_thousand_refusals_in_one_write_are_each_answered(
    transport: str, refused: bytes
) -> None:
    """Each is answered at once, which must not make the stack a thousand deep."""
    async with running(doubling(), transport=transport) as at, wire(at) as to:
        await to.send(refused * 1000 + predict(1))
        statuses = {(await to.reply()).status for _ in range(1000)}
        assert statuses == {400 if refused == MALFORMED else 405}
        assert await to.outputs() == [2, 0]


async def test_what_is_sent_while_an_answer_is_made_is_answered_after_it(
    transport: str, gate: Gate
) -> None:
    async with running(gate, transport=transport) as at, wire(at) as to:
        await to.send(predict(1))
        await gate.reached()
        second = predict(2)
        await to.send(second[:30], second[30:], pause=0.02)
        gate.go.set()
        assert [await to.outputs(), await to.outputs()] == [[2, 0], [4, 0]]


# -- clients that leave


@pytest.mark.parametrize("way", ["cut", "close", "half"])
async def test_a_client_that_leaves_takes_its_request_with_it(
    transport: str, gate: Gate, way: str
) -> None:
    one_row = Batching(max_size=1)
    async with running(gate, transport=transport, batching=one_row) as at:
        async with wire(at) as first, wire(at) as second:
            await first.send(predict(1))
            await gate.reached()
            await second.send(predict(2))
            await until(lambda: at.life.inferring == 2)
            if way == "cut":
                second.cut()
            elif way == "close":
                second.writer.close()
            else:
                second.finish_sending()
            await until(lambda: at.life.inferring == 1)
            assert answered(at, 499) == 1
            gate.go.set()
            assert await first.outputs() == [2, 0]
        assert gate.runs == 1


@pytest.mark.parametrize("sent", [1, 30, -1], ids=["a byte", "half a head", "half a body"])
async def test_a_client_that_leaves_amid_its_request_is_forgotten(
    transport: str, sent: int
) -> None:
    async with running(doubling(), transport=transport) as at:
        async with wire(at) as to:
            await to.send(predict(1)[:sent])
            if sent == -1:
                await until(lambda: at.life.in_flight == 1)
            to.cut()
        await until(lambda: connections(at) == 0)
        await until(lambda: at.life.in_flight == 0)
        assert answered(at, 499) == (sent == -1)


async def test_a_client_that_does_not_read_is_cut_in_time(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "STALL_SECONDS", 0.3)
    async with running(_wide, WIDE, transport=transport) as at, wire(at) as to:
        await to.send(_ask_wide(40))
        await until(lambda: connections(at) == 1)
        await until(lambda: connections(at) == 0)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await to.reply()


async def test_a_client_that_reads_slowly_is_not_cut(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "STALL_SECONDS", 0.5)
    rows = 30
    async with running(_wide, WIDE, transport=transport) as at, wire(at) as to:
        await to.send(_ask_wide(rows))
        head = (await to.reader.readuntil(b"\r\n\r\n")).decode()
        left = int(head.partition("\r\ncontent-length: ")[2].split("\r\n")[0])
        assert left > rows << 20
        while left:
            await asyncio.sleep(0.05)  # for three times as long as it may take nothing
            left -= len(await to.reader.readexactly(min(left, 1 << 20)))


async def test_a_large_answer_arrives_whole_however_slowly_it_is_read(transport: str) -> None:
    async with running(_wide, WIDE, transport=transport) as at, wire(at) as to:
        await to.send(_ask_wide(8) + get(PROBE))
        await asyncio.sleep(0.2)
        reply = await to.reply()
        values = np.frombuffer(reply.body[-8 * WIDTH * 4 :], np.float32).reshape(8, WIDTH)
        np.testing.assert_array_equal(values, np.repeat(np.arange(8.0)[:, None], WIDTH, 1))
        assert (await to.reply()).status == 200


WIDTH = 1 << 18
WIDE = Signature(
    (TensorSpec("x", DType.FP32, (-1, 1)),), (TensorSpec("y", DType.FP32, (-1, -1)),), batched=True
)
"""A megabyte for each row."""


def _wide(batch: Tensors) -> Tensors:
    return {"y": np.repeat(batch["x"], WIDTH, axis=1)}


def _ask_wide(rows: int) -> bytes:
    body = np.arange(rows, dtype="<f4").tobytes()
    lines = ("inference-header-content-length: 0", f"content-length: {len(body)}")
    return get(f"{PAGE}/infer", *lines, method="POST") + body
