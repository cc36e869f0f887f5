"""The server as a plain ASGI application: hot routes first, probes next, the rest to FastAPI.

An inference passes no framework: its route is found in a dictionary, its body goes through the
protocol's codec to the batcher, and its answer straight back. Probes and metrics are answered here
as well, because they must not wait for a framework to be imported. FastAPI is imported, in a
thread, when something else is asked for the first time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from modelfleet_contract import LIVE_PATH, METRICS_PATH, READY_PATH
from modelfleet_runtime import incoming
from modelfleet_runtime.batching.entry import into
from modelfleet_runtime.errors import ClientLeft, EngineBroken, MethodNotAllowed, Refusal
from modelfleet_runtime.hangups import Hangups
from modelfleet_runtime.life import Life
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.protocols.message import JSON_HEADERS, Answer, Endpoint, Incoming, Refuse
from modelfleet_runtime.protocols.oip import routes as oip
from modelfleet_runtime.protocols.simple import routes as simple
from modelfleet_runtime.signature import Tensors

log = logging.getLogger("modelfleet.http")
access = logging.getLogger("modelfleet.access")

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, incoming.Receive, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")


class App:
    """One server's routes. Make it inside the running loop."""

    def __init__(
        self,
        name: str,
        version: str,
        life: Life,
        metrics: Metrics,
        timeout: float,
        limits: RequestLimits,
        rest: Callable[["App"], AsgiApp],
        access_log: bool = False,
    ) -> None:
        """`timeout` in seconds; `rest` makes the FastAPI application (in a thread, once)."""
        self.name = name
        self.version = version
        self.life = life
        self.metrics = metrics
        self.oip = oip.OipRoutes(name, version)
        self._timeout = timeout
        self._limits = limits
        self._bodies = incoming.Bodies(limits)
        self._access_log = access_log
        self._make_rest = rest
        self._rest: asyncio.Future[AsgiApp] | None = None
        self._hangups = Hangups(asyncio.get_running_loop())
        plain = simple.SimpleRoutes(name, version)
        self._hot: dict[str, tuple[Endpoint, Refuse]] = {
            simple.PREDICT: (plain.predict, simple.refuse),
            simple.PREDICT_BATCH: (plain.predict_batch, simple.refuse),
            **dict.fromkeys(self.oip.infer_paths(), (self.oip.infer, oip.refuse)),
        }
        self._probes: dict[str, Callable[[dict[bytes, bytes]], Answer]] = {
            LIVE_PATH: lambda _: _json(200, {"status": "live"}),
            READY_PATH: lambda _: self._ready({"status": life.state.value}),
            METRICS_PATH: self._metrics_page,
            oip.HEALTH_LIVE: lambda _: _json(200, {"live": True}),
            oip.HEALTH_READY: lambda _: self._ready({"ready": life.ready}),
        }

    async def __call__(self, scope: Scope, receive: incoming.Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        self.life.in_flight += 1
        try:
            hot = self._hot.get(path)
            if hot is not None:
                await self._infer(hot[0], hot[1], scope, receive, send)
            elif (probe := self._probes.get(path)) is not None:
                await self._probe(probe, scope, send)
            elif self.oip.is_infer(path):
                await self._infer(self._unknown, oip.refuse, scope, receive, send)
            else:
                await self._to_rest(scope, receive, send)
        finally:
            self.life.in_flight -= 1

    # -- inference

    async def _infer(
        self,
        endpoint: Endpoint,
        refuse: Refuse,
        scope: Scope,
        receive: incoming.Receive,
        send: Send,
    ) -> None:
        arrived = time.monotonic()
        life = self.life
        life.inferring += 1
        headers = dict(scope["headers"])
        request_id = incoming.request_id(headers, self._limits)
        share = incoming.Share(self._bodies)
        try:
            answer = await self._answer(endpoint, scope, headers, receive, arrived, share)
        except Refusal as refusal:
            answer = _with_hints(refuse(refusal), refusal)
        except Exception:
            log.exception("a request failed", extra={"request_id": request_id.decode()})
            answer = refuse(EngineBroken("the server failed; its log has the details"))
        finally:
            life.inferring -= 1
            share.hold(0)
        if answer.status != ClientLeft.status:
            await self._send(answer, request_id, send)
        seconds = time.monotonic() - arrived
        self.metrics.answered(answer.status, seconds)
        if self._access_log:
            _log_access(scope, answer.status, seconds, request_id)

    async def _answer(
        self,
        endpoint: Endpoint,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: incoming.Receive,
        arrived: float,
        share: incoming.Share,
    ) -> Answer:
        if scope["method"] != "POST":
            raise MethodNotAllowed("POST")
        if endpoint == self._unknown:
            self.oip.explain_unknown(scope["path"])
        served = self.life.model()
        deadline = incoming.deadline(headers, arrived, self._timeout)
        body = await incoming.body(headers, receive, self._limits, deadline, share)
        batcher = served.batcher

        async def ask(tensors: Tensors, time_limit: float | None = None) -> Tensors:
            until = deadline if time_limit is None else min(deadline, arrived + time_limit)
            answer: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
            entry = batcher.submit(tensors, arrived, until, into(answer))
            waiter = self._hangups.watch(receive, lambda: batcher.leave(entry))
            try:
                return await answer
            except asyncio.CancelledError:
                batcher.leave(entry)
                raise
            finally:
                self._hangups.forget(waiter)

        return await endpoint(Incoming(headers, body, served, ask, deadline))

    async def _unknown(self, request: Incoming) -> Answer:
        raise AssertionError("refused before its body is read")

    async def _send(self, answer: Answer, request_id: bytes, send: Send) -> None:
        headers = [
            *answer.headers,
            (b"content-length", b"%d" % len(answer.body)),
            (incoming.REQUEST_ID_HEADER, request_id),
        ]
        if self.life.draining:
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    # -- probes

    async def _probe(
        self, probe: Callable[[dict[bytes, bytes]], Answer], scope: Scope, send: Send
    ) -> None:
        headers = dict(scope["headers"])
        if scope["method"] in ("GET", "HEAD"):
            answer = probe(headers)
        else:
            refusal = MethodNotAllowed("GET")
            answer = _with_hints(simple.refuse(refusal), refusal)
        await self._send(answer, incoming.request_id(headers, self._limits), send)

    def _ready(self, said: dict[str, Any]) -> Answer:
        return _json(200 if self.life.ready else 503, said)

    def _metrics_page(self, headers: dict[bytes, bytes]) -> Answer:
        kind, page = self.metrics.exposition(headers.get(b"accept", b"").decode("latin-1"))
        return Answer(200, [(b"content-type", kind.encode())], page)

    # -- everything else

    async def _to_rest(self, scope: Scope, receive: incoming.Receive, send: Send) -> None:
        if self._rest is None:
            self._rest = asyncio.ensure_future(asyncio.to_thread(self._make_rest, self))
        rest = await asyncio.shield(self._rest)
        request_id = incoming.request_id(dict(scope["headers"]), self._limits)
        arrived = time.monotonic()
        status = 500

        async def send_marked(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = [(incoming.REQUEST_ID_HEADER, request_id)]
                if self.life.draining:
                    marks.append(_CLOSE)
                message = {**message, "headers": [*message["headers"], *marks]}
            await send(message)

        await rest(scope, receive, send_marked)
        if self._access_log:
            _log_access(scope, status, time.monotonic() - arrived, request_id)


def _json(status: int, value: dict[str, Any]) -> Answer:
    return Answer(status, JSON_HEADERS, orjson.dumps(value))


def _with_hints(answer: Answer, refusal: Refusal) -> Answer:
    headers = list(answer.headers)
    if refusal.retry_after is not None:
        headers.append((b"retry-after", b"%d" % refusal.retry_after))
    if isinstance(refusal, MethodNotAllowed):
        headers.append((b"allow", refusal.allowed.encode()))
    return Answer(answer.status, headers, answer.body)


def _log_access(scope: Scope, status: int, seconds: float, request_id: bytes) -> None:
    access.info(
        "%s %s %d",
        scope["method"],
        scope["path"],
        status,
        extra={
            "request_id": request_id.decode("latin-1"),
            "status": status,
            "seconds": round(seconds, 6),
        },
    )
