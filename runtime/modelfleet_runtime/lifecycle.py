"""One process's life: listen, load, serve, drain, end.

The door opens before the model is loaded, so that the probes can tell "loading" from "dead".

SIGTERM: readiness goes at once, and answers carry `Connection: close`, so that busy connections
move elsewhere. What was accepted is finished; what still comes on open connections, and for
`drain_seconds` on new ones, is served. Then the door closes and the process ends with 0. A second
signal changes nothing: the kubelet's SIGKILL is the limit, so everything after SIGTERM is bounded:
the request's timeout and `LAST_ANSWERS_S`, `CLOSING_S`, `ENGINE_S` and `SPANS_S` make timeout + 8
s, and the operator's pods leave timeout + 10 s.

A process that is ill (`Life.ill`) when it is told to stop ends with a failure that says why.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from modelfleet_contract import GRPC_PORT, FailureReason, ServeDocument
from modelfleet_runtime import loading, server
from modelfleet_runtime.app import App, AsgiApp
from modelfleet_runtime.aside_ports import open_asides
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.engines.engine import Engine
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.experiment.experiment import Experiment
from modelfleet_runtime.grpc_server import GrpcServer
from modelfleet_runtime.life import Life
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.protocols.dialects import dialect_of
from modelfleet_runtime.service import Service
from modelfleet_runtime.settings import Settings
from modelfleet_runtime.tracing import Tracing
from modelfleet_runtime.watchdog import watch

if TYPE_CHECKING:
    from modelfleet_runtime.grpcio_server import GrpcioServer

log = logging.getLogger("modelfleet.life")

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that wants the interpreter's lock is given it. At Python's own 5 ms
a finished batch waits that long for a busy loop to let go."""

POLL = 0.02
"""Seconds between two looks while draining."""

LAST_ANSWERS_S = 3
"""After SIGTERM, beyond the longest request: for those that came a little later, and for sending
the answers."""

CLOSING_S = 3
"""For the door to close on requests whose client reads nothing."""

ENGINE_S = 1
"""For the engine to close."""

SPANS_S = 1
"""For the last spans to be sent, where requests are traced."""


async def serve(document: ServeDocument, location: Path, settings: Settings) -> None:
    """Until SIGTERM or SIGINT and the drain after it. Raises `CannotServe`."""
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    sys.setswitchinterval(SWITCH_INTERVAL)
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    metrics = Metrics(document.name)
    life = Life(metrics)
    timeout = document.timeout / timedelta(seconds=1)
    if settings.drain_seconds > _longest_drain(timeout):
        log.warning(
            "MODELFLEET_DRAIN_SECONDS is %g, but a drain takes at most %g s: the timeout and %d s",
            settings.drain_seconds,
            _longest_drain(timeout),
            LAST_ANSWERS_S,
        )
    life.limit_runs(settings.stall_seconds or max(300.0, 10 * timeout), timeout)
    version = document.model.version or loading.NO_VERSION
    tracing = Tracing.from_env(document.name, version, document.namespace, document.revision)
    if tracing is not None:
        tracing.install()
    service = Service(
        document.name,
        version,
        life,
        metrics,
        timeout,
        settings.limits,
        settings.access_log,
        tracing,
        Experiment(document.name, metrics, document.revision, document.values, document.feedback),
    )
    await _speak(service, document, location)
    watch(loop)
    sock = server.listen(settings.host, settings.port)
    grpc = await _open_grpc(service, document, settings)
    asides = await open_asides(service, settings)
    http = server.make(App(service, _rest, document.revision), settings)
    http.config.timeout_graceful_shutdown = CLOSING_S
    serving = loop.create_task(http.serve(sockets=[sock]))
    worker = Worker(loop)
    try:
        await http.listening.wait()
        address = f"http://{settings.host}:{sock.getsockname()[1]}"
        log.info("listening on %s", address)
        engine = await _load_unless_told(
            document, location, settings, service, worker, told, tracing
        )
        if engine is None:
            return
        log.info("ready after %.2f s: %s", time.monotonic() - began, address)
        await told.wait()
        ill = life.ill()
        life.drain()
        await _drain(life, settings.drain_seconds, timeout)
    finally:
        http.should_exit = True
        closing = loop.create_task(grpc.stop(CLOSING_S)) if grpc is not None else None
        await serving
        for aside in asides:
            await aside.stop()
        if closing is not None:
            await closing
        if life.served is not None:
            life.served.batcher.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENGINE_S):
            await worker.call(engine.close)
    worker.close()
    if tracing is not None:
        await asyncio.to_thread(tracing.close, SPANS_S)
    log.info("ended")
    if ill is not None:  # the kubelet ended it for that: the pod's status is to say so
        raise CannotServe(FailureReason.CRASHED, ill)


