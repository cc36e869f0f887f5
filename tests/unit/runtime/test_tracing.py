"""A request's trace: taken from its headers, handed to the model's code, and exported over OTLP."""

import contextvars
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from modelfleet_runtime import tracing
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.tracing import Tracing
from tests.unit.runtime.builders import python_model
from tests.unit.runtime.processes import DIGITS, client, runtime

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
HEADERS = {b"traceparent": f"00-{TRACE}-{PARENT}-01".encode(), b"tracestate": b"vendor=1"}
UNSAMPLED = {b"traceparent": f"00-{TRACE}-{PARENT}-00".encode()}


class Receiver(ThreadingHTTPServer):
    """Takes OTLP over HTTP, as a collector does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: queue.SimpleQueue[tuple[str, ExportTraceServiceRequest]] = (
            queue.SimpleQueue()
        )


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Receiver)
        self.server.requests.put((self.path, ExportTraceServiceRequest.FromString(body)))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def collector(monkeypatch: pytest.MonkeyPatch, **env: str) -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{receiver.server_address[1]}"
        for name, value in ({"OTEL_EXPORTER_OTLP_ENDPOINT": url} | env).items():
            monkeypatch.setenv(name, value)
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def made() -> Tracing:
    made = Tracing.from_env("digits", "3", "shop", "digits-7f")
    assert made is not None
    return made


def spans(receiver: Receiver) -> tuple[dict[str, str], list[Any]]:
    """The resource's attributes and all spans of the one request that came."""
    path, request = receiver.requests.get(timeout=20)
    assert path == "/v1/traces"
    (resource,) = request.resource_spans
    about = {a.key: a.value.string_value for a in resource.resource.attributes}
    return about, [span for scope in resource.scope_spans for span in scope.spans]


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_a_request_is_exported_with_its_queue_its_engine_and_the_run_it_shared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collector(monkeypatch) as receiver:
        traces = made()
        before = time.time_ns()
        arrived = time.monotonic()
        first = traces.begin(HEADERS, arrived, "POST", "/predict", b"id-1")
        second = traces.begin({}, arrived, "POST", "/predict", b"id-2")
        began = time.monotonic()
        run = traces.batch(lambda x: x + 1, [first, second, None], 5, began)
        assert run(1) == 2
        first.end(200)
        second.end(503)
        traces.close(20)
        about, found = spans(receiver)

    assert about["service.name"] == "digits"
    assert about["service.version"] == "3"
    assert about["k8s.namespace.name"] == "shop"
    assert about["modelfleet.revision"] == "digits-7f"

    one, two = (
        next(s for s in found if attributes(s).get("modelfleet.request_id") == name)
        for name in ("id-1", "id-2")
    )
    assert one.name == "POST /predict"
    assert one.kind == one.SPAN_KIND_SERVER
    assert (one.trace_id.hex(), one.parent_span_id.hex()) == (TRACE, PARENT)
    assert one.trace_state == "vendor=1"
    assert attributes(one)["http.response.status_code"] == 200
    assert attributes(one)["http.route"] == "/predict"
    assert one.status.code == one.status.STATUS_CODE_UNSET
    assert two.trace_id != one.trace_id
    assert not two.parent_span_id
    assert two.status.code == two.status.STATUS_CODE_ERROR
    assert attributes(two)["error.type"] == "503"

    (batch,) = [s for s in found if s.name == "run"]
    assert batch.parent_span_id == one.span_id
    assert [link.span_id for link in batch.links] == [two.span_id]
    assert attributes(batch) == {"modelfleet.batch.rows": 5, "modelfleet.batch.requests": 3}
    for request in (one, two):
        children = {s.name: s for s in found if s.parent_span_id == request.span_id}
        assert {"queue", "engine"} <= children.keys()
        assert [link.span_id for link in children["engine"].links] == [batch.span_id]
        assert before <= request.start_time_unix_nano == children["queue"].start_time_unix_nano
        assert (
            children["queue"].end_time_unix_nano
            == children["engine"].start_time_unix_nano
            <= children["engine"].end_time_unix_nano
            <= request.end_time_unix_nano
            <= time.time_ns()
        )


