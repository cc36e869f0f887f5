"""The server in this process, on a real socket, with an engine of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from modelfleet_contract import Batching, ModelValue, Tallies
from modelfleet_runtime import server
from modelfleet_runtime.app import App, AsgiApp
from modelfleet_runtime.batching.batcher import Batcher
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.experiment.experiment import Experiment
from modelfleet_runtime.life import Life
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.service import Service
from modelfleet_runtime.settings import Settings
from modelfleet_runtime.signature import Signature, Tensors
from tests.unit.runtime.builders import PIXELS

LONGEST = 20.0
"""Seconds that a request may take."""


@dataclass
class Running:
    client: httpx.AsyncClient
    life: Life
    metrics: Metrics
    port: int
    served: Served
    connections: Set[Any]
    """uvicorn's, one for each that is open."""
    stop: Callable[[], None]
    """As a drain does: no new connections, and what has come is answered."""

    async def tallies(self) -> Tallies:
        return Tallies.from_json((await self.client.get("/experiment")).content)


def _pages(app: App) -> AsgiApp:
    from modelfleet_runtime.pages import make

    return make(app)


@asynccontextmanager
async def running(
    run: Callable[[Tensors], Tensors],
    signature: Signature = PIXELS,
    loaded: bool = True,
    limits: RequestLimits | None = None,
    batching: Batching | None = None,
    transport: str = "own",
    access_log: bool = False,
    keep_alive_seconds: int = 75,
    revision: str = "",
    values: Sequence[ModelValue] = (),
    feedback: Sequence[str] = (),
    **steps: Callable[..., object],
) -> AsyncIterator[Running]:
    loop = asyncio.get_running_loop()
    settings = Settings(http=transport, keep_alive_seconds=keep_alive_seconds)
    metrics = Metrics("m")
    life = Life(metrics)
    worker = Worker(loop)
    batcher = Batcher(
        run,
        signature,
        batching or Batching(),
        metrics,
        worker,
        loop,
        Pace(computes=False),
        on_dead=life.died,
    )
    served = Served("m", "3", "onnx", batcher, **steps)  # type: ignore[arg-type]
    if loaded:
        life.loaded(served)
    experiment = Experiment("m", metrics, revision, values, feedback)
    service = Service(
        *("m", "3", life, metrics, LONGEST, limits or RequestLimits()),
        access_log=access_log,
        experiment=experiment,
    )
    sock = server.listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    http = server.make(App(service, _pages, revision), settings)
    serving = loop.create_task(http.serve(sockets=[sock]))
    await http.listening.wait()

    def stop() -> None:
        http.should_exit = True

    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            yield Running(client, life, metrics, port, served, http.server_state.connections, stop)
    finally:
        stop()
        await serving
        batcher.close()
        worker.close()
