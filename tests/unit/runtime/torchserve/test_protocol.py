"""TorchServe's routes on a real socket, with a handler of the test's own."""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from modelfleet_contract import Batching
from modelfleet_runtime import whole
from modelfleet_runtime.errors import (
    BadInput,
    DeadlinePassed,
    EngineBroken,
    EngineCrashed,
    NotReady,
    QueueFull,
    Refusal,
    TooLarge,
)
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.packages.package import ModelArchive
from modelfleet_runtime.protocols.torchserve import errors
from modelfleet_runtime.protocols.torchserve.figures import MOST_SERIES, Figures
from modelfleet_runtime.protocols.torchserve.management import Management, ReadOnly
from modelfleet_runtime.protocols.torchserve.routes import TorchServeRoutes
from modelfleet_runtime.signature import Tensors
from modelfleet_runtime.whole import Measure, WholeAnswer, WholeRequest
from tests.unit.runtime.serving import Running, running

ARCHIVE = ModelArchive(
    Path("/"), "own.mar", {"runtime": "python"}, "own", "1.5", "handler.py", False, None, None, {}
)
NOWHERE = "Requested resource is not found, please refer to API document."
Handle = Callable[[WholeRequest], WholeAnswer]


def described(request: WholeRequest) -> WholeAnswer:
    told = "|".join(f"{one.name}={one.value.decode()}" for one in request.fields)
    return WholeAnswer(200, (), f"{request.id} {told}".encode())


def rows_of(handle: Handle) -> Callable[[Tensors], Tensors]:
    def run(batch: Tensors) -> Tensors:
        rows = [handle(whole.request_of(row)).row() for row in batch[whole.REQUEST].tolist()]
        return whole.column(whole.ANSWER, rows)

    return run


def archived(handle: Handle = described, **more: Any) -> AbstractAsyncContextManager[Running]:
    steps: dict[str, Any] = {"archive": ARCHIVE}
    return running(rows_of(handle), whole.SIGNATURE, **(steps | more))


@pytest.fixture(params=["own", "asgi"])
def serve(request: pytest.FixtureRequest) -> Callable[..., AbstractAsyncContextManager[Running]]:
    return partial(archived, transport=request.param)


Serve = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.mark.parametrize(
    "path",
    ["/predictions/m", "/predictions/m/3", "/predictions/own", "/predictions/own/1.5",
     "/predictions/m/1.5/more/of/it", "/explanations/m", "/predictions/m?data=1"],
)  # fmt: skip
async def test_the_model_is_found(path: str, serve: Serve) -> None:
    async with serve() as server:
        answer = await server.client.post(path, content=b"x", headers={"x-request-id": "r1"})
    assert (answer.status_code, answer.text) == (200, "r1 body=x")
    assert answer.headers["x-request-id"] == "r1"
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/predictions/n", "ModelNotFoundException", "Model not found: n"),
        ("/explanations/n/1", "ModelNotFoundException", "Model not found: n"),
        (
            "/predictions/m/9", "ModelVersionNotFoundException",
            "Model version: 9 does not exist for model: m",
        ),
        ("/predictions", "ResourceNotFoundException", NOWHERE),
        ("/predictions/", "ResourceNotFoundException", NOWHERE),
    ],
)  # fmt: skip
async def test_another_model(path: str, kind: str, said: str, serve: Serve) -> None:
    async with serve() as server:
        answer = await server.client.post(path, content=b"x")
    assert answer.status_code == 404
    assert answer.json() == {"code": 404, "type": kind, "message": said}


async def test_what_the_handler_sees_of_the_path(serve: Serve) -> None:
    def handle(request: WholeRequest) -> WholeAnswer:
        headers = request.headers
        return WholeAnswer(200, (), f"{headers['explain']} {headers.get('url_path')}".encode())

    async with serve(handle) as server:
        ask = server.client.post
        assert (await ask("/predictions/m")).text == "False None"
        assert (await ask("/predictions/m", headers={"explain": "True"})).text == "False None"
        assert (await ask("/explanations/m")).text == "True None"
        assert (await ask("/predictions/m/3/a/b")).text == "False a/b"


async def test_methods(serve: Serve) -> None:
    async with serve() as server:
        for method in ("POST", "PUT", "GET"):
            assert (await server.client.request(method, "/predictions/m")).status_code == 200
        for method in ("DELETE", "PATCH"):
            answer = await server.client.request(method, "/predictions/m")
            assert answer.status_code == 405
            assert answer.headers["allow"] == "POST, PUT, GET"
            assert answer.json()["type"] == "MethodNotAllowedException"


