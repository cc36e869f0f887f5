"""One inference request from its head to its answer, whichever transport carries it.

    begin     the head is there: method, model, deadline and announced length are checked
    body      the body is there: the protocol reads it, the batcher is asked
    refuse    the transport cannot go on (a body that is too large, or late)
    run_out   the time of more than this request is over
    leave     the client is gone

Whatever happens, `deliver` is called once: with the answer, or with None when the client left. It
may be called from within any of the five.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from modelfleet_contract import FEEDBACK_HEADER
from modelfleet_runtime import incoming, logs, tracing
from modelfleet_runtime.batching.entry import Entry, into
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import (
    ClientLeft,
    DeadlinePassed,
    EngineBroken,
    MethodNotAllowed,
    OutOfMemory,
    Refusal,
)
from modelfleet_runtime.experiment.experiment import CALLER, Experiment, Values
from modelfleet_runtime.protocols.message import Answer, Endpoint, Incoming, Question
from modelfleet_runtime.service import Route, Service, refused
from modelfleet_runtime.signature import Tensors
from modelfleet_runtime.tracing import RequestSpan

log = logging.getLogger("modelfleet.http")
access = logging.getLogger(logs.ACCESS)
refusals = logging.getLogger(logs.REFUSALS)

LONGEST_PATH = 256
"""Characters of a path in the log."""

_FEEDBACK_HEADER = FEEDBACK_HEADER.encode()

_LARGE = 64 * 1024
"""Bytes of a compressed body from which on it is inflated in a thread."""


_LONG = 256 * 1024
"""Bytes of a body from which on it is read in a thread, unless it becomes tensors in place. Texts
in JSON, lists of BYTES and gRPC's contents take 20 to 70 ms for a MiB."""


