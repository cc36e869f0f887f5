"""Ports beside the one for inference, as TorchServe has them: management and metrics.

Their answers need no model, and hold no request up: all of it is in memory.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from prometheus_client import generate_latest

from modelfleet_contract import METRICS_PATH
from modelfleet_runtime import incoming, server
from modelfleet_runtime.app import AsgiApp, Scope, Send
from modelfleet_runtime.errors import MethodNotAllowed, NotFound, Refusal
from modelfleet_runtime.metrics import TEXT
from modelfleet_runtime.protocols.message import Answer
from modelfleet_runtime.protocols.torchserve import errors
from modelfleet_runtime.protocols.torchserve.management import Management
from modelfleet_runtime.service import Service
from modelfleet_runtime.settings import Settings

log = logging.getLogger("modelfleet.life")

MOST_AT_ONCE = 64
"""Requests and connections of one of these ports; one more is answered 503."""

Answers = Callable[[Scope], Answer]


@dataclass(frozen=True, slots=True)
class AsidePort:
    """One of them, open."""

    server: server.Server
    serving: asyncio.Task[None]

    async def stop(self) -> None:
        self.server.should_exit = True
        await self.serving


async def open_asides(service: Service, settings: Settings) -> list[AsidePort]:
    """Those that are asked for. Raises `CannotServe` where a port cannot be had."""
    management = Management(service.torchserve, service.metrics, datetime.now(UTC))
    asked: list[tuple[str, int | None, Answers]] = [
        ("management", settings.management_port, lambda scope: _manage(management, service, scope)),
        ("metrics", settings.metrics_port, lambda scope: _show(service, scope)),
    ]
    opened: list[AsidePort] = []
    for name, port, answers in asked:
        if port is None:
            continue
        sock = server.listen(settings.host, port, f"--{name}-port")
        made = server.Server(
            uvicorn.Config(
                _app(answers, service),
                http="httptools",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_AT_ONCE,
                timeout_keep_alive=settings.keep_alive_seconds,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.get_running_loop().create_task(made.serve(sockets=[sock]))
        await made.listening.wait()
        log.info("%s on http://%s:%d", name, settings.host, sock.getsockname()[1])
        opened.append(AsidePort(made, serving))
    return opened


def _app(answers: Answers, service: Service) -> AsgiApp:
    async def app(scope: Scope, receive: incoming.Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = answers(scope)
        except Refusal as refusal:
            answer = errors.refuse(refusal)
            if isinstance(refusal, MethodNotAllowed):
                answer.headers = [*answer.headers, (b"allow", refusal.allowed.encode())]
        headers = [
            *answer.headers,
            (b"content-length", b"%d" % answer.length),
            (
                incoming.REQUEST_ID_HEADER,
                incoming.request_id(dict(scope["headers"]), service.limits),
            ),
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    return app


def _manage(management: Management, service: Service, scope: Scope) -> Answer:
    served = service.life.served
    if served is not None and served.archive is None:
        served = None  # of another format: nothing that this API could say anything of
    query = scope["query_string"].decode("latin-1")
    answer = management.answer(scope["method"], scope["path"], query, served)
    if answer is None:
        raise _nowhere()
    return answer


def _show(service: Service, scope: Scope) -> Answer:
    """`?name[]=a&name[]=b` shows only those."""
    if scope["path"] != METRICS_PATH:
        raise _nowhere()
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed("GET")
    names = parse_qs(scope["query_string"].decode("latin-1")).get("name[]")
    if not names:
        accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
        kind, page = service.metrics.exposition(accept)
        return Answer(200, [(b"content-type", kind.encode())], page)
    registry: Any = service.metrics.registry
    return Answer(
        200,
        [(b"content-type", TEXT.encode())],
        generate_latest(_Only(registry, frozenset(names))),
    )


class _Only:
    """What a scrape shows, cut to the metrics of some names."""

    def __init__(self, registry: Any, names: frozenset[str]) -> None:
        self._registry = registry
        self._names = names

    def collect(self) -> Any:
        for metric in self._registry.collect():
            shown = [one for one in metric.samples if one.name in self._names]
            if shown or metric.name in self._names:
                metric.samples = shown or metric.samples
                yield metric


def _nowhere() -> NotFound:
    return NotFound("Requested resource is not found, please refer to API document.")