async def test_what_the_handler_sets_is_sent_but_what_is_the_servers(serve: Serve) -> None:
    set_ = (
        ("Content-Type", "text/csv"), ("X-A", "b"), ("x-bad", "a\r\nx-evil: 1"), ("a b", "c"),
        ("content-length", "1000"), ("Transfer-Encoding", "chunked"),
    )  # fmt: skip
    async with serve(lambda _: WholeAnswer(201, set_, b"1,2")) as server:
        answer = await server.client.post("/predictions/m")
    assert (answer.status_code, answer.content) == (201, b"1,2")
    assert (answer.headers["content-type"], answer.headers["x-a"]) == ("text/csv", "b")
    for name in ("x-bad", "x-evil", "a b", "transfer-encoding"):
        assert name not in answer.headers


async def test_a_failure_has_the_originals_shape(serve: Serve) -> None:
    async with serve(lambda _: WholeAnswer(503, (), b"", "Prediction failed")) as server:
        answer = await server.client.post("/predictions/m")
    assert answer.json() == {
        "code": 503, "type": "InternalServerException", "message": "Prediction failed",
    }  # fmt: skip
    assert answer.headers["content-type"] == "application/json"


async def test_a_body_that_is_too_large(serve: Serve) -> None:
    async with serve(limits=RequestLimits(body_bytes=10)) as server:
        answer = await server.client.post("/predictions/m", content=b"x" * 11)
    assert (answer.status_code, answer.json()["code"]) == (413, 413)


async def test_a_full_queue_is_answered_as_the_original_does() -> None:
    opened, entered = threading.Event(), threading.Event()

    def handle(request: WholeRequest) -> WholeAnswer:
        entered.set()
        opened.wait(20)
        return described(request)

    async with archived(handle, batching=Batching(max_size=1, queue_size=1)) as server:
        ask = partial(server.client.post, "/predictions/m/3", content=b"x")
        first = asyncio.ensure_future(ask())
        await asyncio.to_thread(entered.wait, 20)
        others = [asyncio.ensure_future(ask()) for _ in range(2)]
        done, _ = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
        opened.set()
        answers = [await one for one in (first, *others)]
        (refused,) = (one.result() for one in done)
    assert sorted(one.status_code for one in answers) == [200, 200, 503]
    assert refused.json()["type"] == "ServiceUnavailableException"
    assert refused.json()["message"].startswith('Model "m" Version 3" has no worker to serve')
    assert refused.headers["retry-after"] == "1"


async def test_while_it_loads(serve: Serve) -> None:
    async with serve(loaded=False) as server:
        ping = await server.client.get("/ping")
        answer = await server.client.post("/predictions/m")
        assert (ping.status_code, ping.json()) == (500, {"status": "Unhealthy"})
        assert answer.status_code == 503
        assert answer.json()["type"] == "ServiceUnavailableException"
        server.life.loaded(server.served)
        ping = await server.client.get("/ping")
        assert (ping.status_code, ping.json()) == (200, {"status": "Healthy"})


async def test_a_model_of_another_format_has_none_of_it() -> None:
    async with running(lambda batch: batch) as server:
        for path in ("/ping", "/predictions/m", "/api-description"):
            answer = await server.client.post(path)
            assert answer.status_code == 404
            assert "error" in answer.json()


@pytest.mark.parametrize(("method", "path"), [("GET", "/api-description"), ("OPTIONS", "/")])
async def test_the_description(method: str, path: str, serve: Serve) -> None:
    async with serve() as server:
        answer = await server.client.request(method, path)
    assert answer.json()["openapi"] == "3.0.1"
    assert "/predictions/m" in answer.json()["paths"]


async def test_the_metrics_have_the_originals_names() -> None:
    measure = Measure("Rows", "counter", 2, (("a", "b"),))
    async with archived(lambda _: WholeAnswer(200, (), b"", measures=(measure,))) as server:
        await server.client.post("/predictions/m")
        await server.client.post("/predictions/m/3")
        page = (await server.client.get("/metrics")).text
    lines = [line for line in page.splitlines() if 'hostname="' in line or "Hostname" in line]
    counted = {line.partition(" ")[0].partition("{")[0]: line for line in lines}
    assert {"ts_inference_latency_microseconds", "ts_queue_latency_microseconds"} <= set(counted)
    asked = "".join(line for line in lines if line.startswith("ts_inference_requests_total{"))
    assert 'model_version="default"' in asked
    assert 'model_version="3"' in asked
    assert counted["Rows"].endswith(" 4.0")