class Inference:
    __slots__ = (
        "_deliver", "_entry", "_finish", "_service", "_task", "_values", "arrived", "deadline",
        "ended", "headers", "last", "method", "query", "request_id", "route", "share", "span",
    )  # fmt: skip

    def __init__(
        self,
        service: Service,
        route: Route,
        method: str,
        headers: dict[bytes, bytes],
        deliver: Callable[[Answer | None], None],
        query: str = "",
    ) -> None:
        self._service = service
        self.route = route
        self.method = method
        self.headers = headers
        self.query = query
        self._deliver = deliver
        self.arrived = time.monotonic()
        self.deadline = self.arrived + service.timeout
        self.request_id = incoming.request_id(headers, service.limits)
        self.share = incoming.Share(service.bodies)
        """What this request holds of the bound on all bodies."""
        self._entry: Entry | None = None
        self._task: asyncio.Task[None] | None = None
        self._finish: Callable[[Tensors], Answer] | None = None
        self._values: Values = ()
        """What the model returned that is counted for an experiment."""
        self.span: RequestSpan | None = None
        if service.tracing is not None:
            self.span = service.tracing.begin(
                headers,
                self.arrived,
                method,
                None if route.endpoint is None else route.path,
                self.request_id,
            )
        self.last = False
        """Whether nothing more can be read on its connection."""
        self.ended = False
        """Whether `deliver` was called."""
        service.life.in_flight += 1
        service.life.inferring += 1

    def begin(self) -> None:
        service = self._service
        try:
            if self.method not in self.route.methods:
                raise MethodNotAllowed(", ".join(self.route.methods))
            if self.route.endpoint is None:
                service.oip.explain_unknown(self.route.path)
            service.life.model()
            if incoming.TIMEOUT_HEADER in self.headers:
                self.deadline = incoming.deadline(self.headers, self.arrived, service.timeout)
            incoming.check_framing(self.headers, service.limits)
        except Refusal as refusal:
            self.last = incoming.ends_its_connection(self.headers)
            self.refuse(refusal)

    def body(self, body: bytes) -> None:
        """All of it, as it came; `share` holds it already."""
        if self.ended:
            return
        encoding = self.headers.get(b"content-encoding")
        if (
            encoding is not None
            and self.route.inflates
            and encoding.strip().lower() not in (b"identity", b"")
        ):
            self._inflate(body, encoding)
        else:
            self._ask_protocol(body)

    def refuse(self, refusal: Refusal) -> None:
        if not self.ended:
            if refusal.limit is not None:
                self._service.metrics.limited(refusal.limit)
            if refusal.status >= 500:
                self._tell(refusal)
            self._end(refused(self.route, refusal))

    def run_out(self, refusal: DeadlinePassed) -> None:
        if self.ended:
            return
        if self._entry is not None:
            self._service.life.model().batcher.run_out(self._entry, refusal)
        if self._task is not None:
            self._task.cancel()
        self.refuse(refusal)

    def leave(self) -> None:
        if self.ended:
            return
        if self._entry is not None:
            self._service.life.model().batcher.leave(self._entry)
        if self._task is not None:
            self._task.cancel()
        if not self.ended:
            self._end(None)

    # -- the way to the batcher and back

    def _inflate(self, body: bytes, encoding: bytes) -> None:
        limits = self._service.limits
        if len(body) > _LARGE:
            self._start(self._inflate_aside(body, encoding))
            return
        try:
            plain = incoming.decompress(body, encoding, limits)
            self.share.hold(len(plain))
        except Refusal as refusal:
            self.refuse(refusal)
        else:
            self._ask_protocol(plain)

    async def _inflate_aside(self, body: bytes, encoding: bytes) -> None:
        limits = self._service.limits
        size = len(body) + incoming.inflated_bytes(body, encoding, limits)
        work = partial(incoming.decompress, body, encoding, limits)
        self.share.hold(0)  # it is counted there, for as long as it is there
        plain = await self._service.aside.do(work, size, self.deadline)
        self.share.hold(len(plain))
        self._task = None
        self._ask_protocol(plain)

    def _ask_protocol(self, body: bytes) -> None:
        endpoint = self.route.endpoint
        assert endpoint is not None, "refused before its body was read"
        try:
            served = self._service.life.model()
            request = Incoming(
                *(self.headers, body, served, self.deadline, self._ask, self.request_id),
                *(self.method, self.route.path, self.query),
            )
            if len(body) > _LONG and not self.route.in_place(request):
                self._start(self._read_aside(endpoint, request))
            else:
                self._ask_batcher(served, endpoint(request))
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception:
            self._fault()

    async def _read_aside(self, endpoint: Endpoint, request: Incoming) -> None:
        size = len(request.body)
        self.share.hold(0)  # it is counted there, for as long as it is there
        given = await self._service.aside.do(partial(endpoint, request), size, self.deadline)
        self.share.hold(size)
        self._task = None
        self._ask_batcher(request.served, given)

    def _ask_batcher(self, served: Served, given: Question | Coroutine[Any, Any, Answer]) -> None:
        if not isinstance(given, Question):
            self._start(self._finish_coroutine(given))
            return
        until = self._until(given.time_limit)
        self._finish = given.finish
        self._entry = served.batcher.submit(
            given.tensors, self.arrived, until, self._settled, given.priority
        )
        self._entry.span = self.span

    def _settled(self, entry: Entry) -> None:
        self._entry = None
        if self.ended:
            return
        if entry.refusal is not None:
            if isinstance(entry.refusal, ClientLeft):
                self._end(None)
            else:
                self.refuse(entry.refusal)
            return
        try:
            assert self._finish is not None
            assert entry.outputs is not None
            returned = self._service.experiment.returned
            if returned is not None:
                self._values = returned.of(entry.outputs, entry.total)
            answer = self._finish(entry.outputs)
        except Refusal as refusal:
            self.refuse(refusal)
        except MemoryError:
            self.refuse(OutOfMemory("there is not enough memory for this request's answer"))
        except Exception:
            self._fault()
        else:
            self._end(answer)

    async def _ask(self, tensors: Tensors, time_limit: float | None = None) -> Tensors:
        answer: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
        batcher = self._service.life.model().batcher
        until = self._until(time_limit)
        entry = batcher.submit(tensors, self.arrived, until, into(answer))
        entry.span = self.span
        try:
            outputs = await answer
        except asyncio.CancelledError:
            batcher.leave(entry)
            raise
        returned = self._service.experiment.returned
        if returned is not None:
            self._values = returned.of(outputs, entry.total)
        return outputs

    def _until(self, time_limit: float | None) -> float:
        if time_limit is None:
            return self.deadline
        return min(self.deadline, self.arrived + time_limit)

    def _start(self, steps: Coroutine[Any, Any, None]) -> None:
        span = self.span
        self._task = asyncio.get_running_loop().create_task(
            self._guarded(steps),
            context=tracing.passed_on(self.headers) if span is None else span.context(),
        )

    async def _guarded(self, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception:
            self._fault()

    async def _finish_coroutine(self, steps: Coroutine[Any, Any, Answer]) -> None:
        answer = await steps
        if not self.ended:
            self._end(answer)

    # -- the end

    def _tell(self, refusal: Refusal) -> None:
        """What was no fault of the client goes to the log. An overload refuses thousands in a
        second: then most are counted only."""
        kind = type(refusal).__name__
        suppressed = self._service.refusals_told.ask(kind)
        if suppressed is None:
            return
        extra = self._about(refusal.status) | {"kind": kind}
        if suppressed:
            extra["suppressed"] = suppressed
        refusals.log(
            logging.ERROR if refusal.status == EngineBroken.status else logging.WARNING,
            "answered %d: %s",
            refusal.status,
            refusal.message,
            extra=extra,
        )

    def _about(self, status: int) -> dict[str, Any]:
        """What a log line says of the request."""
        about = {
            "request_id": self.request_id.decode("latin-1"),
            "method": self.method,
            "path": self.route.path[:LONGEST_PATH],
            "status": status,
        }
        trace = tracing.trace_id(self.headers) if self.span is None else self.span.trace_id
        if trace is not None:
            about["trace_id"] = trace
        return about

    def _fault(self) -> None:
        """A bug of ours, and no reason to leave the client without an answer."""
        log.exception("a request failed", extra={"request_id": self.request_id.decode()})
        self.refuse(EngineBroken("the server failed; its log has the details"))

    def _count(self, experiment: Experiment, answer: Answer) -> None:
        bucket = experiment.answered(self.headers, answer.status, self._values)
        if experiment.gives_ids and answer.status == 200:
            feedback = experiment.feedback.id_for(self.request_id, bucket)
            answer.headers = [*answer.headers, (_FEEDBACK_HEADER, feedback)]

    def _end(self, answer: Answer | None) -> None:
        self.ended = True
        service = self._service
        experiment = service.experiment
        if answer is not None and (experiment.counts_all or CALLER in self.headers):
            self._count(experiment, answer)
        service.life.in_flight -= 1
        service.life.inferring -= 1
        self.share.hold(0)
        status = ClientLeft.status if answer is None else answer.status
        now = time.monotonic()
        seconds = now - self.arrived
        service.metrics.answered(status, seconds)
        if self.span is not None:
            self.span.end(status)
        service.statistics.answered(status, seconds, now)
        if service.access_log:
            log_access(self._about(status), seconds)
        deliver, self._deliver, self._finish = self._deliver, _delivered, None
        deliver(answer)


def _delivered(_answer: Answer | None) -> None:
    """Stands where the transport's own stood: the two held each other, and a cycle for each request
    would make the interpreter's collector walk through all objects hundreds of times a second."""


def log_access(about: dict[str, Any], seconds: float) -> None:
    access.info(
        "%s %s %d",
        about["method"],
        about["path"],
        about["status"],
        extra=about | {"seconds": round(seconds, 6)},
    )
