"""What the probes say when the process is alive and will never answer again."""

import asyncio
import threading

from modelfleet_runtime.errors import EngineDead
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.serving import running


async def test_an_engine_that_died_fails_liveness_and_readiness() -> None:
    def run(_: Tensors) -> Tensors:
        raise EngineDead("the GPU is gone")

    async with running(run) as at:
        answer = await at.client.post("/predict", json={"inputs": [1, 2, 3, 4]})
        assert (answer.status_code, answer.json()) == (500, {"error": "the GPU is gone"})
        for path in ("/health/live", "/v2/health/live"):
            live = await at.client.get(path)
            assert live.status_code == 503
            assert live.json()["why"] == "the GPU is gone"
        assert (await at.client.get("/health/ready")).status_code == 503


async def test_a_batch_that_never_ends_fails_liveness() -> None:
    gate, entered = threading.Event(), threading.Event()

    def run(batch: Tensors) -> Tensors:
        entered.set()
        assert gate.wait(10)
        return doubling()(batch)

    async with running(run) as at:
        at.life.limit_runs(0.0)
        assert (await at.client.get("/health/live")).status_code == 200
        asked = asyncio.ensure_future(at.client.post("/predict", json={"inputs": [1, 2, 3, 4]}))
        assert await asyncio.to_thread(entered.wait, 10)
        hung = await at.client.get("/health/live")
        assert hung.status_code == 503
        assert "a batch has been running for" in hung.json()["why"]
        gate.set()
        assert (await asked).status_code == 200
        assert (await at.client.get("/health/live")).status_code == 200


async def test_a_batch_that_outlasts_every_request_is_not_ready_until_it_ends() -> None:
    gate, entered = threading.Event(), threading.Event()

    def run(batch: Tensors) -> Tensors:
        entered.set()
        assert gate.wait(10)
        return doubling()(batch)

    async with running(run) as at:
        at.life.limit_runs(300.0, 0.0)
        assert (await at.client.get("/health/ready")).status_code == 200
        asked = asyncio.ensure_future(at.client.post("/predict", json={"inputs": [1, 2, 3, 4]}))
        assert await asyncio.to_thread(entered.wait, 10)
        assert (await at.client.get("/health/ready")).status_code == 503
        assert (await at.client.get("/health/live")).status_code == 200
        gate.set()
        assert (await asked).status_code == 200
        assert (await at.client.get("/health/ready")).status_code == 200


async def test_readiness_tells_the_router_of_which_revision_it_is() -> None:
    header = "x-envoy-upstream-healthchecked-cluster"
    async with running(doubling(), revision="digits-0a1b2c3d4e", loaded=False) as at:
        answer = await at.client.get("/health/ready")
        assert (answer.status_code, answer.headers[header]) == (503, "digits-0a1b2c3d4e")
    async with running(doubling()) as at:
        assert header not in (await at.client.get("/health/ready")).headers
