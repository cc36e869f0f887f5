"""Load on one server, by `generator.c`, which compares every answer with the right one."""

import hashlib
import json
import shutil
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtime.models import Array, cache
from benchmarks.runtime.wire import Wire

SOURCE = Path(__file__).resolve().parent / "generator.c"


class NoLoad(Exception):
    """The load could not be made; the message says why."""


@dataclass(frozen=True)
class Load:
    """What one measurement of a closed loop saw."""

    rps: float
    """Right answers a second."""
    p50_ms: float
    p99_ms: float
    errors: int
    """Answers that were wrong or failed, and connections that broke under a request."""
    busy: float
    """How much of one core the generator used: near 1, it is what was measured."""


@dataclass(frozen=True)
class OpenLoad:
    """What became of requests that came when they were due."""

    goodput: float
    """Right answers within the deadline, a second."""
    p99_ms: float
    """Of those, from when each was due."""
    late: int
    refused: int
    refused_soon: int
    """Of the refused, within 10 ms."""
    refused_p99_ms: float
    errors: int
    unsent: int
    """Due while every connection waited for an answer."""
    busy: float


def build() -> Path:
    """The generator, compiled once. Raises `NoLoad` where there is no C compiler."""
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    program = cache() / "bin" / f"generator-{key}"
    if program.exists():
        return program
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NoLoad("a C compiler is missing: apt-get install gcc libc6-dev")
    program.parent.mkdir(parents=True, exist_ok=True)
    part = program.with_suffix(".part")
    command = [compiler, "-O2", "-Wall", "-o", str(part), str(SOURCE), "-lm"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise NoLoad(f"{SOURCE.name} does not compile:\n{made.stderr}")
    part.rename(program)
    return program


def write(wire: Wire, answers: Sequence[Array], file: Path, more: dict[str, str]) -> Path:
    """The requests and their answers as the generator reads them; `more` are further headers."""

    def framed(part: bytes) -> bytes:
        return struct.pack("<I", len(part)) + part

    first, later = wire.heads()
    parts = [struct.pack("<II", wire.grpc, wire.json), framed(first), framed(later)]
    parts.append(struct.pack("<I", len(wire.bodies)))
    for body, answer in zip(wire.bodies, answers, strict=True):
        parts += [framed(wire.request(body, more)), framed(answer.astype("<f4").tobytes())]
    file.write_bytes(b"".join(parts))
    return file


def check(file: Path, port: int) -> None:
    """Raises `NoLoad` unless answers are right, one after the other for a moment."""
    told = _run(file, port, 1, 0.3)
    if told["wrong"] or told["failed"] or not told["good"]:
        raise NoLoad(_complaint(told))


def run(file: Path, port: int, connections: int, seconds: float, warm: float = 0.3) -> Load:
    """A closed loop: each connection has one request on its way. Raises `NoLoad`."""
    told = _run(file, port, connections, seconds, "-w", str(warm))
    if not told["good"]:
        raise NoLoad(_complaint(told))
    errors = told["wrong"] + told["failed"]
    rps = told["inside"] / told["seconds"]
    return Load(rps, told["p50_ms"], told["p99_ms"], int(errors), told["busy"])


def run_open(
    file: Path,
    port: int,
    connections: int,
    seconds: float,
    rate: float,
    deadline_ms: float,
    warm: float = 2.0,
) -> OpenLoad:
    """An open loop: `rate` requests a second at random moments. Raises `NoLoad`."""
    told = _run(
        file, port, connections, seconds, "-w", str(warm), "-r", str(rate), "-d", str(deadline_ms)
    )
    return OpenLoad(
        goodput=told["good"] / told["seconds"],
        p99_ms=told["p99_ms"],
        late=int(told["late"]),
        refused=int(told["refused"]),
        refused_soon=int(told["refused_soon"]),
        refused_p99_ms=told["refused_p99_ms"],
        errors=int(told["wrong"] + told["failed"]),
        unsent=int(told["unsent"]),
        busy=told["busy"],
    )


def _run(file: Path, port: int, connections: int, seconds: float, *more: str) -> dict[str, float]:
    command = [
        str(build()), "-p", str(port), "-c", str(connections), "-s", str(seconds), *more, str(file)
    ]  # fmt: skip
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=seconds + 60
        )
    except subprocess.TimeoutExpired as late:
        raise NoLoad("the generator did not end") from late
    if told.returncode != 0:
        raise NoLoad(told.stderr.strip() or f"the generator ended with {told.returncode}")
    figures: dict[str, float] = json.loads(told.stdout)
    return figures


def _complaint(told: dict[str, float]) -> str:
    return (
        f"{told['good']:.0f} right answers, {told['wrong']:.0f} wrong, {told['failed']:.0f} failed"
        + (f" (the last with status {told['last_status']:.0f})" if told["last_status"] else "")
    )
