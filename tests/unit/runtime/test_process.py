"""The command, as a process of its own: start, serve, signals, exit codes, the termination log."""

import asyncio
import functools
import hashlib
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from modelfleet_contract import (
    DOCUMENT_ENV,
    Batching,
    Failure,
    FailureReason,
    ModelSource,
    ServeDocument,
    Tallies,
)
from modelfleet_runtime.errors import EXIT_CODES
from tests.unit.runtime.builders import linear_onnx, python_model

ITEM = {"inputs": [1, 2, 3, 4]}

# Each run waits for a file to appear, so that the test decides when requests end.
GATED = """
import os, time

class Model:
    def predict(self, inputs):
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.005)
        return inputs["x"]
"""


# A thread that never ends, which a normal end of the interpreter would wait for.
HELD = """
import concurrent.futures, threading

class Model:
    def load(self, folder):
        concurrent.futures.ThreadPoolExecutor(1).submit(threading.Event().wait)
        raise RuntimeError("no weights")

    def predict(self, inputs):
        return inputs
"""


@dataclass
class Process:
    popen: "subprocess.Popen[str]"
    lines: list[str]

    def wait_for(self, words: str) -> str:
        """The first log line with these words; fails when the process ends without them."""
        for line in self.lines:
            if words in line:
                return line
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}: {''.join(self.lines)}")

    @property
    def url(self) -> str:
        line: str = json.loads(self.wait_for("listening on"))["message"]
        return "http://127.0.0.1:" + line.rpartition(":")[2]

    def end(self) -> int:
        _, rest = self.popen.communicate(timeout=30)
        self.lines += rest.splitlines(keepends=True)
        return self.popen.returncode


class Runtime:
    """Starts the command with an environment of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "termination-log"
        self.log.touch()
        self.env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "MODELFLEET_TERMINATION_LOG": str(self.log),
            "MODELFLEET_HOST": "127.0.0.1",
            "MODELFLEET_PORT": "0",
            "MODELFLEET_DRAIN_SECONDS": "0",
            "MODELFLEET_LOG_FORMAT": "json",
        }
        self.started: list[Process] = []

    def start(self, *arguments: str, **env: str) -> Process:
        popen = subprocess.Popen(
            [sys.executable, "-m", "modelfleet_runtime", *arguments],
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        process = Process(popen, [])
        self.started.append(process)
        return process

    def failure(self, *arguments: str, **env: str) -> Failure:
        """What stands on the termination log after the process ended with that reason's code."""
        process = self.start(*arguments, **env)
        code = process.end()
        failure = Failure.from_termination_log(self.log.read_text())
        assert failure is not None, "".join(process.lines)
        assert code == EXIT_CODES[failure.reason]
        last = json.loads(process.lines[-1])
        assert (last["message"], last["reason"]) == (failure.message, failure.reason)
        assert "Traceback" not in failure.message
        return failure


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    made = Runtime(tmp_path)
    yield made
    for process in made.started:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()
        if process.popen.stderr is not None:
            process.popen.stderr.close()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110  (it happens in another process)
        await asyncio.sleep(0.01)


def document(uri: str, **changes: object) -> str:
    return ServeDocument.model_validate(
        {"name": "m", "model": ModelSource(uri=uri)} | changes
    ).to_json()


def test_served_until_sigterm(runtime: Runtime, tmp_path: Path) -> None:
    folder = linear_onnx(tmp_path / "sums").parent
    process = runtime.start("serve", str(folder), "--version", "7")
    process.wait_for("ready after")
    answer = httpx.post(f"{process.url}/predict", json=ITEM)
    assert answer.json() == {"model": "sums", "version": "7", "outputs": {"y": [10, 20]}}
    process.popen.send_signal(signal.SIGTERM)
    assert process.end() == 0
    assert runtime.log.read_text() == ""


def test_served_from_the_operators_document(runtime: Runtime, tmp_path: Path) -> None:
    file = linear_onnx(tmp_path / "a")
    digest = "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()
    model = ModelSource(uri=f"file://{file}", digest=digest, version="2")
    text = document("file:///x", model=model, namespace="team", revision="m-1", batching=Batching())
    process = runtime.start("serve", **{DOCUMENT_ENV: text})
    line = json.loads(process.wait_for("ready after"))
    assert (line["name"], line["namespace"], line["revision"]) == ("m", "team", "m-1")
    assert httpx.get(f"{process.url}/v2/models/m/versions/2/ready").status_code == 200


def test_a_failed_warm_up(runtime: Runtime, tmp_path: Path) -> None:
    source = (
        "class Model:\n  inputs = {'x': ('FP32', [-1])}\n"
        "  def predict(self, i): raise KeyError(1)\n"
    )
    failure = runtime.failure("serve", str(python_model(tmp_path / "m", source)))
    assert failure.reason is FailureReason.WARM_UP_FAILED


WITHOUT_OUTPUTS = """
class Model:
    inputs = {"x": ("FP32", [-1, 4])}
    def predict(self, inputs):
        return {"y": inputs["x"] * 2, "words": [b"a"] * len(inputs["x"])}
"""


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("score=z", "'score' is taken from output 'z', and the model gives 'y'"),
        ("score=words", "that output is BYTES, not numbers"),
    ],
)
def test_a_value_that_the_model_does_not_give_is_refused_before_it_serves(
    value: str, words: str, runtime: Runtime, tmp_path: Path
) -> None:
    model = python_model(tmp_path / "m", WITHOUT_OUTPUTS)
    failure = runtime.failure("serve", str(model), "--value", value)
    assert failure.reason is FailureReason.DOCUMENT_INVALID
    assert words in failure.message


