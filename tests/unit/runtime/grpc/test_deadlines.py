"""A deadline that the client set passes: what the server says and counts, and what it takes back.

Asked frame by frame: gRPC's own clients cancel the call at the same moment.
"""

import time
from types import SimpleNamespace

import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.grpc import inferring
from modelfleet_runtime.http2 import frames
from modelfleet_runtime.http2.frames import frame
from tests.unit.runtime.grpc.serving import Running, request, running, until
from tests.unit.runtime.grpc.test_http2 import INFER, STREAM, Client, connected, prefixed
from tests.unit.runtime.grpc.test_inference import Gate

MESSAGE = prefixed(request().SerializeToString())
DEADLINE_EXCEEDED = "4"


def counted(up: Running, status: int) -> float:
    """Requests that were answered with that status."""
    page = up.metrics.exposition()[1].decode()
    wanted = f'inference_requests_total{{model_name="m",status="{status}"}} '
    return float(page.partition(wanted)[2].partition("\n")[0])


def begin(client: Client, path: bytes, timeout: bytes) -> None:
    head = client.head(path, (b"grpc-timeout", timeout))
    client.send(frame(frames.HEADERS, frames.END_HEADERS, 1, head))


async def test_a_message_that_did_not_come_is_counted_as_that() -> None:
    async with running(Gate().run) as up, connected(up) as client:
        begin(client, INFER, b"50m")
        client.send(frame(frames.DATA, 0, 1, MESSAGE[:-1]))
        assert await client.status(1) == DEADLINE_EXCEEDED
        assert (counted(up, 408), counted(up, 504)) == (1, 0)


@pytest.mark.parametrize("apart", [False, True])
async def test_a_message_that_came_and_was_not_answered_is_counted_as_that(
    apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Who waits for the message would be the first to say that it is late.
    ahead = SimpleNamespace(monotonic=lambda: time.monotonic() + 0.1)
    monkeypatch.setattr(inferring, "time", ahead)
    gate = Gate()
    async with running(gate.run) as up, connected(up) as client:
        begin(client, INFER, b"300m")
        if apart:
            await client.ping()
        client.send(frame(frames.DATA, frames.END_STREAM, 1, MESSAGE))
        assert await client.status(1) == DEADLINE_EXCEEDED
        assert (counted(up, 408), counted(up, 504)) == (0, 1)
        assert up.served.batcher.open == 0
        gate.opened.set()


async def test_requests_of_a_stream_whose_time_is_over_are_counted_as_late() -> None:
    gate = Gate()
    async with (
        running(gate.run, batching=Batching(max_size=1)) as up,
        connected(up) as client,
    ):
        begin(client, STREAM, b"300m")
        client.send(frame(frames.DATA, 0, 1, MESSAGE * 5))
        await until(lambda: up.served.batcher.open == 5)
        assert await client.status(1) == DEADLINE_EXCEEDED
        await until(lambda: up.served.batcher.open == 0)
        assert (counted(up, 504), counted(up, 499)) == (5, 0)
        assert up.metrics.deadlines_passed.value == 5
        assert up.metrics.clients_left.value == 0
        gate.opened.set()
