"""The connection's own answers, as bytes on a socket: what is recognised, in which order, and what
happens to those that wait."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import orjson

from modelfleet_contract import Batching
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.signature import DType, Signature, Tensors, TensorSpec
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.serving import Running, running

HEAD = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"


def request(*values: float, more: bytes = b"", path: bytes = b"/predict") -> bytes:
    body = orjson.dumps({"inputs": values})
    head = HEAD.replace(b"/predict", path)
    return head + more + b"content-length: %d\r\n\r\n%s" % (len(body), body)


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, body

    async def outputs(self) -> list[float]:
        status, _, body = await self.answer()
        assert status == 200, body
        outputs: list[float] = orjson.loads(body)["outputs"]["y"]
        return outputs

    async def ended(self) -> bool:
        async with asyncio.timeout(10):
            return not await self.reader.read(1)


@asynccontextmanager
async def wire(at: Running) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def test_a_head_that_comes_again_carries_another_body() -> None:
    async with running(doubling()) as at, wire(at) as to:
        for number in (1, 2, 3):
            to.send(request(number, 0, 0, 0))
            assert await to.outputs() == [2 * number, 0]


async def test_the_same_head_in_pieces_in_pairs_and_whole() -> None:
    async with running(doubling()) as at, wire(at) as to:
        one = request(1, 0, 0, 0)
        to.send(one)
        assert await to.outputs() == [2, 0]
        for byte in one:
            to.send(bytes([byte]))
            await to.writer.drain()
        assert await to.outputs() == [2, 0]
        to.send(one + request(4, 0, 0, 0))
        assert [await to.outputs(), await to.outputs()] == [[2, 0], [8, 0]]
        to.send(one[:-3])
        await to.writer.drain()
        to.send(one[-3:] + one)
        assert [await to.outputs(), await to.outputs()] == [[2, 0], [2, 0]]
        to.send(one)
        assert await to.outputs() == [2, 0]


async def test_two_requests_in_one_piece_come_again() -> None:
    async with running(doubling()) as at, wire(at) as to:
        pair = request(1, 0, 0, 0) + request(2, 0, 0, 0)
        for _ in range(3):
            to.send(pair)
            assert [await to.outputs(), await to.outputs()] == [[2, 0], [4, 0]]


async def test_a_known_head_keeps_what_its_headers_ask() -> None:
    async with running(doubling()) as at, wire(at) as to:
        one = request(1, 0, 0, 0, more=b"x-request-id: mine\r\nx-request-timeout-ms: 5000\r\n")
        for _ in range(2):
            to.send(one)
            status, headers, _ = await to.answer()
            assert (status, headers["x-request-id"]) == (200, "mine")
        bad = request(1, 0, 0, 0, more=b"x-request-timeout-ms: no\r\n")
        for _ in range(2):
            to.send(bad)
            status, _, body = await to.answer()
            assert status == 400
            assert b"x-request-timeout-ms" in body


async def test_a_known_head_after_connection_close_is_not_answered() -> None:
    async with running(doubling()) as at, wire(at) as to:
        to.send(request(1, 0, 0, 0))
        await to.outputs()
        last = request(1, 0, 0, 0, more=b"connection: close\r\n")
        to.send(last + last)
        status, headers, _ = await to.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await to.ended()


async def test_requests_of_both_kinds_are_answered_in_their_order() -> None:
    probe = b"GET /v2/models/m HTTP/1.1\r\nhost: a\r\n\r\n"
    live = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"
    async with running(doubling()) as at, wire(at) as to:
        to.send(b"".join([request(1, 0, 0, 0), probe, request(2, 0, 0, 0), live] * 25))
        for _ in range(25):
            assert await to.outputs() == [2, 0]
            assert b'"platform"' in (await to.answer())[2]
            assert await to.outputs() == [4, 0]
            assert b"live" in (await to.answer())[2]


async def test_a_refusal_among_many_does_not_disturb_their_order() -> None:
    async with running(doubling()) as at, wire(at) as to:
        to.send(request(1, 0, 0, 0) + request(9) + request(2, 0, 0, 0))
        assert await to.outputs() == [2, 0]
        assert (await to.answer())[0] == 400
        assert await to.outputs() == [4, 0]


async def test_those_behind_one_that_is_answered_leave_with_their_client() -> None:
    gate, entered = threading.Event(), threading.Event()

    def run(batch: Tensors) -> Tensors:
        entered.set()
        assert gate.wait(10)
        return doubling()(batch)

    async with running(run) as at:
        async with wire(at) as to:
            to.send(request(1, 0, 0, 0) + request(2, 0, 0, 0) + request(3, 0, 0, 0))
            assert await asyncio.to_thread(entered.wait, 10)
        async with asyncio.timeout(10):
            while at.life.in_flight:  # noqa: ASYNC110  (the server is told by its own socket)
                await asyncio.sleep(0.01)
        gate.set()
        page = at.metrics.exposition()[1].decode()
    assert 'inference_requests_total{model_name="m",status="499"} 3.0' in page


async def test_what_cannot_be_read_after_a_request_does_not_take_its_answer() -> None:
    gate, entered = threading.Event(), threading.Event()

    def run(batch: Tensors) -> Tensors:
        entered.set()
        assert gate.wait(10)
        return doubling()(batch)

    async with running(run) as at, wire(at) as to:
        to.send(request(1, 0, 0, 0) + b"this is no HTTP\r\n\r\n")
        assert await asyncio.to_thread(entered.wait, 10)
        gate.set()
        assert await to.outputs() == [2, 0]
        assert await to.ended()


async def test_a_body_that_cannot_be_read_is_refused_and_counted_once() -> None:
    async with running(doubling()) as at:
        async with wire(at) as to:
            to.send(HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n")
            assert (await to.answer())[0] == 400
            assert await to.ended()
        page = at.metrics.exposition()[1].decode()
        assert at.life.in_flight == 0
    assert 'inference_requests_total{model_name="m",status="400"} 1.0' in page


async def test_a_client_that_reads_nothing_makes_nobody_answer_into_memory() -> None:
    """Answers wait until the socket takes the ones before; so do the requests after them."""
    wide = Signature(
        (TensorSpec("x", DType.FP32, (-1, 1)),), (TensorSpec("y", DType.FP32, (-1, -1)),), True
    )
    runs = 0

    def run(batch: Tensors) -> Tensors:
        nonlocal runs
        runs += 1
        return {"y": np.zeros((len(batch["x"]), 1 << 18), np.float32)}

    asks = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}],'
    asks += b'"parameters":{"binary_data_output":true}}'
    one = (
        b"POST /v2/models/m/infer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(asks), asks)
    )
    many = 400
    async with running(run, wide, batching=Batching(max_size=1)) as at, wire(at) as to:
        to.send(one * many)
        await to.writer.drain()
        async with asyncio.timeout(10):
            while not runs:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            seen = -1
            while seen != runs:
                seen = runs
                await asyncio.sleep(0.2)
        assert runs < many / 4
        for _ in range(many):
            assert (await to.answer())[0] == 200
    assert runs == many


async def test_one_connection_too_many_is_told_so_and_closed() -> None:
    async with running(doubling(), limits=RequestLimits(connections=2)) as at:
        async with wire(at) as one, wire(at) as other, wire(at) as third:
            status, headers, body = await third.answer()
            assert (status, headers["retry-after"]) == (503, "1")
            assert "connections" in orjson.loads(body)["error"]
            assert await third.ended()
            for to in (one, other):
                to.send(request(1, 0, 0, 0))
                assert await to.outputs() == [2, 0]
        page = at.metrics.exposition()[1].decode()
    assert 'inference_limit_refusals_total{limit="connections",model_name="m"} 1.0' in page


async def test_a_body_that_becomes_far_larger_is_refused() -> None:
    limits = RequestLimits(inflate_free_bytes=1000)
    body = gzip.compress(b" " * 1_000_000)
    head = HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with running(doubling(), limits=limits) as at, wire(at) as to:
        to.send(head + body)
        status, _, text = await to.answer()
    assert status == 413
    assert b"more than 200 times as large" in text
