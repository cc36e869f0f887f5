"""How soon the runtime is ready, with image and model there already, and what memory it takes."""

import contextlib
import http.client
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.runtime.bars import Verdict
from benchmarks.runtime.peers.peer import Peer

ROOT = Path(__file__).resolve().parents[2]
TIMES = 5
_TORCH_MODEL = (
    "import sys, torch; m = torch.nn.Linear(784, 10).eval(); "
    "torch.jit.save(torch.jit.trace(m, torch.zeros(1, 784)), sys.argv[1])"
)


def judge(ours: Peer, torch: Peer, port: int) -> list[Verdict]:
    digits = ROOT / "examples" / "digits"
    command = [str(ours.python.parent / "modelfleet-runtime"), "serve", str(digits)]
    seconds, pss = _measured(command, port)
    return [
        _start("start to Ready, ONNX (digits)", seconds, 1.5),
        _torch(torch, port),
        Verdict("memory, ONNX (digits)", "< 150 MB PSS", f"{pss:.0f} MB", pss < 150),
    ]


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
        seconds, _ = _measured(command, port)
    return _start(what, seconds, 3.5)


def _start(what: str, seconds: list[float], bar: float) -> Verdict:
    middle = statistics.median(seconds)
    got = f"{middle:.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
    return Verdict(what, f"<= {bar} s", got, middle <= bar)


def _measured(command: list[str], port: int) -> tuple[list[float], float]:
    """Seconds to Ready of each start, and the largest PSS in MB; infinite where it ends first."""
    times, sizes = [], []
    for number in range(TIMES):
        began = time.monotonic()
        with _running([*command, "--port", str(port + number)], port + number) as process:
            if not _ready(process, port + number, began + 60):
                return [float("inf")], float("inf")
            times.append(time.monotonic() - began)
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
            pss = next(line for line in lines if line.startswith("Pss:"))
            sizes.append(int(pss.split()[1]) / 1024)
    return times, max(sizes)


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator["subprocess.Popen[bytes]"]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["env", f"MODELFLEET_GRPC_PORT={port + TIMES}", *command], stdout=log, stderr=log
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
