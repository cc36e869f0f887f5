"""Builds and caches all that a cluster needs: its parts and the two images, side by side.

Compiling Kubernetes keeps the processors busy and building images keeps the network and the disk
busy, so together they take little longer than the slower of the two. Linking takes 3 GB, and where
there is not that much to spare one follows the other.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENOUGH_MEMORY_KB = 6_000_000


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m dev.prepare",
        description="Builds what a cluster needs; what is cached already takes a second.",
    )
    parser.add_argument("--flavor", choices=["onnx", "torch"], default="onnx")
    parser.add_argument("--gateway", action="store_true", help="Envoy Gateway as well")
    options = parser.parse_args(argv)
    jobs = {
        "images": [sys.executable, "-m", "dev.images", "build", "--flavor", options.flavor],
    }
    if os.environ.get("CLUSTER") != "existing":
        parts = [sys.executable, "-m", "dev.cluster", "parts"]
        jobs = {"parts": [*parts, "--gateway"] if options.gateway else parts, **jobs}
    failed = _side_by_side(jobs) if _room_for_both() else _one_by_one(jobs)
    if failed:
        print(f"prepare: {' and '.join(failed)} failed, see above", file=sys.stderr)
    return 1 if failed else 0


def _room_for_both() -> bool:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return False  # not Linux: a virtual machine does the work, and we cannot look into it
    available = next(line for line in lines if line.startswith("MemAvailable:"))
    return int(available.split()[1]) > ENOUGH_MEMORY_KB


def _one_by_one(jobs: dict[str, list[str]]) -> list[str]:
    return [name for name, job in jobs.items() if subprocess.call(job, cwd=ROOT, stdout=2) != 0]


def _side_by_side(jobs: dict[str, list[str]]) -> list[str]:
    started = time.monotonic()
    running = {}
    readers = []
    for name, job in jobs.items():
        process = subprocess.Popen(
            job,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
        reader = threading.Thread(target=_relay, args=(name, process, started))
        reader.start()
        running[name] = process
        readers.append(reader)
    for reader in readers:
        reader.join()
    return [name for name, process in running.items() if process.wait() != 0]


def _relay(name: str, process: subprocess.Popen[str], started: float) -> None:
    """Each line says which of the two it comes from, and how long everything has taken so far."""
    assert process.stdout is not None
    for line in process.stdout:
        seconds = int(time.monotonic() - started)
        print(f"[{seconds // 60:2}:{seconds % 60:02}] {name:6} {line.rstrip()}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