def samples(figures: Figures) -> dict[str, float]:
    return {one.name: one.value for family in figures.collect() for one in family.samples}


def test_a_handlers_metrics_are_bounded_and_of_one_kind() -> None:
    figures = Figures("m", Metrics("m"))
    figures.note([Measure("A", "gauge", 1, ()), Measure("A", "gauge", 3, ())])
    figures.note([Measure("A", "counter", 9, ()), Measure("A", "gauge", 9, (("x", "y"),))])
    figures.note([Measure("B c", "counter", 1, ()), Measure("B c", "counter", 2, ())])
    figures.note([Measure("H", "histogram", 1, ()), Measure("H", "histogram", 2, ())])
    figures.note([Measure("inference_requests", "counter", 9, ()), Measure("9", "gauge", 9, ())])
    found = samples(figures)
    assert (found["A"], found["B_c"], found["H_sum"], found["H_count"]) == (3, 3, 3, 2)
    assert not {"inference_requests", "9"} & set(found)
    figures.note([Measure("M", "gauge", 1, (("n", str(n)),)) for n in range(2 * MOST_SERIES)])
    assert sum(len(family.samples) for family in figures.collect()) <= MOST_SERIES + 10


REFUSALS: list[tuple[Refusal, int, str]] = [
    (BadInput("a"), 400, "BadRequestException"),
    (TooLarge("a"), 413, "TooLongFrameException"),
    (EngineBroken("a"), 500, "InternalServerException"),
    (NotReady("a"), 503, "ServiceUnavailableException"),
    (QueueFull("a"), 503, "ServiceUnavailableException"),
    (DeadlinePassed("a"), 504, "RequestTimeoutException"),
    (errors.ModelNotFound("a"), 404, "ModelNotFoundException"),
]


@pytest.mark.parametrize(("refusal", "code", "kind"), REFUSALS, ids=lambda v: str(v)[:30])
def test_refusals(refusal: Refusal, code: int, kind: str) -> None:
    answer = errors.refuse(refusal)
    assert answer.status == code
    assert f'"code": {code}' in answer.body.decode()
    assert f'"type": "{kind}"' in answer.body.decode()


def test_a_process_that_died_is_a_worker_that_died() -> None:
    assert b'"message": "Worker died."' in errors.refuse(EngineCrashed("was killed")).body


def management() -> Management:
    metrics = Metrics("m")
    return Management(
        TorchServeRoutes("m", "3", metrics), metrics, datetime(2026, 1, 1, tzinfo=UTC)
    )


async def test_management_says_what_is_served_and_changes_nothing() -> None:
    manage = management()
    async with archived() as server:
        listed = manage.answer("GET", "/models", "", server.served)
        assert listed is not None
        assert b'"modelName": "m"' in listed.body
        for path in ("/models/m", "/models/m/3", "/models/m/all", "/models/own/1.5"):
            found = manage.answer("GET", path, "", server.served)
            assert found is not None
            assert b'"modelVersion": "1.5"' in found.body
        for method, path in (("POST", "/models"), ("DELETE", "/models/m"), ("PUT", "/models/m")):
            with pytest.raises(ReadOnly, match="the one model that it was started with"):
                manage.answer(method, path, "", server.served)
        for path in ("/models/n", "/models/m/9"):
            with pytest.raises(Refusal):
                manage.answer("GET", path, "", server.served)
        assert manage.answer("GET", "/elsewhere", "", server.served) is None
    assert manage.answer("GET", "/models", "", None) is not None


@pytest.mark.parametrize(
    ("query", "models", "token"),
    [("limit=1", 1, None), ("limit=0", 0, "0"), ("limit=-1", 1, None), ("limit=x", 1, None),
     ("limit=101", 1, None), ("next_page_token=1", 0, None), ("next_page_token=-5", 1, None)],
)  # fmt: skip
async def test_pages_of_models(query: str, models: int, token: str | None) -> None:
    async with archived() as server:
        answer = management().answer("GET", "/models", query, server.served)
    assert answer is not None
    said = json.loads(answer.body)
    assert len(said["models"]) == models
    assert said.get("nextPageToken") == token
