"""What a client sees, through the real server on a real socket."""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

import asyncio
import gzip
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.errors import BadInput, EngineBroken, OutOfMemory
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import PIXELS, doubling
from tests.unit.runtime.serving import running

ITEM = {"inputs": [1, 2, 3, 4]}
TENSOR = {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]}
INFER = "/v2/models/m/infer"
HOT = [("/predict", ITEM), ("/predict/batch", {"inputs": [[1, 2, 3, 4]]}), (INFER, TENSOR)]


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  (what is waited for happens in the server)
        await asyncio.sleep(0.01)


def raising(error: Exception) -> Any:
    def run(_: Tensors) -> Tensors:
        raise error

    return run


async def test_each_protocol_answers() -> None:
    async with running(doubling()) as at:
        answers = [(await at.client.post(path, json=body)).json() for path, body in HOT]
    assert answers == [
        {"model": "m", "version": "3", "outputs": {"y": [2.0, 4.0]}},
        {"model": "m", "version": "3", "outputs": [{"y": [2.0, 4.0]}]},
        {
            "model_name": "m",
            "model_version": "3",
            "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [2.0, 4.0]}],
        },
    ]


REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("POST", "/predict", {"content": b""}, 400, "empty"),
    ("POST", "/predict", {"content": b"{"}, 400, "not valid JSON"),
    ("POST", "/predict", {"content": b"[" * 4999}, 400, "1024 deep"),
    ("POST", "/predict", {"json": {"inputs": [1]}}, 400, "expected [-1,4]"),
    ("POST", "/predict/batch", {"json": {"inputs": []}}, 400, "empty list"),
    ("POST", INFER, {"json": {}}, 400, "inputs"),
    ("POST", "/predict", {"content": b"x", "headers": {"content-type": "image/png"}}, 400, "image/png"),
    ("POST", INFER, {"content": b"x", "headers": {"content-type": "image/png"}}, 400, "image/png"),
    ("POST", INFER, {"content": b"{}", "headers": {"inference-header-content-length": "9"}}, 400, "is 9"),
    ("POST", "/predict", {"json": ITEM, "headers": {"x-request-timeout-ms": "-1"}}, 400, "milliseconds"),
    ("POST", "/predict", {"content": b"x", "headers": {"content-encoding": "br"}}, 415, "gzip"),
    ("POST", "/predict", {"content": b"xy", "headers": {"content-encoding": "gzip"}}, 400, "Content-Encoding"),
    ("POST", "/predict", {"content": b"x" * 5001}, 413, "larger than 5000 bytes"),
    ("POST", "/predict", {"content": gzip.compress(bytes(9999)), "headers": {"content-encoding": "gzip"}}, 413, "5000"),
    ("GET", "/predict", {}, 405, "use POST"),
    ("POST", "/health/ready", {}, 405, "use GET"),
    ("DELETE", "/health", {}, 405, "method not allowed"),
    ("POST", "/v2/models/other/infer", {"json": TENSOR}, 404, "'other' is not found"),
    ("POST", "/v2/models/m/versions/9/infer", {"json": TENSOR}, 404, "version '9' is not found"),
    ("GET", "/v2/models/other", {}, 404, "'other' is not found"),
    ("GET", "/nothing", {}, 404, "nothing at /nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "sent", "status", "words"), REFUSED)
async def test_refused_in_the_protocols_own_shape(
    method: str, path: str, sent: dict[str, Any], status: int, words: str
) -> None:
    async with running(doubling(), limits=RequestLimits(body_bytes=5000)) as at:
        answer = await at.client.request(method, path, **sent)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]
        assert words in answer.json()["error"]
        assert answer.headers["x-request-id"]
        assert (await at.client.post("/predict", json=ITEM)).status_code == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("the model refuses the input: no"), 400),
        (ValueError("secret"), 500),
        (EngineBroken("the model failed"), 500),
        (OutOfMemory("no memory"), 503),
        (MemoryError(), 503),
    ],
)
@pytest.mark.parametrize(("path", "body"), HOT)
async def test_what_the_model_raises(error: Exception, status: int, path: str, body: Any) -> None:
    async with running(raising(error)) as at:
        answer = await at.client.post(path, json=body)
        assert answer.status_code == status
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize(("path", "body"), HOT)
async def test_before_the_model_is_there(path: str, body: Any) -> None:
    async with running(doubling(), loaded=False) as at:
        answer = await at.client.post(path, json=body)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert (await at.client.get("/health/live")).status_code == 200
        ready = await at.client.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "loading"})
        at.life.loaded(at.served)
        assert (await at.client.get("/health/ready")).status_code == 200
        assert (await at.client.post(path, json=body)).status_code == 200


