"""From start to end: what is accepted is answered, and what cannot be served says why."""

import asyncio
import hashlib
import importlib.util
import io
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from modelfleet_contract import FailureReason
from modelfleet_operator.plan.pod_template import FAREWELL_S
from modelfleet_runtime import lifecycle
from modelfleet_runtime.errors import EXIT_CODES
from modelfleet_runtime.life import Life
from modelfleet_runtime.metrics import Metrics
from tests.unit.runtime.builders import linear_onnx, python_model
from tests.unit.runtime.processes import DIGITS, Runtime, client, metric, runtime

# Each run reads a FIFO, whose open waits for the writer: the test lets the engine go on.
WAITING = """
class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def load(self, folder):
        self.gate = folder / "gate"

    def predict(self, inputs):
        if inputs["x"].any():
            self.gate.open("rb").close()
        return {"y": inputs["x"] * 2}
"""
LOADING = """
class Model:
    def load(self, folder):
        (folder / "gate").open("rb").close()

    def predict(self, inputs):
        return inputs
"""


def in_progress(url: str) -> float:
    return metric(httpx.get(f"{url}/metrics").text, "inference_in_progress")


def test_sigterm_finishes_what_runs_and_what_waits(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", WAITING)
    os.mkfifo(place / "gate")
    with (
        runtime(tmp_path, str(place), "--max-batch-size", "3") as server,
        ThreadPoolExecutor(10) as pool,
    ):
        url = server.ready().url

        def ask(number: int) -> httpx.Response:
            return httpx.post(f"{url}/predict", json={"inputs": [number]}, timeout=30)

        answers = [pool.submit(ask, n) for n in range(1, 9)]
        while in_progress(url) < 8:
            pass
        server.signal(signal.SIGTERM)
        server.heard("draining")
        ready = httpx.get(f"{url}/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
        assert httpx.get(f"{url}/v2/health/ready").status_code == 503
        assert httpx.get(f"{url}/health/live").status_code == 200
        assert metric(httpx.get(f"{url}/metrics").text, "inference_ready") == 0
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)
        late = pool.submit(ask, 9)
        while in_progress(url) < 9:
            pass
        with (place / "gate").open("wb"):
            for number, answer in enumerate([*answers, late], 1):
                said = answer.result(30)
                assert said.status_code == 200
                assert said.json()["outputs"] == {"y": [2 * number]}
                assert said.headers["connection"] == "close"
            assert server.end() == 0
    assert server.said == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health/live")


def test_sigterm_under_load_loses_nothing(tmp_path: Path) -> None:
    body = {"inputs": [0.0] * 64}
    with runtime(tmp_path, str(DIGITS)) as server, ThreadPoolExecutor(8) as pool:
        url = server.ready().url
        warm = threading.Barrier(9)

        def keep_asking() -> int:
            """Until the server says that the connection is to be closed."""
            answered = 0
            with client(url) as http:
                while True:
                    answer = http.post("/predict", json=body)
                    assert answer.status_code == 200
                    answered += 1
                    if answered == 5:
                        warm.wait(30)
                    if answer.headers.get("connection") == "close":
                        return answered

        loads = [pool.submit(keep_asking) for _ in range(8)]
        warm.wait(30)
        server.signal()
        assert all(load.result(30) > 5 for load in loads)
        assert server.end() == 0
    assert '"level": "error"' not in server.log


def test_the_end_fits_in_what_the_pod_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = lifecycle.CLOSING_S + lifecycle.ENGINE_S + lifecycle.SPANS_S
    beside = lifecycle.LAST_ANSWERS_S + ends
    said = " ".join((Path(__file__).parents[3] / "docs/runtime.md").read_text().split())
    assert f"at most the `timeout` and {lifecycle.LAST_ANSWERS_S} s" in said
    assert f"what follows at most {ends} s more" in said
    assert beside <= FAREWELL_S - 2
    monkeypatch.setattr(lifecycle, "LAST_ANSWERS_S", 0.05)
    life = Life(Metrics("m"))
    life.drain()
    began = time.monotonic()
    asyncio.run(lifecycle._drain(life, drain_seconds=60, longest_request=0.05))
    assert time.monotonic() - began < 5


def test_a_drain_that_cannot_be_as_long_as_its_setting_is_told(tmp_path: Path) -> None:
    flags = (str(DIGITS), "--timeout", "1s")
    with runtime(tmp_path, *flags, MODELFLEET_DRAIN_SECONDS="5") as server:
        server.ready()
        assert "MODELFLEET_DRAIN_SECONDS is 5, but a drain takes at most 4 s" in server.log


def test_while_loading_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", LOADING)
    os.mkfifo(place / "gate")
    with (
        runtime(tmp_path, str(place), "--name", "model") as server,
        client(server.url) as http,
    ):
        assert http.get("/health/live").status_code == 200
        assert http.get("/health/ready").status_code == 503
        assert http.get("/health").json()["status"] == "loading"
        refused = http.post("/predict", json={"inputs": 1})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert http.get("/openapi.json").status_code == 200
        assert http.get("/v2/models/model").status_code == 503
        with (place / "gate").open("wb"):
            server.ready()
        assert http.post("/predict", json={"inputs": 1}).json()["outputs"] == {"input": 1}


def test_told_to_stop_while_loading(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", LOADING)
    os.mkfifo(place / "gate")
    with runtime(tmp_path, str(place)) as server:
        assert server.url
        server.signal()
        assert server.end() == 0
    assert server.said == ""


PYTHON = [
    ("raises", "def load(self, f): raise RuntimeError('no weights\\nat' + 9999 * ' all')",
     FailureReason.MODEL_INVALID, "RuntimeError: no weights at all"),
    ("ends the process", "def load(self, f): raise SystemExit(0)",
     FailureReason.MODEL_INVALID, "ended the process"),
    ("is interrupted", "raise KeyboardInterrupt",
     FailureReason.MODEL_INVALID, "ended the process"),
    ("fails on zeros", "inputs = outputs = {'x': ('FP32', [-1, 1])}; predict = lambda s, x: 1 / 0",
     FailureReason.WARM_UP_FAILED, "ZeroDivisionError"),
]  # fmt: skip


def check_failed(server: Runtime, reason: FailureReason, words: str) -> None:
    assert server.end() == EXIT_CODES[reason]
    assert server.failure.reason is reason, server.said
    assert words in server.failure.message
    assert len(server.said.encode()) < 4096
    assert "Traceback" not in server.said
    assert "\\n" not in server.said


PACKAGES = [
    ("missing", [], FailureReason.MODEL_NOT_FOUND, "missing"),
    ("half.onnx", [], FailureReason.MODEL_INVALID, "half.onnx is damaged"),
    ("model.pt", [], FailureReason.UNSUPPORTED, "torch"),
    ("whole/model.onnx", ["--digest", "sha256:" + "0" * 64],
     FailureReason.DIGEST_MISMATCH, "sha256:000"),
    ("whole", ["--digest", "sha256:" + "0" * 64], FailureReason.DIGEST_MISMATCH, "folder"),
]  # fmt: skip


def test_a_class_that_cannot_be_loaded(tmp_path: Path) -> None:
    def try_one(case: tuple[str, str, FailureReason, str]) -> None:
        name, source, reason, words = case
        text = f"class Model:\n    def predict(self, x): return x\n    {source}\n"
        place = python_model(tmp_path / name, text)
        with runtime(tmp_path / f"of {name}", str(place)) as server:
            check_failed(server, reason, words)

    with ThreadPoolExecutor(4) as pool:  # each is a process that takes a second to start
        list(pool.map(try_one, PYTHON))


def test_a_package_that_cannot_be_served(tmp_path: Path) -> None:
    whole = linear_onnx(tmp_path / "whole").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as script:
        script.writestr("model/constants.pkl", b"")
    torch = importlib.util.find_spec("torch") is not None
    cases = [case for case in PACKAGES if not (torch and case[0] == "model.pt")]

    def try_one(number: int) -> None:
        name, flags, reason, words = cases[number]
        with runtime(tmp_path / f"of {number}", str(tmp_path / name), *flags) as server:
            check_failed(server, reason, words)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(try_one, range(len(cases))))


class Store:
    """Files on loopback by http, and who asked for them."""

    def __init__(self) -> None:
        store = self
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                store.asked.append(self.path)
                data = store.files.get(self.path)
                self.send_response(404 if data is None else 200)
                self.send_header("content-length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    made.http.server_close()
    thread.join()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/"), data)
    return buffer.getvalue()


def test_fetched_proved_unpacked_served_and_kept(tmp_path: Path, store: Store) -> None:
    data = zipped(deep__model__model_onnx=linear_onnx(tmp_path / "m").read_bytes()).replace(
        b"model_onnx", b"model.onnx"
    )
    store.files["/a/linear.zip"] = data
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    for _ in range(2):
        with runtime(
            tmp_path, f"{store.url}/a/linear.zip", "--digest", digest, XDG_CACHE_HOME=str(tmp_path)
        ) as server:
            answer = httpx.post(f"{server.ready().url}/predict", json={"inputs": [1, 2, 3, 4]})
            assert answer.json() == {"model": "linear", "version": "1", "outputs": {"y": [10, 20]}}
    assert store.asked == ["/a/linear.zip"]


UNFETCHED = [
    ("/missing.zip", [], FailureReason.MODEL_NOT_FOUND, "404"),
    ("/out.zip", [], FailureReason.MODEL_INVALID, "leaves the folder"),
    ("/out.zip", ["--digest", "sha256:" + "0" * 64], FailureReason.DIGEST_MISMATCH, "0000"),
]


def test_what_cannot_be_fetched(tmp_path: Path, store: Store) -> None:
    store.files["/out.zip"] = zipped(**{"..__..__out": b"x"})

    def try_one(number: int) -> None:
        path, flags, reason, words = UNFETCHED[number]
        cache = tmp_path / f"cache {number}"
        with runtime(
            tmp_path / f"of {number}", store.url + path, *flags, XDG_CACHE_HOME=str(cache)
        ) as server:
            check_failed(server, reason, words)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(try_one, range(len(UNFETCHED))))
    left = {file.name for file in tmp_path.rglob("*") if file.is_file()}
    assert left <= {"termination-log", ".package.json"}


def test_a_failure_is_written_where_the_settings_say_even_when_another_is_wrong(
    tmp_path: Path,
) -> None:
    with runtime(tmp_path, str(DIGITS), MODELFLEET_LOG_LEVEL="loud") as server:
        check_failed(server, FailureReason.DOCUMENT_INVALID, "MODELFLEET_LOG_LEVEL")


DYING = """
from modelfleet_runtime.errors import EngineDead

class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def predict(self, batch):
        if (batch["x"] == 13).any():
            raise EngineDead("the GPU is gone")
        return {"y": batch["x"]}
"""


def test_a_pod_that_is_ended_for_a_dead_engine_says_so(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", DYING)
    with runtime(tmp_path, str(place)) as server, client(server.ready().url) as http:
        assert http.post("/predict", json={"inputs": [1]}).status_code == 200
        assert http.post("/predict", json={"inputs": [13]}).status_code == 500
        assert http.get("/health/live").status_code == 503
        server.signal()
        assert server.end() == 1
        assert server.failure.reason is FailureReason.CRASHED
        assert server.failure.message == "the GPU is gone"


def test_a_process_that_makes_no_turn_fails_liveness(tmp_path: Path) -> None:
    with runtime(tmp_path, str(DIGITS)) as server, client(server.ready().url) as http:
        assert http.get("/health/live").status_code == 200
        server.signal(signal.SIGSTOP)
        try:
            with pytest.raises(httpx.ReadTimeout):
                http.get("/health/live", timeout=0.5)
        finally:
            server.signal(signal.SIGCONT)
        assert http.get("/health/live").status_code == 200
