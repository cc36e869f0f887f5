"""Load over gRPC, by h2load: each connection of its own with one call at a time.

A gRPC client in Go (ghz) answers for 5,000 calls/s on a core; the servers do more than that, and it
would be measured in their place. h2load knows HTTP/2 and nothing of gRPC: what says that a call
went well stands in trailers, which it does not read. A refusal has no message, so the bytes that
came tell.
"""

import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.runtime.load import Load
from benchmarks.runtime.wire import GRPC_METHOD

_PREFIX = struct.Struct(">BI")
"""Before each message: whether it is compressed, and its length."""


def run(body: Path, port: int, connections: int, seconds: float) -> Load:
    """Raises `SystemExit` where h2load is missing or says nothing."""
    if shutil.which("h2load") is None:
        raise SystemExit("h2load is missing: apt-get install nghttp2-client")
    message = body.read_bytes()
    answer = _PREFIX.size + len(_ask(message, port))
    with tempfile.TemporaryDirectory() as folder:
        sent, log = Path(folder) / "message", Path(folder) / "log"
        sent.write_bytes(_PREFIX.pack(0, len(message)) + message)
        told = subprocess.run(
            [
                "h2load", "--threads=1", f"--clients={connections}", "--max-concurrent-streams=1",
                f"--duration={max(1, round(seconds))}", "--warm-up-time=1", f"--data={sent}",
                "--header=content-type: application/grpc", "--header=te: trailers",
                f"--log-file={log}", f"http://127.0.0.1:{port}{GRPC_METHOD}",
            ],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        took = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    rate = re.search(r"finished in .*?, ([\d.]+) req/s", told)
    done = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", told)
    data = re.search(r"\((\d+)\) data$", told, re.MULTILINE)
    if not (rate and done and data and took):
        raise SystemExit(f"h2load said nothing to be read:\n{told}")
    succeeded, failed, errored = map(int, done.groups())
    refused = max(0, succeeded - -(-int(data[1]) // answer))
    return Load(
        float(rate[1]),
        took[len(took) // 2] / 1000,
        took[len(took) * 99 // 100] / 1000,
        failed + errored + refused,
    )


def _ask(message: bytes, port: int) -> bytes:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.unary_unary(GRPC_METHOD)
        answer: bytes = call(message, timeout=30)
        return answer
