"""Where a request's time went, for who follows it through several services.

`traceparent` and `tracestate` (W3C) are read from every request that has them: the trace's id is
in the log lines about the request, and the model's `preprocess` and `postprocess` run inside that
trace, so that what they call with OpenTelemetry's own means belongs to it.

With an exporter (OTEL_EXPORTER_OTLP_ENDPOINT, see docs/runtime.md) there are spans as well:

    POST /predict      kind server, from the request's arrival to its answer
      queue            until its first batch began
      engine           in a batch; linked to the run
    run                one call of the model: a child of the first request, linked to the others

OpenTelemetry's packages are imported only then. Without, each place that could make a span looks
whether there is a `Tracing`, and that is all it costs.
"""

import contextvars
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanContext

TRACEPARENT = b"traceparent"
TRACESTATE = b"tracestate"

MOST_BATCHES = 16
"""Spans for the batches of one request; one that is cut into more says how many they were."""

_PARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
"""Of version 00; a later one may have more behind a hyphen."""
_LONGEST = 512
"""Bytes of a `traceparent` that OpenTelemetry still reads."""

Headers = Mapping[bytes, bytes]
Run = Callable[[Any], Any]


def trace_id(headers: Headers) -> str | None:
    """The id of the trace that `traceparent` names; None without one, or where it is damaged."""
    given = headers.get(TRACEPARENT)
    if given is None or len(given) > _LONGEST:
        return None
    match = _PARENT.match(given)
    if match is None:
        return None
    rest = given[match.end() :]
    if rest and (given.startswith(b"00") or not rest.startswith(b"-")):
        return None
    return match[1].decode()


def passed_on(headers: Headers) -> contextvars.Context | None:
    """The trace that the request belongs to, as a context for the model's own code. None where
    there is none, or where that code does not use OpenTelemetry."""
    if TRACEPARENT not in headers or "opentelemetry.trace" not in sys.modules:
        return None
    return _running_in(_extract(headers))


class Tracing:
    """Makes spans, and sends them away in a thread of its own."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("modelfleet")

    @classmethod
    def from_env(cls, name: str, version: str, namespace: str, revision: str) -> "Tracing | None":
        """None unless the environment names an exporter. Raises `CannotServe` for one that this
        server does not have.

        The arguments describe the server where OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES do
        not say anything else.
        """
        if not wanted(os.environ):
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        about = {
            "service.name": name,
            "service.version": version,
            "k8s.namespace.name": namespace,
            "modelfleet.revision": revision,
        }
        resource = Resource.create(
            {key: value for key, value in about.items() if value}
            | dict(OTELResourceDetector().detect().attributes)
        )
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        return cls(provider)

    def install(self) -> None:
        """Spans that the model's own code makes go the same way."""
        from opentelemetry import trace

        trace.set_tracer_provider(self._provider)

    def begin(
        self, headers: Headers, arrived: float, method: str, route: str | None, request_id: bytes
    ) -> "RequestSpan":
        """`arrived` as of `time.monotonic`; `route` is None for a path that only a client knows."""
        from opentelemetry.trace import SpanKind

        parent = _extract(headers)
        offset = time.time_ns() - int(time.monotonic() * 1e9)
        attributes = {
            "http.request.method": method,
            "url.scheme": "http",
            "modelfleet.request_id": request_id.decode("latin-1"),
        }
        if route is not None:
            attributes["http.route"] = route
        span = self._tracer.start_span(
            method if route is None else f"{method} {route}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes=attributes,
            start_time=offset + int(arrived * 1e9),
        )
        return RequestSpan(self._tracer, span, parent, arrived, offset)

    def batch(
        self, run: Run, requests: "Sequence[RequestSpan | None]", rows: int, began: float
    ) -> Run:
        """`run` for one batch, with a span around each call. `requests` are those whose rows are in
        it, `began` is as of `time.monotonic`."""
        traced = [span for span in requests if span is not None and span.recording]
        if not traced:
            return run
        # A request that is cut may be in one batch several times.
        made = BatchRun(self._tracer, run, list(dict.fromkeys(traced)), rows, len(requests), began)
        for span in made.requests:
            span.batches.append(made)
        return made

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most."""
        sender = threading.Thread(target=self._provider.shutdown, daemon=True)
        sender.start()
        sender.join(seconds)


class RequestSpan:
    """One request, from its arrival until `end`. Belongs to the loop's thread."""

    __slots__ = ("_arrived", "_offset", "_parent", "_span", "_tracer", "batches", "recording")

    def __init__(
        self, tracer: Any, span: "Span", parent: "Context", arrived: float, offset: int
    ) -> None:
        self._tracer = tracer
        self._span = span
        self._parent = parent
        self._arrived = arrived
        self._offset = offset
        """Nanoseconds from `time.monotonic` to the time of day."""
        self.recording = span.is_recording()
        """Whether it was sampled."""
        self.batches: list[BatchRun] = []

    @property
    def ids(self) -> "SpanContext":
        return self._span.get_span_context()

    @property
    def trace_id(self) -> str:
        """As `trace_id` of the headers, and of a trace that began here where there were none."""
        return f"{self.ids.trace_id:032x}"

    @property
    def within(self) -> "Context":
        """OpenTelemetry's context with this span as the current one."""
        from opentelemetry.trace import set_span_in_context

        return set_span_in_context(self._span, self._parent)

    def context(self) -> contextvars.Context:
        """For a task that runs the model's own code."""
        return _running_in(self.within)

    def end(self, status: int) -> None:
        """The HTTP status that the client hears, or 499 when it left."""
        span = self._span
        if not self.recording:
            return
        ended = time.monotonic()
        if self.batches:
            self._children(ended)
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            from opentelemetry.trace import StatusCode

            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        span.end(self._time(ended))

    def _children(self, ended: float) -> None:
        self._child("queue", self._arrived, self.batches[0].began)
        for batch in self.batches[:MOST_BATCHES]:
            # It still runs where the request's deadline has passed.
            self._child("engine", batch.began, batch.ended or ended, batch.runs)
        self._span.set_attribute("modelfleet.batches", len(self.batches))

    def _child(
        self, name: str, began: float, ended: float, runs: "Sequence[SpanContext]" = ()
    ) -> None:
        from opentelemetry.trace import Link

        span = self._tracer.start_span(
            name,
            context=self.within,
            start_time=self._time(began),
            links=[Link(ids) for ids in tuple(runs)],
        )
        span.end(self._time(ended))

    def _time(self, monotonic: float) -> int:
        return self._offset + int(monotonic * 1e9)


