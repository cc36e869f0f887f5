"""Load over gRPC, by ghz: each connection of its own with one call at a time."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.runtime.load import Load
from benchmarks.runtime.models import cache
from benchmarks.runtime.wire import GRPC_METHOD

VERSION = "v0.121.0"
PROTO = (
    Path(__file__).resolve().parents[2]
    / "runtime/modelfleet_runtime/protocols/grpc/messages/inference.proto"
)


def tool() -> Path:
    """ghz, built from its Go module once. Raises `SystemExit` where Go is missing."""
    made = cache() / "bin" / "ghz"
    if not made.exists():
        go = shutil.which("go")
        if go is None:
            raise SystemExit("gRPC is not measured: ghz is built with Go, which is missing")
        subprocess.run(
            [go, "install", f"github.com/bojand/ghz/cmd/ghz@{VERSION}"],
            env={**os.environ, "GOBIN": str(made.parent), "GOFLAGS": "-mod=mod"},
            check=True,
        )
    return made


def run(body: Path, port: int, connections: int, seconds: float) -> Load:
    """Raises `SystemExit` where ghz says nothing."""
    command = [
        str(tool()), "--insecure", "--proto", str(PROTO), "--call", GRPC_METHOD[1:],
        "--binary-file", str(body), "--concurrency", str(connections), "--connections",
        str(connections), "--duration", f"{seconds}s", "--duration-stop", "wait", "--format",
        "json", "--cpus", "1", f"127.0.0.1:{port}",
    ]  # fmt: skip
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report = json.loads(told.stdout)
        at = {one["percentage"]: one["latency"] / 1e6 for one in report["latencyDistribution"]}
        errors = sum(n for code, n in report["statusCodeDistribution"].items() if code != "OK")
        return Load(report["rps"], at[50], at[99], errors)
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"ghz said nothing to be read: {told.stderr[-300:]}") from error
