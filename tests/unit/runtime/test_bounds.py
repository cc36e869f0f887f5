"""What one client, or one model's author, cannot take from all the others."""

import asyncio
import gzip
import json
import threading
import time
from typing import Any

import httpx
import pytest

from modelfleet_runtime import incoming
from modelfleet_runtime.errors import BadInput, CannotServe
from modelfleet_runtime.http import bounds
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.settings import Settings
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.processes import check_refusal
from tests.unit.runtime.serving import Running, running

ITEM = {"inputs": [1, 2, 3, 4]}
TENSOR = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
INFER = "/v2/models/m/infer"
GET = b"GET /health/live HTTP/1.1\r\nhost: x\r\n"


def padded(body: Any, size: int) -> bytes:
    return json.dumps(body).encode().ljust(size)


# -- an author's steps


async def test_steps_that_hang_keep_nothing_else_from_an_answer() -> None:
    go = threading.Event()
    hung = 0

    def preprocess(item: Any) -> Tensors:
        nonlocal hung
        hung += 1
        go.wait(20)
        raise AssertionError("nobody waits for it")

    async with running(doubling(), preprocess=preprocess) as at:
        short = {"x-request-timeout-ms": "500"}
        try:
            asked = (at.client.post("/predict", json=ITEM, headers=short) for _ in range(90))
            codes = {answer.status_code for answer in await asyncio.gather(*asked)}
            assert codes == {504}
            assert 0 < hung < 90
            packed = gzip.compress(padded(TENSOR, 1_000_000), 0)  # large, so in a thread
            headers = {"content-encoding": "gzip", "x-request-timeout-ms": "10000"}
            answer = await at.client.post(INFER, content=packed, headers=headers)
            assert answer.status_code == 200
            assert (await at.client.get("/docs", timeout=10)).status_code == 200
        finally:
            go.set()