class BatchRun:
    """The engine's `run` for one batch. Made on the loop's thread, called on the engine's."""

    __slots__ = ("_attributes", "_run", "_tracer", "began", "ended", "requests", "runs")

    def __init__(
        self,
        tracer: Any,
        run: Run,
        requests: "list[RequestSpan]",
        rows: int,
        members: int,
        began: float,
    ) -> None:
        self._tracer = tracer
        self._run = run
        self._attributes = {"modelfleet.batch.rows": rows, "modelfleet.batch.requests": members}
        self.requests = requests
        self.began = began
        self.ended: float | None = None
        """When the last call returned. A batch that failed as a whole is called again in parts."""
        self.runs: list[SpanContext] = []
        """The span of each call."""

    def __call__(self, tensors: Any) -> Any:
        from opentelemetry.trace import Link

        first, *others = self.requests
        try:
            with self._tracer.start_as_current_span(
                "run",
                # It is sampled when one of its requests is.
                context=first.within,
                links=[Link(request.ids) for request in others],
                attributes=self._attributes,
                record_exception=False,
            ) as span:
                self.runs.append(span.get_span_context())
                return self._run(tensors)
        finally:
            self.ended = time.monotonic()


def wanted(env: Mapping[str, str]) -> bool:
    """Whether spans are to be exported. Raises `CannotServe` for an exporter that is not here."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip()
    if exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise _wrong("OTEL_TRACES_EXPORTER", exporter, "otlp or none")
    endpoints = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if not exporter and not any(env.get(name, "").strip() for name in endpoints):
        return False
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = env.get(name, "").strip()
        if protocol == "http/protobuf":
            break
        if protocol:
            raise _wrong(name, protocol, "http/protobuf (a collector takes it on port 4318)")
    return True


def _wrong(name: str, text: str, allowed: str) -> CannotServe:
    return CannotServe(
        FailureReason.DOCUMENT_INVALID, f"the setting {name} is {text[:40]!r}, not {allowed}"
    )


def _extract(headers: Headers) -> "Context":
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {
        name.decode(): headers[name].decode("latin-1")
        for name in (TRACEPARENT, TRACESTATE)
        if name in headers
    }
    empty = Context()  # what happens to run here is not part of the client's trace
    return TraceContextTextMapPropagator().extract(carrier, empty) if carrier else empty


def _running_in(within: "Context") -> contextvars.Context:
    from opentelemetry.context import attach

    made = contextvars.copy_context()
    made.run(attach, within)
    return made