@pytest.mark.parametrize(("path", "body"), HOT)
async def test_a_deadline_by_header_is_a_504(path: str, body: Any) -> None:
    opened = threading.Event()

    def run(batch: Tensors) -> Tensors:
        assert opened.wait(10)
        return doubling()(batch)

    async with running(run) as at:
        short = {"x-request-timeout-ms": "30"}
        answer = await at.client.post(path, json=body, headers=short)
        opened.set()
        assert answer.status_code == 504
        assert (await at.client.post(path, json=body)).status_code == 200


async def test_the_protocols_own_timeout_is_a_504() -> None:
    opened = threading.Event()

    def run(batch: Tensors) -> Tensors:
        assert opened.wait(10)
        return doubling()(batch)

    async with running(run) as at:
        answer = await at.client.post(INFER, json=TENSOR | {"parameters": {"timeout": 20_000}})
        opened.set()
        assert answer.status_code == 504


async def test_a_full_queue_answers_at_once() -> None:
    opened, entered = threading.Event(), threading.Event()

    def run(batch: Tensors) -> Tensors:
        entered.set()
        assert opened.wait(10)
        return doubling()(batch)

    async with running(run, batching=Batching(queue_size=1)) as at:
        first = asyncio.create_task(at.client.post("/predict", json=ITEM))
        assert await asyncio.to_thread(entered.wait, 10)
        # One of these waits; of the others each is refused, whichever came first.
        others = [asyncio.create_task(at.client.post("/predict", json=ITEM)) for _ in range(4)]
        refused = []
        for done in asyncio.as_completed(others):
            refused.append(await done)
            if len(refused) == 3:
                opened.set()
        statuses = sorted(answer.status_code for answer in refused)
        assert statuses == [200, 503, 503, 503]
        assert all(a.headers.get("retry-after") for a in refused if a.status_code == 503)
        assert (await first).status_code == 200


async def test_a_client_that_hung_up_leaves_the_queue() -> None:
    opened, entered = threading.Event(), threading.Event()
    sizes: list[int] = []

    def run(batch: Tensors) -> Tensors:
        sizes.append(len(batch["x"]))
        entered.set()
        assert opened.wait(10)
        return doubling()(batch)

    async with running(run) as at:
        first = asyncio.create_task(at.client.post("/predict", json=ITEM))
        assert await asyncio.to_thread(entered.wait, 10)
        gone = asyncio.create_task(at.client.post("/predict", json=ITEM))
        async with asyncio.timeout(10):
            await until(lambda: at.served.batcher.open == 2)
            gone.cancel()
            await until(lambda: at.served.batcher.open == 1)
        opened.set()
        assert (await first).status_code == 200
        assert sizes == [1]
        page = (await at.client.get("/metrics")).text
    assert 'inference_requests_total{model_name="m",status="499"} 1.0' in page


async def test_many_at_once_each_get_their_own() -> None:
    async with running(doubling()) as at:

        async def one(number: int) -> None:
            answer = await at.client.post("/predict", json={"inputs": [number] * 4})
            assert answer.json()["outputs"]["y"] == [2 * number] * 2

        await asyncio.gather(*(one(number) for number in range(200)))
        page = (await at.client.get("/metrics")).text
    assert 'inference_requests_total{model_name="m",status="200"} 200.0' in page
    assert 'inference_rows_total{model_name="m"} 200.0' in page
    assert 'inference_latency_seconds_count{model_name="m"} 200.0' in page
    assert 'inference_in_progress{model_name="m"} 0.0' in page


async def test_a_body_that_comes_in_pieces() -> None:
    async def pieces() -> Any:
        for piece in (b'{"inputs": ', b"[1, 2, ", b"3, 4]}"):
            yield piece
            await asyncio.sleep(0)

    async with running(doubling(), limits=RequestLimits(body_bytes=100)) as at:
        answer = await at.client.post("/predict", content=pieces())
        assert answer.json()["outputs"]["y"] == [2, 4]

        async def endless() -> Any:
            for _ in range(50):
                yield b"x" * 10

        assert (await at.client.post("/predict", content=endless())).status_code == 413


async def test_a_body_that_never_comes_is_a_408() -> None:
    async with running(doubling()) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        writer.write(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n"
            b"x-request-timeout-ms: 30\r\n\r\n{"
        )
        assert (await reader.readline()) == b"HTTP/1.1 408 Request Timeout\r\n"
        writer.close()
        await writer.wait_closed()


