"""The server as `modelfleet-runtime serve` runs it, on a socket, with the example's model."""

import gzip
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest

from tests.unit.runtime.processes import DIGITS, Runtime, client, metric, runtime

LIMIT = 200_000
LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/digits/infer"
ROW = [float(n % 17) for n in range(64)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    folder = tmp_path_factory.mktemp("server")
    flags = (str(DIGITS), "--name", "digits", "--version", "7", "--max-batch-size", "8")
    with runtime(folder, *flags, MODELFLEET_MAX_BODY_BYTES=str(LIMIT)) as running:
        yield running.ready()


@pytest.fixture
def http(server: Runtime) -> Iterator[httpx.Client]:
    with client(server.url) as opened:
        yield opened


def tensor(**other: Any) -> dict[str, Any]:
    return {"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": ROW} | other


def infer(http: httpx.Client, head: dict[str, Any], tail: bytes = b"") -> httpx.Response:
    text = json.dumps(head).encode()
    headers = {LENGTH: str(len(text)), "Content-Type": "application/octet-stream"}
    return http.post(INFER, content=text + tail, headers=headers)


def test_one_item(http: httpx.Client) -> None:
    answer = http.post("/predict", json={"inputs": ROW})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert (said["model"], said["version"]) == ("digits", "7")
    assert sum(said["outputs"]["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert said["outputs"]["digit"] == int(np.argmax(said["outputs"]["probabilities"]))
    by_name = http.post("/predict", json={"inputs": {"pixels": ROW}})
    assert by_name.json() == said


def test_many_items_are_each_answered_as_if_alone(http: httpx.Client) -> None:
    items = [[float((n * k) % 17) for n in range(64)] for k in range(1, 21)]
    alone = [http.post("/predict", json={"inputs": item}).json()["outputs"] for item in items]
    said = http.post("/predict/batch", json={"inputs": items}).json()
    assert [one["digit"] for one in said["outputs"]] == [one["digit"] for one in alone]
    np.testing.assert_allclose(
        [one["probabilities"] for one in said["outputs"]],
        [one["probabilities"] for one in alone],
        rtol=1e-4,
        atol=1e-6,
    )


def test_every_way_of_the_protocol_gives_the_same(http: httpx.Client) -> None:
    plain = http.post(INFER, json={"id": "a", "inputs": [tensor()]}).json()
    assert (plain["model_name"], plain["model_version"], plain["id"]) == ("digits", "7", "a")
    outputs = {one["name"]: one for one in plain["outputs"]}
    assert outputs["digit"]["shape"] == [1]
    assert outputs["probabilities"]["shape"] == [1, 10]
    wanted = np.array(outputs["probabilities"]["data"], np.float32)

    raw = np.array(ROW, "<f4").tobytes()
    described = tensor(parameters={"binary_data_size": len(raw)})
    del described["data"]
    in_binary = infer(http, {"inputs": [described]}, raw).json()
    assert in_binary["outputs"] == plain["outputs"]

    asks = {"inputs": [described], "outputs": [{"name": "probabilities"}],
            "parameters": {"binary_data_output": True}}  # fmt: skip
    both = infer(http, asks, raw)
    check_binary(both, wanted)
    only = http.post(
        "/v2/models/digits/versions/7/infer", content=raw, headers={LENGTH: "0"}
    )  # fmt: skip
    size = int(only.headers[LENGTH])
    head = json.loads(only.content[:size])
    sizes = [one["parameters"]["binary_data_size"] for one in head["outputs"]]
    assert len(only.content) == size + sum(sizes)


def check_binary(answer: httpx.Response, wanted: Any) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    size = int(answer.headers[LENGTH])
    (one,) = json.loads(answer.content[:size])["outputs"]
    tail = answer.content[size:]
    assert one["parameters"] == {"binary_data_size": len(tail)}
    np.testing.assert_array_equal(np.frombuffer(tail, "<f4"), wanted)


@pytest.mark.parametrize("rows", [1, 8, 9, 40])
def test_requests_of_any_size_come_back_whole(http: httpx.Client, rows: int) -> None:
    raw = np.tile(np.array(ROW, "<f4"), (rows, 1)).tobytes()
    answer = http.post(INFER, content=raw, headers={LENGTH: "0"})
    size = int(answer.headers[LENGTH])
    shapes = [one["shape"] for one in json.loads(answer.content[:size])["outputs"]]
    assert shapes == [[rows], [rows, 10]]


def test_health_and_metadata(http: httpx.Client) -> None:
    assert http.get("/health").json() == {
        "status": "ready",
        "ready": True,
        "model": {"name": "digits", "version": "7", "loaded": True, "format": "onnx",
                  "batched": True},
    }  # fmt: skip
    assert http.get("/health/live").json() == {"status": "live"}
    assert http.get("/health/ready").json() == {"status": "ready"}
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    about = http.get("/v2").json()
    assert about["name"] == "modelfleet"
    assert "binary_tensor_data" in about["extensions"]
    for base in ("/v2/models/digits", "/v2/models/digits/versions/7"):
        assert http.get(f"{base}/ready").json() == {"name": "digits", "ready": True}
        assert http.get(base).json() == {
            "name": "digits",
            "versions": ["7"],
            "platform": "onnx",
            "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [-1, 64]}],
            "outputs": [
                {"name": "digit", "datatype": "INT64", "shape": [-1]},
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            ],
        }
    head = http.head("/health/ready")
    assert (head.status_code, head.content) == (200, b"")


def test_the_document_describes_what_is_there_and_its_examples_work(http: httpx.Client) -> None:
    assert "swagger" in http.get("/docs").text
    assert http.get("/").headers["location"] == "/docs"
    document = http.get("/openapi.json").json()
    paths = document["paths"]
    for path in ("/predict", "/predict/batch", INFER, "/metrics", "/health", "/health/ready",
                 "/health/live", "/v2"):  # fmt: skip
        assert path in paths
    tried = 0
    for path, operations in paths.items():
        content = operations.get("post", {}).get("requestBody", {}).get("content", {})
        example = content.get("application/json", {}).get("example")
        if example is not None:
            assert http.post(path, json=example).status_code == 200, path
            tried += 1
    assert tried >= 3


def test_metrics_are_the_truth(http: httpx.Client) -> None:
    def page() -> str:
        return http.get("/metrics").text

    before = page()
    http.post("/predict", json={"inputs": ROW})
    http.post("/predict/batch", json={"inputs": [ROW] * 3})
    http.post("/predict", content=b"{")
    http.post("/v2/models/other/infer", json={})
    after = page()

    def grew(name: str, **labels: str) -> float:
        return metric(after, name, **labels) - metric(before, name, **labels)

    assert grew("inference_requests_total", status="200") == 2
    assert grew("inference_requests_total", status="400") == 1
    assert grew("inference_requests_total", status="404") == 1
    assert grew("inference_errors_total") == 0
    assert grew("inference_rows_total") == 4
    assert grew("inference_batch_rows_count") == 2
    assert grew("inference_batch_rows_sum") == 4
    assert grew("inference_batch_rows_bucket", le="1.0") == 1
    assert grew("inference_latency_seconds_count") == 4
    assert grew("inference_queue_seconds_count") == 2
    assert metric(after, "inference_ready") == 1
    assert metric(after, "inference_in_progress") == 0
    assert metric(after, "inference_queue_requests") == 0
    assert metric(after, "inference_model_info", version="7", format="onnx") == 1
    openmetrics = http.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
    assert openmetrics.text.endswith("# EOF\n")


@pytest.mark.parametrize("path", ["/predict", "/health", "/health/ready", "/nothing", "/metrics"])
def test_a_request_has_an_id(http: httpx.Client, path: str) -> None:
    def ask(given: str) -> str:
        answer = http.post(path, json={"inputs": ROW}, headers={"x-request-id": given})
        return answer.headers.get_list("x-request-id")[0]

    assert ask("client-1/ä".replace("ä", "a")) == "client-1/a"
    for replaced in ("", "a b", "a" * 129):
        made = ask(replaced)
        assert made not in ("", replaced)
    assert len({ask("") for _ in range(3)}) == 3


def test_compressed_bodies(http: httpx.Client) -> None:
    body = gzip.compress(json.dumps({"inputs": ROW}).encode())
    answer = http.post("/predict", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    plain = http.post("/predict", json={"inputs": ROW}, headers={"Content-Encoding": "Identity"})
    assert plain.json() == answer.json()


def test_a_bomb_is_not_unpacked(http: httpx.Client) -> None:
    body = gzip.compress(b"[" * (LIMIT * 50))
    answer = http.post("/predict", content=body, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413


def test_a_body_that_grows_too_large_without_saying_so(http: httpx.Client) -> None:
    answer = http.post("/predict", content=iter([b" " * 50_000] * 6))
    assert answer.status_code == 413


def exchange(server: Runtime, sent: bytes) -> bytes:
    """Raw bytes on a connection of their own, and all that is answered to them."""
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), 20) as sock:
        sock.settimeout(20)
        sock.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received and (chunk := sock.recv(65536)):
            received += chunk
    return received


@pytest.mark.parametrize("length", [LIMIT + 1, 10**17, 10**18, 9999999999999999999])
def test_too_large_a_body_is_refused_before_it_comes(server: Runtime, length: int) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % length
    assert exchange(server, head).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_does_not_come(server: Runtime) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nx-request-timeout-ms: 50\r\n"
    for begun in (b"\r\n", b"\r\n{"):
        assert exchange(server, head + begun).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http(server: Runtime, http: httpx.Client, sent: bytes) -> None:
    answer = exchange(server, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer
    assert http.post("/predict", json={"inputs": ROW}).status_code == 200


def test_clients_that_leave_are_forgotten(server: Runtime, http: httpx.Client) -> None:
    at = urlsplit(server.url)
    before = metric(http.get("/metrics").text, "inference_requests_total", status="499")
    for _ in range(3):
        with socket.create_connection((at.hostname, at.port), 20) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.sendall(b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{")
            # The server has begun with it once it counts it.
            while metric(http.get("/metrics").text, "inference_in_progress") < 1:
                pass
        while metric(http.get("/metrics").text, "inference_in_progress") > 0:
            pass
    page = http.get("/metrics").text
    assert metric(page, "inference_requests_total", status="499") == before + 3
    assert http.post("/predict", json={"inputs": ROW}).status_code == 200


def test_nothing_was_logged_that_is_a_fault_of_the_server(server: Runtime) -> None:
    """Last in this file: all of the above was the clients' fault."""
    assert "trace" not in server.log
    assert '"error"' not in server.log


def test_the_example_is_where_the_tests_look_for_it() -> None:
    assert Path(DIGITS).is_dir()