def test_values_and_feedback_of_the_operators_document(runtime: Runtime, tmp_path: Path) -> None:
    model = python_model(tmp_path / "m", WITHOUT_OUTPUTS)
    values = [{"name": "top", "output": "y", "reduce": "Max"}]
    text = document(f"file://{model}", revision="m-r1", values=values, feedback=["clicked"])
    process = runtime.start("serve", **{DOCUMENT_ENV: text})
    process.wait_for("ready after")
    answer = httpx.post(f"{process.url}/predict", json=ITEM)
    post = {"id": answer.headers["x-modelfleet-feedback"], "values": {"clicked": 1}}
    assert httpx.post(f"{process.url}/feedback", json=post).json()["counted"] == 1
    page = Tallies.from_json(httpx.get(f"{process.url}/experiment").content)
    values_of = page.revisions["m-r1"].values
    assert {name: value.sum for name, value in values_of.items()} == {"top": 8.0, "clicked": 1.0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "nothing to serve"),
        ("{", "Invalid JSON"),
        ('{"name": "m", "model": {"uri": "file:///x"}, "batching": {"maxSize": 0}}', "batching"),
    ],
)
@pytest.mark.parametrize("verb", ["serve", "fetch"])
def test_a_document_that_cannot_be_read(verb: str, text: str, words: str, runtime: Runtime) -> None:
    failure = runtime.failure(verb, **{DOCUMENT_ENV: text})
    assert failure.reason is FailureReason.DOCUMENT_INVALID
    assert words in failure.message


def test_a_setting_that_cannot_be_read(runtime: Runtime) -> None:
    failure = runtime.failure("serve", "x", MODELFLEET_MAX_BODY_BYTES="much")
    assert "MODELFLEET_MAX_BODY_BYTES is 'much'" in failure.message


def test_a_port_that_is_taken(runtime: Runtime, tmp_path: Path) -> None:
    folder = str(linear_onnx(tmp_path / "m").parent)
    first = runtime.start("serve", folder)
    port = first.url.rpartition(":")[2]
    message = runtime.failure("serve", folder, "--port", port).message
    assert message == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; --port takes another port"
    )


def test_a_flags_value_that_cannot_be(runtime: Runtime) -> None:
    failure = runtime.failure("serve", "m", "--port", "80000")
    assert failure.reason is FailureReason.DOCUMENT_INVALID
    assert failure.message == "--port is 80000; write 0 to 65535"


def test_inspect_looks_at_no_address(runtime: Runtime) -> None:
    process = runtime.start("inspect", "http://host/m.onnx")
    assert process.end() == EXIT_CODES[FailureReason.DOCUMENT_INVALID]
    assert "inspect takes the path of a file or a folder, not http://" in process.lines[-1]


def test_served_from_an_address_that_is_asked_at_each_start(
    runtime: Runtime, tmp_path: Path
) -> None:
    linear_onnx(tmp_path / "store")
    handler = functools.partial(_Quiet, directory=str(tmp_path / "store"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{store.server_address[1]}/model.onnx"
        first = runtime.start("serve", address)
        first.wait_for("no digest: whatever the address answers")
        first.wait_for("ready after")
        (tmp_path / "store" / "model.onnx").unlink()
        assert runtime.failure("serve", address).reason is FailureReason.MODEL_NOT_FOUND
        store.shutdown()


def test_flags_and_document_do_not_mix(runtime: Runtime) -> None:
    failure = runtime.failure("serve", "--name", "x", **{DOCUMENT_ENV: document("file:///x")})
    assert failure.message.startswith("--name needs a PATH")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("verb", ["serve", "fetch"])
def test_sigterm_while_fetching(verb: str, runtime: Runtime, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/m.onnx"
        process = (
            runtime.start("serve", address)
            if verb == "serve"
            else runtime.start("fetch", **{DOCUMENT_ENV: document(address)})
        )
        process.wait_for("fetching")
        process.popen.send_signal(signal.SIGTERM)
        assert process.end() == 143


def test_threads_of_a_failed_load_hold_nothing(runtime: Runtime, tmp_path: Path) -> None:
    failure = runtime.failure("serve", str(python_model(tmp_path / "m", HELD)))
    assert failure.reason is FailureReason.MODEL_INVALID


@pytest.mark.parametrize("workers", ["1", "2"])
def test_debug_says_what_ended_a_load(workers: str, runtime: Runtime, tmp_path: Path) -> None:
    source = (
        "class Model:\n  def load(self, folder): open(folder / 'weights')\n"
        "  def predict(self, i): ...\n"
    )
    folder = str(python_model(tmp_path / "m", source))
    for level, told in (("DEBUG", True), ("INFO", False)):
        process = runtime.start("serve", folder, "--workers", workers, MODELFLEET_LOG_LEVEL=level)
        assert process.end() == EXIT_CODES[FailureReason.MODEL_INVALID]
        assert ('model.py\\", line 2, in load' in "".join(process.lines)) is told


def test_inspect(runtime: Runtime, tmp_path: Path) -> None:
    linear_onnx(tmp_path / "m")
    found = subprocess.run(
        [sys.executable, "-m", "modelfleet_runtime", "inspect", str(tmp_path / "m")],
        env=runtime.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "served as onnx, batched\n  takes x FP32 [-1,4]\n  gives y FP32 [-1,2]" in found.stdout
    assert "python: no, there is no file model.py" in found.stdout


@pytest.mark.parametrize("verb", [[], ["serve"], ["fetch"], ["inspect"]])
def test_help(verb: list[str], runtime: Runtime) -> None:
    process = runtime.start(*verb, "--help")
    assert process.end() == 0
