"""One running server: started, halted while others are measured, weighed, ended."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.runtime.models import Bench
from benchmarks.runtime.peers.peer import Peer
from benchmarks.runtime.wire import GRPC_METHOD, Wire

LONGEST_START = 90.0


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

    def check(self, wire: Wire, some: int = 16) -> None:
        """Raises `Failed` unless every answer is the model's."""
        if wire.path == GRPC_METHOD:
            self._check_grpc(wire, some)
            return
        for body, expected in list(zip(wire.bodies, self.bench.answers, strict=True))[:some]:
            answer = self._post(wire, body)
            if answer.status_code != 200:
                raise Failed(f"{self.peer.name}: {answer.status_code} {answer.text[:200]}")
            got = wire.decode(answer.content, dict(answer.headers))
            if not np.allclose(got, expected.ravel(), rtol=1e-3, atol=1e-3):
                raise Failed(f"{self.peer.name} answered wrongly")

    def _check_grpc(self, wire: Wire, some: int) -> None:
        import grpc

        with grpc.insecure_channel(f"127.0.0.1:{self.port + 1}") as channel:
            call: Any = channel.unary_unary(GRPC_METHOD)
            for body, expected in list(zip(wire.bodies, self.bench.answers, strict=True))[:some]:
                try:
                    got = wire.decode(call(body, timeout=30), {})
                except grpc.RpcError as error:
                    raise Failed(f"{self.peer.name}, gRPC: {error}") from error
                if not np.allclose(got, expected.ravel(), rtol=1e-3, atol=1e-3):
                    raise Failed(f"{self.peer.name} answered wrongly over gRPC")

    def halt(self) -> None:
        if self.peer.stops:
            self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        if self.peer.stops:
            self._signal(signal.SIGCONT)

    def pss_mb(self) -> float:
        """Memory of all its processes; pages that several share are shared out among them."""
        total = 0
        for pid in self._processes():
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += int(next(line for line in lines if line.startswith("Pss:")).split()[1])
        return total / 1024

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

    def _post(self, wire: Wire, body: bytes) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{wire.path}"
        return httpx.post(url, content=body, headers=wire.headers, timeout=30)

    def _answers(self, wire: Wire) -> bool:
        try:
            return self._post(wire, wire.bodies[0]).status_code == 200
        except httpx.TransportError:
            return False

    def _signal(self, number: int) -> None:
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> list[int]:
        """Of its session, and what those started (some begin sessions of their own)."""
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
        own = {pid for pid, session in sessions.items() if session == self._process.pid}
        while more := {pid for pid, parent in parents.items() if parent in own} - own:
            own |= more
        return sorted(own)


@contextlib.contextmanager
def running(peer: Peer, bench: Bench, port: int) -> Iterator[Running]:
    """Raises `Failed`."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        made = Running(peer, bench, port, Path(folder))
        try:
            yield made
        finally:
            made.end()
