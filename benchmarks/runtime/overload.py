"""Three things that need no peer: twice the capacity, the start, and the memory.

Overload: the encoder, with a deadline on each request. The capacity is what wrk reaches with 64
connections; then an open loop sends twice as many, each when it is due and on a free connection,
for a minute. Counted are the answers in time (goodput), their p99 from the moment at which they
were due, and how soon the others are refused. The encoder, because a generator in Python is honest
at a few hundred requests a second.
"""

import asyncio
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.runtime import load
from benchmarks.runtime.bars import Verdict
from benchmarks.runtime.models import Bench, make
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.server import Running, running
from benchmarks.runtime.wire import Wire

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_MS = 2000
CONNECTIONS = 1024


def judge(ours: Peer, seconds: int) -> list[Verdict]:
    return [*_overload(ours, seconds), *_starts(ours)]


@dataclass
class _Counted:
    good: list[float] = field(default_factory=list)
    """Seconds from when each was due to its answer."""
    late: int = 0
    refused: list[float] = field(default_factory=list)
    other: int = 0
    unsent: int = 0


def _overload(ours: Peer, seconds: int) -> list[Verdict]:
    bench = make("encoder")
    with running(ours, bench, 31500) as server:
        wire = next(iter(ours.wires.values()))(bench)
        folder = server.folder / "load"
        folder.mkdir()
        file = load.script(wire, folder)
        load.run(file, server.port, 64, 4)
        capacity = statistics.median(load.run(file, server.port, 64, 10).rps for _ in range(3))
        counted = _Counted()
        asyncio.run(_open_loop(server, wire, 2 * capacity, seconds, counted))
        server.check(wire)
    goodput = len(counted.good) / seconds
    good, refused = sorted(counted.good), sorted(counted.refused)
    p99 = good[int(len(good) * 0.99)] * 1000 if good else float("inf")
    slowest = refused[int(len(refused) * 0.99)] * 1000 if refused else 0.0
    rest = f"{counted.late} late, {counted.other} failed, {counted.unsent} not sent"
    what = f"overload ({seconds} s of {2 * capacity:,.0f}/s, deadline {DEADLINE_MS} ms)"
    return [
        Verdict(
            f"{what}: goodput",
            ">= 90 %",
            f"{goodput / capacity:.0%} of {capacity:,.0f}/s; {rest}",
            goodput >= 0.9 * capacity,
        ),
        Verdict(f"{what}: p99 of the answered", f"< {DEADLINE_MS} ms", f"{p99:.0f} ms",
                p99 < DEADLINE_MS),
        Verdict(f"{what}: p99 of the refusals", "< 10 ms",
                f"{slowest:.1f} ms, of {len(refused):,}", slowest < 10),
    ]  # fmt: skip


async def _open_loop(
    server: Running, wire: Wire, rate: float, seconds: int, counted: _Counted
) -> None:
    """Requests leave when they are due, whatever became of those before."""
    head = "".join(f"{name}: {value}\r\n" for name, value in wire.headers.items())
    head = (
        f"POST {wire.path} HTTP/1.1\r\nhost: bench\r\n{head}x-request-timeout-ms: {DEADLINE_MS}\r\n"
    )
    requests = [
        f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in wire.bodies
    ]
    loop = asyncio.get_running_loop()
    free: list[_Client] = []
    for _ in range(CONNECTIONS):
        _, client = await loop.create_connection(
            lambda: _Client(free, counted), "127.0.0.1", server.port
        )
        free.append(client)
    began = loop.time() + 0.2
    sent = 0
    total = int(rate * seconds)
    while sent < total:
        now = loop.time()
        due = min(total, int((now - began) * rate))
        while sent < due:
            at = began + sent / rate
            sent += 1
            if free:
                free.pop().send(requests[sent % len(requests)], at)
            else:
                counted.unsent += 1
        await asyncio.sleep(0.001)
    await asyncio.sleep(2 * DEADLINE_MS / 1000 + 1)


class _Client(asyncio.Protocol):
    def __init__(self, free: list["_Client"], counted: _Counted) -> None:
        self._free = free
        self._counted = counted
        self._due = 0.0
        self._left = 0
        self._status = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._loop = asyncio.get_running_loop()

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._sent = self._loop.time()
        self._left = -1
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            head, _, rest = data.partition(b"\r\n\r\n")
            self._status = head[9:12]
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._left = int(length) - len(rest)
        else:
            self._left -= len(data)
        if self._left > 0:
            return
        now = self._loop.time()
        if self._status == b"200":
            if now - self._due <= DEADLINE_MS / 1000:
                self._counted.good.append(now - self._due)
            else:
                self._counted.late += 1
        elif self._status == b"503":
            self._counted.refused.append(now - self._sent)
        elif self._status == b"504":
            self._counted.late += 1
        else:
            self._counted.other += 1
        self._free.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._left:
            self._counted.other += 1


def _starts(ours: Peer) -> list[Verdict]:
    onnx = Bench("linear", ROOT / "examples" / "digits", [], [])
    seconds, pss = _started(ours, onnx, "digits")
    return [
        Verdict("start to Ready, ONNX (digits)", "<= 1.5 s", f"{seconds:.2f} s", seconds <= 1.5),
        _torch_start(),
        Verdict("memory, ONNX (digits)", "< 150 MB PSS", f"{pss:.0f} MB", pss < 150),
    ]


def _started(ours: Peer, bench: Bench, name: str) -> tuple[float, float]:
    """Median seconds to Ready of five starts, and the largest PSS in MB after some requests."""
    command = [str(ours.python.parent / "modelfleet-runtime"), "serve", str(bench.folder)]
    return _ready(command, name)


def _ready(command: list[str], name: str) -> tuple[float, float]:
    import httpx

    times, sizes = [], []
    for number in range(5):
        port = 31600 + number
        with tempfile.TemporaryFile() as log:
            began = time.monotonic()
            process = subprocess.Popen(
                [*command, "--name", name, "--port", str(port)], stdout=log, stderr=log
            )
            try:
                while True:
                    try:
                        if httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200:
                            break
                    except httpx.TransportError:
                        pass
                    if process.poll() is not None or time.monotonic() - began > 60:
                        return float("inf"), float("inf")
                    time.sleep(0.01)
                times.append(time.monotonic() - began)
                lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
                pss = next(line for line in lines if line.startswith("Pss:"))
                sizes.append(int(pss.split()[1]) / 1024)
            finally:
                process.terminate()
                process.wait()
    return statistics.median(times), max(sizes)


def _torch_start() -> Verdict:
    """With the torch that the repository's own second environment has, where it is there."""
    what, bar = "start to Ready, TorchScript (784x10)", "<= 3.5 s"
    python = ROOT / ".venv-torch" / "bin" / "python"
    if not python.exists():
        return Verdict(what, bar, "not measured: make test-torch installs torch", None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pt"
        made = (
            "import sys, torch; m = torch.nn.Linear(784, 10).eval(); "
            "torch.jit.save(torch.jit.trace(m, torch.zeros(1, 784)), sys.argv[1])"
        )
        subprocess.run([str(python), "-W", "ignore", "-c", made, str(file)], check=True)
        command = [str(python), "-m", "modelfleet_runtime", "serve", str(file)]
        seconds, _ = _ready(command, "linear")
    return Verdict(what, bar, f"{seconds:.2f} s", seconds <= 3.5)