def test_what_is_not_sampled_is_not_recorded_and_its_batch_runs_bare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collector(monkeypatch) as receiver:
        traces = made()
        span = traces.begin(UNSAMPLED, time.monotonic(), "POST", "/predict", b"id")

        def run(x: int) -> int:
            return x

        assert traces.batch(run, [span, None], 1, 0.0) is run
        span.end(200)
        assert span.trace_id == TRACE
        traces.close(20)
        assert receiver.requests.empty()


def test_the_environment_names_the_service_before_the_model_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=9,team=vision")
    with collector(monkeypatch, OTEL_SERVICE_NAME="shop-digits") as receiver:
        traces = made()
        traces.begin({}, time.monotonic(), "POST", None, b"id").end(404)
        traces.close(20)
        about, (span,) = spans(receiver)
    assert (about["service.name"], about["service.version"], about["team"]) == (
        "shop-digits", "9", "vision",
    )  # fmt: skip
    assert span.name == "POST"


def test_a_run_that_fails_is_told_without_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("boom")

    with collector(monkeypatch) as receiver:
        traces = made()
        span = traces.begin({}, time.monotonic(), "POST", "/predict", b"id")
        run = traces.batch(broken, [span], 1, time.monotonic())
        with pytest.raises(RuntimeError, match="boom"):
            run(1)
        span.end(500)
        traces.close(20)
        _, found = spans(receiver)
    (batch,) = [s for s in found if s.name == "run"]
    assert batch.status.code == batch.status.STATUS_CODE_ERROR
    assert not batch.events


def test_the_model_code_runs_inside_the_request_and_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def current(_: object = None) -> trace.SpanContext:
        return trace.get_current_span().get_span_context()

    with collector(monkeypatch):
        traces = made()
        span = traces.begin(HEADERS, time.monotonic(), "POST", "/predict", b"id")
        assert span.context().run(current) == span.ids
        inside = traces.batch(current, [span], 1, 0.0)(None)
        assert inside.trace_id == span.ids.trace_id
        assert inside.span_id != span.ids.span_id
        assert not current().is_valid
        traces.close(20)


def test_without_an_exporter_the_model_code_still_sees_the_clients_trace() -> None:
    context = tracing.passed_on(HEADERS)
    assert isinstance(context, contextvars.Context)
    seen = context.run(lambda: trace.get_current_span().get_span_context())
    assert (f"{seen.trace_id:032x}", f"{seen.span_id:016x}") == (TRACE, PARENT)
    assert seen.trace_state.get("vendor") == "1"
    assert tracing.passed_on({}) is None


def test_close_waits_no_longer_than_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:  # nothing listens there afterwards
        port = receiver.server_address[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    traces = made()
    traces.begin({}, time.monotonic(), "POST", "/predict", b"id").end(200)
    traces.close(0.01)


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, False),
    ],
)
def test_spans_are_exported_when_the_environment_says_where_to(
    env: dict[str, str], on: bool
) -> None:
    assert tracing.wanted(env) is on


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER is 'zipkin', not otlp or none"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', not http/protobuf",
        ),
    ],
)
def test_an_exporter_that_is_not_there_is_named(env: dict[str, str], words: str) -> None:
    with pytest.raises(CannotServe, match=words):
        tracing.wanted(env)


