"""One running server: started, halted while others are measured, weighed, ended."""

import contextlib
import http.client
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.runtime import load
from benchmarks.runtime.models import Bench
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.wire import Wire

LONGEST_START = 120.0


class Failed(Exception):
    """A server did not start, or answered wrongly."""


class Running:
    def __init__(self, peer: Peer, bench: Bench, port: int, folder: Path) -> None:
        self.peer = peer
        self.bench = bench
        self.port = port
        self.folder = folder
        self._log = folder / "log"
        began = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                peer.command(peer, bench, port, folder),
                env=peer.env(bench, folder),
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        first = next(iter(peer.wires.values()))(bench)
        while not self._answers(first):
            if self._process.poll() is not None or time.monotonic() - began > LONGEST_START:
                self.end()
                raise Failed(f"{peer.name} did not start: {self._log.read_text()[-800:]}")
            time.sleep(0.02)
        self.start_s = time.monotonic() - began

    def requests(self, wire: Wire, name: str, **more: str) -> Path:
        """The file for the generator; `more` are further headers."""
        headers = {key.replace("_", "-"): value for key, value in more.items()}
        return load.write(wire, self.bench.answers, self.folder / f"{name}.requests", headers)

    def check(self, wire: Wire, some: int = 16) -> None:
        """Raises `Failed` unless every answer is the model's, read apart from the generator."""
        if wire.grpc:
            try:
                load.check(self.requests(wire, "check"), self.port + wire.port)
            except load.NoLoad as error:
                raise Failed(str(error)) from error
            return
        for body, expected in list(zip(wire.bodies, self.bench.answers, strict=True))[:some]:
            try:
                status, headers, content = _post(self.port, wire, body)
            except (OSError, http.client.HTTPException) as error:
                raise Failed(f"no answer: {error}; {self._log.read_text()[-800:]}") from error
            if status != 200:
                raise Failed(f"{status} {content[:200]!r}")
            got = wire.decode(content, headers)
            if not np.allclose(got, expected.ravel(), rtol=1e-3, atol=1e-3):
                raise Failed("a wrong answer")

    def halt(self) -> None:
        """No processor time for it until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def pss_mb(self) -> float:
        return pss_mb(self._processes())

    def end(self) -> None:
        self.go_on()
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + 15
        while self._processes() and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(0.05)
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self, wire: Wire) -> bool:
        try:
            return _post(self.port, wire, wire.bodies[0])[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _signal(self, number: int) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> list[int]:
        return processes(self._process.pid)


def processes(session: int) -> list[int]:
    """Of a session, and what those started (some begin sessions of their own)."""
    parents: dict[int, int] = {}
    sessions: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if words[0] == "Z":
            continue
        parents[int(entry.name)] = int(words[1])
        sessions[int(entry.name)] = int(words[3])
    own = {pid for pid, its in sessions.items() if its == session}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return sorted(own)


def pss_mb(pids: Iterable[int]) -> float:
    """Memory of all of them; pages that several share are shared out among them."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return total / 1024


def _post(port: int, wire: Wire, body: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers in lower case, body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", wire.path, body, wire.headers)
        answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, headers, answer.read()


@contextlib.contextmanager
def running(peer: Peer, bench: Bench, port: int) -> Iterator[Running]:
    """Raises `Failed`."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        made = Running(peer, bench, port, Path(folder))
        try:
            yield made
        finally:
            made.end()