async def test_unpacking_keeps_to_the_requests_time(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def slow(data: bytes, encoding: bytes, limits: RequestLimits) -> bytes:
        go.wait(10)
        return data

    monkeypatch.setattr(incoming, "decompress", slow)
    async with running(doubling()) as at:
        headers = {"content-encoding": "gzip", "x-request-timeout-ms": "200"}
        began = time.monotonic()
        answer = await at.client.post("/predict", content=bytes(100_000), headers=headers)
        go.set()
        assert time.monotonic() - began < 5
        check_refusal(answer, 504, "time is over")


# -- the head of a request


async def says(at: Running, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that the server says to it until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    try:
        async with asyncio.timeout(10):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(pause)
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.close()


@pytest.mark.parametrize("start", [b"GET /", GET + b"a: ", GET])
async def test_a_head_without_an_end_is_refused(start: bytes) -> None:
    async with running(doubling()) as at:
        piece = b"a: b\r\n" * 3000 if start == GET else b"x" * 18_000
        said = await says(at, start, *[piece] * 4, pause=0.02)
        assert said.startswith(b"HTTP/1.1 431 ")
        assert b"connection: close" in said


async def test_a_long_head_is_refused_also_when_it_comes_at_once() -> None:
    async with running(doubling()) as at:
        long = {"a": "x" * 40_000}
        assert (await at.client.get("/health/live", headers=long)).status_code == 200
        said = await says(at, GET + b"a: " + b"x" * 66_000 + b"\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 431 ")


async def test_a_large_body_is_no_long_head() -> None:
    async with running(doubling()) as at:
        body = padded(ITEM, 300_000)
        post = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        last = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        said = await says(at, (post + body) * 3 + last[:20], last[20:], pause=0.3)
        assert said.count(b"HTTP/1.1 200 ") == 4


@pytest.mark.parametrize("sent", [b"GET /hea", GET, b"\r\n", GET + b"\r\n" + GET])
async def test_a_head_that_is_not_finished_is_not_waited_for(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.2)
    async with running(doubling()) as at:
        began = time.monotonic()
        said = await says(at, sent)
        assert 0.1 < time.monotonic() - began < 5
        assert said.count(b"HTTP/1.1 200 ") == sent.count(b"\r\n\r\n")


async def test_a_head_in_time_is_served_after_any_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is idle for longer than a head may take is no unfinished head."""
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 2.0)
    async with running(doubling()) as at:
        last = GET + b"connection: close\r\n\r\n"
        said = await says(at, GET, b"\r\n", b"", b"", last[:9], last[9:], pause=0.5)
        assert said.count(b"HTTP/1.1 200 ") == 2


async def test_the_answer_before_an_unfinished_head_is_still_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "HEAD_SECONDS", 0.2)

    def slow(_: Tensors) -> None:
        time.sleep(0.8)

    async with running(doubling(slow)) as at:
        body = padded(ITEM, 100)
        post = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n" + body
        assert (await says(at, post + GET)).startswith(b"HTTP/1.1 200 ")


# -- all bodies together


async def test_bodies_together_have_a_bound() -> None:
    limits = RequestLimits(body_bytes=1000, bodies_bytes=2500)
    half = threading.Event()
    async with running(doubling(), limits=limits) as at:

        async def waits(path: str, body: Any) -> httpx.Response:
            async def pieces() -> Any:
                yield padded(body, 900)
                while not half.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                yield b" "

            return await at.client.post(path, content=pieces())

        first = [asyncio.create_task(waits(*asks)) for asks in (("/predict", ITEM),) * 2]
        await asyncio.sleep(0.3)
        refused = [
            await at.client.post(path, content=padded(body, 900))
            for path, body in (("/predict", ITEM), (INFER, TENSOR))
        ]
        small = await at.client.post("/predict", content=padded(ITEM, 300))
        packed = gzip.compress(padded(ITEM, 900))
        grown = await at.client.post(
            "/predict", content=packed, headers={"content-encoding": "gzip"}
        )
        half.set()
        assert [(await one).status_code for one in first] == [200, 200]
        for answer in (*refused, grown):
            check_refusal(answer, 503, "bodies")
            assert answer.headers["retry-after"] == "1"
        assert small.status_code == 200
        # What was held is given back, also after refusals.
        for _ in range(5):
            assert (await waits("/predict", ITEM)).status_code == 200


async def test_what_a_body_may_become_is_held_before_it_is_inflated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inflated = 0
    inflate = incoming.decompress

    def counting(data: bytes, encoding: bytes, limits: RequestLimits) -> bytes:
        nonlocal inflated
        inflated += 1
        return inflate(data, encoding, limits)

    monkeypatch.setattr(incoming, "decompress", counting)
    limits = RequestLimits(body_bytes=300_000, bodies_bytes=500_000)
    headers = {"content-encoding": "gzip"}
    async with running(doubling(), limits=limits) as at:
        fits = gzip.compress(padded(ITEM, 200_000), 0)
        answer = await at.client.post("/predict", content=fits, headers=headers)
        assert (answer.status_code, inflated) == (200, 1)
        large = gzip.compress(padded(ITEM, 290_000), 0)
        answer = await at.client.post("/predict", content=large, headers=headers)
        assert (answer.status_code, inflated) == (200, 2)  # alone, one always fits
        _, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{")
        while at.life.in_flight == 0:  # noqa: ASYNC110
            await asyncio.sleep(0)
        answer = await at.client.post("/predict", content=large, headers=headers)
        check_refusal(answer, 503, "bodies")
        assert inflated == 2
        writer.close()


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_a_gzip_says_what_it_becomes(size: int) -> None:
    limits = RequestLimits(body_bytes=5000)
    data = gzip.compress(bytes(size))
    assert incoming.inflated_bytes(data, b"gzip", limits) == size + 1
    assert incoming.decompress(data, b"gzip", limits) == bytes(size)
    assert incoming.inflated_bytes(data, b"deflate", limits) == 5001


def test_a_gzip_that_becomes_more_than_it_says_is_none() -> None:
    data = gzip.compress(bytes(5000))[:-4] + (100).to_bytes(4, "little")
    with pytest.raises(BadInput):
        incoming.decompress(data, b"gzip", RequestLimits())


async def test_one_body_always_fits() -> None:
    async with running(doubling(), limits=RequestLimits(body_bytes=1000, bodies_bytes=1)) as at:
        answer = await at.client.post("/predict", content=padded(ITEM, 1000))
        assert answer.status_code == 200


def test_the_bound_on_all_bodies_is_a_setting() -> None:
    name = "MODELFLEET_MAX_BODIES_BYTES"
    assert Settings.from_env({}).limits.bodies_bytes == 256 * 1024 * 1024
    assert Settings.from_env({name: "77"}).limits.bodies_bytes == 77
    with pytest.raises(CannotServe, match=name):
        Settings.from_env({name: "x"})