@pytest.mark.parametrize(
    ("given_", "id_"),
    [
        (HEADERS[b"traceparent"], TRACE),
        (f"01-{TRACE}-{PARENT}-01-more".encode(), TRACE),
        (f"01-{TRACE}-{PARENT}-01-{'a' * 500}".encode(), None),
        (b"", None),
        (f"00-{TRACE}-{PARENT}-01-more".encode(), None),
        (f"ff-{TRACE}-{PARENT}-01".encode(), None),
        (f"00-{'0' * 32}-{PARENT}-01".encode(), None),
        (f"00-{TRACE}-{'0' * 16}-01".encode(), None),
        (f"00-{TRACE.upper()}-{PARENT}-01".encode(), None),
        (f"00-{TRACE}-{PARENT}-01\n".encode(), None),
    ],
)
def test_a_trace_id_is_taken_from_a_sound_traceparent_only(given_: bytes, id_: str | None) -> None:
    assert tracing.trace_id({b"traceparent": given_}) == id_


@settings(deadline=None)  # the first call imports
@given(st.binary(max_size=80) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
       .map(str.encode))  # fmt: skip
def test_the_id_in_the_logs_is_the_one_that_opentelemetry_reads(given_: bytes) -> None:
    context = tracing.passed_on({b"traceparent": given_})
    assert context is not None
    seen = context.run(lambda: trace.get_current_span().get_span_context())
    said = tracing.trace_id({b"traceparent": given_})
    if said is not None:
        assert f"{seen.trace_id:032x}" == said


MODEL = """
from opentelemetry import trace

class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def preprocess(self, item):
        with trace.get_tracer("mine").start_as_current_span("looked up"):
            return {"x": [[item]]}

    def predict(self, batch):
        with trace.get_tracer("mine").start_as_current_span("thought"):
            return {"y": batch["x"]}

    def postprocess(self, outputs):
        ids = trace.get_current_span().get_span_context()
        return f"{ids.trace_id:032x}"
"""


def test_a_server_that_exports_has_sent_everything_when_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = python_model(tmp_path / "model", MODEL)
    with collector(monkeypatch) as receiver:
        with (
            runtime(tmp_path, str(place), "--name", "digits", "--access-log") as server,
            client(server.ready().url) as http,
        ):
            headers = {name.decode(): value.decode() for name, value in HEADERS.items()}
            answer = http.post("/predict", json={"inputs": 1}, headers=headers)
            assert answer.json()["outputs"] == TRACE
            assert re.search(rf'"trace_id": "{TRACE}"', server.heard("POST /predict 200").string)
            server.signal()
            assert server.end() == 0
        # The warm-up's own spans of the model come with them, in one message or several.
        found: list[Any] = []
        while not {"looked up", "thought", "run", "queue", "engine", "POST /predict"} <= {
            span.name for span in found
        }:
            about, some = spans(receiver)
            assert about["service.name"] == "digits"
            found += some
    ours = {span.name: span for span in found if span.trace_id.hex() == TRACE}
    assert ours["looked up"].parent_span_id == ours["POST /predict"].span_id
    assert ours["run"].parent_span_id == ours["POST /predict"].span_id
    assert ours["thought"].parent_span_id == ours["run"].span_id


def test_a_server_that_does_not_export_still_hands_the_trace_on(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", MODEL)
    with runtime(tmp_path, str(place)) as server, client(server.ready().url) as http:
        headers = {name.decode(): value.decode() for name, value in HEADERS.items()}
        for _ in range(2):
            answer = http.post("/predict", json={"inputs": 1}, headers=headers)
            assert answer.json()["outputs"] == TRACE
        assert http.post("/predict", json={"inputs": 1}).json()["outputs"] == "0" * 32


def test_a_server_that_cannot_export_so_says_it_and_does_not_start(tmp_path: Path) -> None:
    with runtime(tmp_path, str(DIGITS), OTEL_TRACES_EXPORTER="zipkin") as server:
        assert server.end() == 10
        assert "OTEL_TRACES_EXPORTER is 'zipkin'" in server.failure.message


def test_a_server_that_does_not_trace_does_not_import_what_traces() -> None:
    code = (
        "import sys, modelfleet_runtime.lifecycle, modelfleet_runtime.engines.python\n"
        "print([n for n in sys.modules if n.partition('.')[0] in ('opentelemetry', 'pynvml')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
