"""The server as a plain ASGI application: probes first, the rest to FastAPI.

Probes and metrics are answered here, because they must not wait for a framework to be imported.
FastAPI is imported, in a thread, when something else is asked for the first time. The inference
routes usually never come here (`http/connection.py` takes them off the wire); when they do, they
are answered the same.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from typing import Any

import orjson

from modelfleet_contract import (
    EXPERIMENT_PATH,
    FEEDBACK_PATH,
    LIVE_PATH,
    METRICS_PATH,
    READY_PATH,
    SERVED_BY_HEADER,
)
from modelfleet_runtime import incoming
from modelfleet_runtime.errors import ClientLeft, MethodNotAllowed, Refusal
from modelfleet_runtime.experiment.experiment import caller_of
from modelfleet_runtime.experiment.posted import BODY_BYTES
from modelfleet_runtime.http.hangups import Hangups
from modelfleet_runtime.http.paced import MORE_FOLLOW
from modelfleet_runtime.inference import LONGEST_PATH, Inference, log_access
from modelfleet_runtime.protocols.message import JSON_HEADERS, Answer
from modelfleet_runtime.protocols.oip import routes as oip
from modelfleet_runtime.protocols.simple import routes as simple
from modelfleet_runtime.protocols.torchserve import management
from modelfleet_runtime.service import Route, Service, refused
from modelfleet_runtime.tracing import trace_id

Scope = dict[str, Any]
Send = Callable[[dict[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, incoming.Receive, Send], Awaitable[None]]

_CLOSE = (b"connection", b"close")
_PLAIN = Route("", None, simple.refuse)
"""Words a refusal of what is no inference."""


class App:
    """One server's routes. Make it inside the running loop."""

    def __init__(
        self, service: Service, rest: Callable[["App"], AsgiApp], revision: str = ""
    ) -> None:
        """`rest` makes the FastAPI application (in a thread, once). `revision` is what readiness
        says of itself to the router; empty: nothing."""
        self.service = service
        named = [(SERVED_BY_HEADER.encode(), revision.encode())] if revision else []
        self._ready_headers = [*JSON_HEADERS, *named]
        life = service.life
        self._make_rest = rest
        self._rest: asyncio.Future[AsgiApp] | None = None
        self._hangups = Hangups(asyncio.get_running_loop())
        self._posted = replace(
            service.limits, body_bytes=min(service.limits.body_bytes, BODY_BYTES)
        )
        self._probes: dict[str, Callable[[dict[bytes, bytes]], Answer]] = {
            LIVE_PATH: lambda _: self._live({"status": "live"}),
            READY_PATH: lambda _: self._ready({"status": life.state.value}),
            METRICS_PATH: self._metrics_page,
            oip.HEALTH_LIVE: lambda _: self._live({"live": True}),
            oip.HEALTH_READY: lambda _: self._ready({"ready": life.ready}),
        }

    async def __call__(self, scope: Scope, receive: incoming.Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        route = self.service.route_of_package(path) or self.service.route(path)
        if route is not None:
            await self._infer(route, scope, receive, send)
            return
        life = self.service.life
        life.in_flight += 1
        try:
            if (probe := self._probes.get(path)) is not None:
                await self._probe(probe, scope, send)
            elif (page := self.service.pages.get(path)) is not None:
                shown = page
                await self._probe(lambda headers: shown(life.ready, headers), scope, send)
            elif (said := self._torchserve(path, scope)) is not None:
                headers = dict(scope["headers"])
                await self._send(
                    said, incoming.request_id(headers, self.service.limits), scope, send
                )
            elif path == EXPERIMENT_PATH:
                await self._experiment(scope, send)
            elif path == FEEDBACK_PATH:
                await self._feedback(scope, receive, send)
            else:
                await self._to_rest(scope, receive, send)
        finally:
            life.in_flight -= 1

    # -- inference

    async def _infer(
        self, route: Route, scope: Scope, receive: incoming.Receive, send: Send
    ) -> None:
        answered: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        headers = dict(scope["headers"])
        query = scope["query_string"].decode("latin-1")
        inference = Inference(
            self.service, route, scope["method"], headers, answered.set_result, query
        )
        try:
            inference.begin()
            if not inference.ended:
                await self._give_body(inference, receive)
            if not inference.ended:
                waiter = self._hangups.watch(receive, inference.leave)
                try:
                    await asyncio.wait((answered,))
                finally:
                    self._hangups.forget(waiter)
        except asyncio.CancelledError:
            inference.leave()
            raise
        answer = answered.result()
        if answer is None:
            return
        await self._send(answer, inference.request_id, scope, send, inference.last)

    async def _give_body(self, inference: Inference, receive: incoming.Receive) -> None:
        limits = self.service.limits
        try:
            body = await incoming.body(receive, limits, inference.deadline, inference.share)
        except ClientLeft:
            inference.leave()
        except Refusal as refusal:
            inference.refuse(refusal)
        else:
            inference.body(body)

    async def _send(
        self, answer: Answer, request_id: bytes, scope: Scope, send: Send, close: bool = False
    ) -> None:
        headers = [
            *answer.headers,
            (b"content-length", b"%d" % answer.length),
        ]
        if all(name != incoming.REQUEST_ID_HEADER for name, _ in answer.headers):
            headers.append((incoming.REQUEST_ID_HEADER, request_id))
        if close or self._ends_connection(scope):
            headers.append(_CLOSE)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        tail = answer.tail
        body = {"type": "http.response.body", "body": answer.body, "more_body": bool(tail)}
        await send(body)
        for index, view in enumerate(tail, 1):
            more = index < len(tail)
            await send({"type": "http.response.body", "body": view, "more_body": more})

    def _ends_connection(self, scope: Scope) -> bool:
        """While the server drains, the last answer for which somebody waits there."""
        return self.service.life.draining and not scope["state"][MORE_FOLLOW]()

    # -- probes

    async def _probe(
        self, probe: Callable[[dict[bytes, bytes]], Answer], scope: Scope, send: Send
    ) -> None:
        headers = dict(scope["headers"])
        if scope["method"] in ("GET", "HEAD"):
            answer = probe(headers)
        else:
            answer = refused(replace(_PLAIN, refuse=self.service.refuse), MethodNotAllowed("GET"))
        await self._send(answer, incoming.request_id(headers, self.service.limits), scope, send)

    def _live(self, said: dict[str, Any]) -> Answer:
        why = self.service.life.ill()
        if why is None:
            return _json(200, said)
        return _json(503, {"status": "dead", "live": False, "why": why})

    def _ready(self, said: dict[str, Any]) -> Answer:
        status = 200 if self.service.life.ready else 503
        return Answer(status, self._ready_headers, orjson.dumps(said))

    def _metrics_page(self, headers: dict[bytes, bytes]) -> Answer:
        accept = headers.get(b"accept", b"").decode("latin-1")
        kind, page = self.service.metrics.exposition(accept)
        return Answer(200, [(b"content-type", kind.encode())], page)

    def _torchserve(self, path: str, scope: Scope) -> Answer | None:
        """What TorchServe's clients ask beside inference, where the model is an archive of it."""
        served = self.service.life.served
        if path == management.PING and (served is None or served.archive is not None):
            return management.ping(self.service.life.ready)  # what loads may be an archive
        if served is None or served.archive is None:
            return None
        if path == management.DESCRIPTION or (path == "/" and scope["method"] == "OPTIONS"):
            return management.description(served.name, served.archive)
        return None

    # -- experiments

    async def _experiment(self, scope: Scope, send: Send) -> None:
        page = b""
        if scope["method"] in ("GET", "HEAD"):
            page = await self.service.experiment.tallies.page()
        await self._probe(lambda _: Answer(200, JSON_HEADERS, page), scope, send)

    async def _feedback(self, scope: Scope, receive: incoming.Receive, send: Send) -> None:
        arrived = time.monotonic()
        headers = dict(scope["headers"])
        request_id = incoming.request_id(headers, self.service.limits)
        share = incoming.Share(self.service.bodies)
        last = False
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed("POST")
            last = incoming.ends_its_connection(headers)
            body = await self._posted_body(headers, receive, arrived, share)
            last = False
            feedback = self.service.experiment.feedback
            answer = _json(200, asdict(feedback.take(body, caller_of(headers))))
        except ClientLeft:
            return
        except Refusal as refusal:
            if refusal.limit is not None:
                self.service.metrics.limited(refusal.limit)
            answer = refused(_PLAIN, refusal)
        finally:
            share.hold(0)
        await self._send(answer, request_id, scope, send, last)
        self._tell_access(scope, headers, request_id, answer.status, arrived)

    async def _posted_body(
        self,
        headers: dict[bytes, bytes],
        receive: incoming.Receive,
        arrived: float,
        share: incoming.Share,
    ) -> bytes:
        limits = self._posted
        incoming.check_framing(headers, limits)
        until = incoming.deadline(headers, arrived, self.service.timeout)
        body = await incoming.body(receive, limits, until, share)
        encoding = headers.get(b"content-encoding", b"").strip().lower()
        if encoding in (b"", b"identity"):
            return body
        share.hold(len(body) + incoming.inflated_bytes(body, encoding, limits))
        return incoming.decompress(body, encoding, limits)

    # -- everything else

    async def _to_rest(self, scope: Scope, receive: incoming.Receive, send: Send) -> None:
        if self._rest is None:
            self._rest = asyncio.ensure_future(asyncio.to_thread(self._make_rest, self))
        rest = await asyncio.shield(self._rest)
        service = self.service
        headers = dict(scope["headers"])
        request_id = incoming.request_id(headers, service.limits)
        arrived = time.monotonic()
        status = 500

        async def send_marked(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                marks = [(incoming.REQUEST_ID_HEADER, request_id)]
                if self._ends_connection(scope):
                    marks.append(_CLOSE)
                message = {**message, "headers": [*message["headers"], *marks]}
            await send(message)

        await rest(scope, receive, send_marked)
        self._tell_access(scope, headers, request_id, status, arrived)

    def _tell_access(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        request_id: bytes,
        status: int,
        arrived: float,
    ) -> None:
        if self.service.access_log:
            seconds = time.monotonic() - arrived
            about = {
                "request_id": request_id.decode("latin-1"),
                "method": scope["method"],
                "path": scope["path"][:LONGEST_PATH],
                "status": status,
            }
            if (trace := trace_id(headers)) is not None:
                about["trace_id"] = trace
            log_access(about, seconds)


def _json(status: int, value: dict[str, Any]) -> Answer:
    return Answer(status, JSON_HEADERS, orjson.dumps(value))