async def _speak(service: Service, document: ServeDocument, location: Path) -> None:
    """The protocol that the package brings, if it does."""
    package = await asyncio.to_thread(loading.recognised, document, location)
    if package is None:
        return
    environment = {**os.environ, **package.environment}
    dialect = dialect_of(package.format, environment, service.limits, document.engine.workers)
    if dialect is not None:
        service.speak(dialect)
        log.info("answers %s", ", ".join((*dialect.asked, *dialect.pages)))


async def _open_grpc(
    service: Service, document: ServeDocument, settings: Settings
) -> "GrpcServer | GrpcioServer | None":
    if settings.grpc_port is None:
        return None
    grpc = _make_grpc(service, document, settings)
    try:
        port = await grpc.start(settings.host, settings.grpc_port)
    except CannotServe as error:
        if settings.grpc_port != GRPC_PORT:
            raise
        # Nobody asked for it, and a second server on a desk is no reason not to serve.
        log.warning("%s: there is no gRPC; --grpc-port takes another", error.failure.message)
        return None
    service.life.on_change.append(grpc.changed)
    log.info("gRPC on %s:%d", settings.host, port)
    return grpc


def _make_grpc(
    service: Service, document: ServeDocument, settings: Settings
) -> "GrpcServer | GrpcioServer":
    if settings.grpc == "own":
        return GrpcServer(service, document.batching)
    try:
        from modelfleet_runtime.grpcio_server import GrpcioServer
    except ImportError as error:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            "MODELFLEET_GRPC=grpcio needs the Python package grpcio, which is not installed",
        ) from error
    return GrpcioServer(service, document.batching)


async def _load_unless_told(
    document: ServeDocument,
    location: Path,
    settings: Settings,
    service: Service,
    worker: Worker,
    told: asyncio.Event,
    tracing: Tracing | None,
) -> Engine | None:
    """None when the process was told to stop before the model was there."""
    life, metrics = service.life, service.metrics
    load = asyncio.ensure_future(
        loading.load(document, location, settings.threads, metrics, worker, life.died, tracing)
    )
    stop = asyncio.ensure_future(told.wait())
    await asyncio.wait((load, stop), return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not load.done():
        load.cancel()
        life.drain()
        log.info("told to stop while loading")
        return None
    served, engine = load.result()
    metrics.model(served.name, served.version, served.platform)
    life.loaded(served)
    return engine


def _longest_drain(longest_request: float) -> float:
    return longest_request + LAST_ANSWERS_S  # every request ends by its deadline


async def _drain(life: Life, drain_seconds: float, longest_request: float) -> None:
    log.info("draining: %d requests in flight", life.in_flight)
    began = time.monotonic()
    last = began + _longest_drain(longest_request)
    while (now := time.monotonic()) < last:
        if now - began >= drain_seconds and life.in_flight == 0:
            break
        await asyncio.sleep(POLL)
    log.info("drained in %.2f s", time.monotonic() - began)


def _rest(app: App) -> AsgiApp:
    from modelfleet_runtime.pages import make

    return make(app)