async def test_request_ids_are_taken_or_made() -> None:
    async with running(doubling()) as at:
        for given, kept in (("abc-1", True), ("a b", False), ("x" * 200, False)):
            for path in ("/predict", "/health"):
                method = "POST" if path == "/predict" else "GET"
                answer = await at.client.request(
                    method, path, json=ITEM, headers={"x-request-id": given}
                )
                assert (answer.headers["x-request-id"] == given) is kept


async def test_while_draining_it_serves_and_says_that_it_leaves() -> None:
    async with running(doubling()) as at:
        assert "connection" not in (await at.client.post("/predict", json=ITEM)).headers
        at.life.drain()
        for path in ("/health/ready", "/v2/health/ready"):
            assert (await at.client.get(path)).status_code == 503
        answer = await at.client.post("/predict", json=ITEM)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        assert (await at.client.get("/health")).headers["connection"] == "close"


async def test_a_models_own_steps_for_items() -> None:
    def preprocess(item: Any) -> Tensors:
        if not isinstance(item, str):
            raise BadInput("the model refuses the input: not a text")
        return {"x": np.full((1, 4), len(item), np.float32)}

    def postprocess(outputs: Tensors) -> Any:
        return f"{outputs['y'][0, 0]:.0f}"

    async with running(doubling(), preprocess=preprocess, postprocess=postprocess) as at:
        one = await at.client.post("/predict", json={"inputs": "four"})
        assert one.json()["outputs"] == "8"
        many = await at.client.post("/predict/batch", json={"inputs": ["a", "bb"]})
        assert many.json()["outputs"] == ["2", "4"]
        bad = await at.client.post("/predict/batch", json={"inputs": ["a", 3]})
        assert bad.status_code == 400
        assert bad.json()["error"].startswith("inputs[1]: ")


async def test_what_json_cannot_carry_is_a_400() -> None:
    def run(batch: Tensors) -> Tensors:
        return {"y": np.full((len(batch["x"]), 2), np.nan, np.float32)}

    async with running(run) as at:
        for path, body in HOT:
            answer = await at.client.post(path, json=body)
            assert answer.status_code == 400
            assert "NaN" in answer.json()["error"]
        wanted = TENSOR | {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
        assert (await at.client.post(INFER, json=wanted)).status_code == 200


async def test_metadata_and_documentation() -> None:
    async with running(doubling()) as at:
        client = at.client
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        assert (await client.get("/v2/models/m/ready")).json() == {"name": "m", "ready": True}
        assert (await client.get("/v2")).json()["name"] == "modelfleet"
        metadata = (await client.get("/v2/models/m/versions/3")).json()
        assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
        assert (await client.get("/health")).json()["model"] == {
            "name": "m",
            "version": "3",
            "loaded": True,
            "format": "onnx",
            "batched": True,
        }
        assert "text/html" in (await client.get("/docs")).headers["content-type"]
        paths = (await client.get("/openapi.json")).json()["paths"]
        for path, body in HOT:
            media = paths[path]["post"]["requestBody"]["content"]["application/json"]
            # What the page offers to try works as it stands.
            answer = await client.post(path, json=media["example"])
            assert answer.status_code == 200, body
        for path in ("/health", "/health/live", "/health/ready", "/metrics", "/v2"):
            assert path in paths


async def test_an_openapi_document_from_before_the_model_is_not_kept() -> None:
    async with running(doubling(), loaded=False) as at:
        assert (await at.client.get("/openapi.json")).status_code == 200
        at.life.loaded(at.served)
        paths = (await at.client.get("/openapi.json")).json()["paths"]
        body = paths["/predict"]["post"]["requestBody"]["content"]["application/json"]
        assert body["example"] == {"inputs": [0, 0, 0, 0]}


async def test_a_model_without_rows() -> None:
    async with running(doubling(), PIXELS.unbatched()) as at:
        answer = await at.client.post("/predict", json={"inputs": [[1, 2, 3, 4], [5, 6, 7, 8]]})
        assert answer.json()["outputs"]["y"] == [[2, 4], [10, 12]]
        refused = await at.client.post("/predict/batch", json={"inputs": [[1, 2, 3, 4]]})
        assert refused.status_code == 400


async def test_openmetrics_for_who_asks() -> None:
    async with running(doubling()) as at:
        answer = await at.client.get(
            "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
        )
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with running(doubling()) as at:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
        for number in range(3):
            body = b'{"inputs": [%d, 0, 0, 0]}' % number
            head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
            writer.write(head + body)
        text = b""
        while text.count(b'"outputs"') < 3:
            text += await reader.read(4096)
        assert text.index(b"[0.0,") < text.index(b"[2.0,") < text.index(b"[4.0,")
        writer.close()
        await writer.wait_closed()
