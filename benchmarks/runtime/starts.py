"""How soon the runtime is ready, with image and model there already, and what memory it takes."""

import contextlib
import http.client
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.runtime import load, wire
from benchmarks.runtime.bars import Verdict
from benchmarks.runtime.models import Array, Inputs
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.server import processes, pss_mb

ROOT = Path(__file__).resolve().parents[2]
TIMES = 5
LOADED_S = 3.0
_TORCH_MODEL = (
    "import sys, torch; m = torch.nn.Linear(784, 10).eval(); "
    "torch.jit.save(torch.jit.trace(m, torch.zeros(1, 784)), sys.argv[1])"
)


def judge(ours: Peer, torch: Peer, port: int) -> list[Verdict]:
    digits = ROOT / "examples" / "digits"
    command = [str(ours.python.parent / "modelfleet-runtime"), "serve", str(digits)]
    seconds = _measured(command, port)
    return [
        _start("start to Ready, ONNX (digits)", seconds, 1.5),
        _torch(torch, port),
        _memory(command, digits / "model.onnx", port),
    ]


def _memory(command: list[str], model: Path, port: int) -> Verdict:
    """The largest of what it takes when it is ready, and after it has worked for a while."""
    what, bar = "memory, ONNX (digits), before and after load", "< 150 MB PSS"
    requests, answers = _digits(model)
    with _running([*command, "--port", str(port)], port) as process:
        if not _ready(process, port, time.monotonic() + 60):
            return Verdict(what, bar, "it was not ready", False)
        before = pss_mb(processes(process.pid))
        with tempfile.TemporaryDirectory() as folder:
            made = wire.oip_binary("/v2/models/digits/infer", requests)
            file = load.write(made, answers, Path(folder) / "requests", {})
            try:
                load.run(file, port, 256, LOADED_S)
            except load.NoLoad as error:
                return Verdict(what, bar, str(error), False)
        after = pss_mb(processes(process.pid))
    return Verdict(what, bar, f"{before:.0f}, {after:.0f} MB", max(before, after) < 150)


def _digits(model: Path) -> tuple[list[Inputs], list[Array]]:
    """Requests, and the last of the outputs of each: `probabilities`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    requests = [{"pixels": rng.random((1, 64)).astype(np.float32)} for _ in range(16)]
    return requests, [session.run(None, request)[-1] for request in requests]


def _torch(torch: Peer, port: int) -> Verdict:
    what = "start to Ready, TorchScript (784x10)"
    try:
        torch.install()
    except subprocess.CalledProcessError:
        return Verdict(what, "<= 3.5 s", "not measured: torch could not be installed", None)
    python = torch.python
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt"
        subprocess.run([str(python), "-W", "ignore", "-c", _TORCH_MODEL, str(file)], check=True)
        command = [str(python.parent / "modelfleet-runtime"), "serve", str(file)]
        seconds = _measured(command, port)
    return _start(what, seconds, 3.5)


def _start(what: str, seconds: list[float], bar: float) -> Verdict:
    middle = statistics.median(seconds)
    got = f"{middle:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
    return Verdict(what, f"<= {bar} s", got, middle <= bar)


def _measured(command: list[str], port: int) -> list[float]:
    """Seconds to Ready of each start; infinite where it ends first."""
    times = []
    for number in range(TIMES):
        began = time.monotonic()
        with _running([*command, "--port", str(port + number)], port + number) as process:
            if not _ready(process, port + number, began + 60):
                return [float("inf")]
            times.append(time.monotonic() - began)
    return times


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["env", f"MODELFLEET_GRPC_PORT={port + TIMES}", *command],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _ready(process: "subprocess.Popen[bytes]", port: int, deadline: float) -> bool:
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return True
        connection.close()
        time.sleep(0.01)
    return False
