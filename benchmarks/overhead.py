"""What do reading, batching and the model cost on top of the HTTP server?

Starts the runtime with examples/digits, and a bare ASGI application that answers the same bytes,
each under uvicorn with one process, and loads them in turn with `wrk`, several rounds, interleaved.
Prints requests/s and latencies as medians, and the ratio round by round.
"""

import argparse
import contextlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import orjson

ROOT = Path(__file__).resolve().parent.parent
BODY = orjson.dumps(
    {"inputs": [{"name": "pixels", "shape": [1, 64], "datatype": "FP32", "data": [0.0] * 64}]}
).decode()
ROUTE = "/v2/models/digits/infer"
BARE = """
import asyncio, sys, uvicorn
answer = open(sys.argv[2], "rb").read()
HEAD = {"type": "http.response.start", "status": 200, "headers": [
    (b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]}
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send(HEAD)
    await send({"type": "http.response.body", "body": answer})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), lifespan="off", access_log=False,
            log_level="error", loop="uvloop", http="httptools")
"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args(argv)
    if shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        ours, bare = _free_port(), _free_port()
        runtime = [str(Path(sys.executable).parent / "modelfleet-runtime"), "serve"]
        stack.enter_context(
            _serving([*runtime, str(ROOT / "examples" / "digits"), "--port", str(ours)])
        )
        answer = _answer(ours)
        kept = Path(folder) / "answer"
        kept.write_bytes(answer)
        stack.enter_context(_serving([sys.executable, "-c", BARE, str(bare), str(kept)]))
        if _answer(bare) != answer:
            raise SystemExit("the two do not answer the same")
        script = Path(folder) / "post.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = [[{BODY}]]\n"
        )
        print(f"{'connections':>11} {'server':>11} {'requests/s':>11} {'p50':>9} {'p99':>9}  ratio")
        for connections in options.connections:
            _compare({"bare": bare, "modelfleet": ours}, connections, options, script)
    return 0


def _compare(
    ports: dict[str, int], connections: int, options: argparse.Namespace, script: Path
) -> None:
    rounds: dict[str, list[tuple[float, str, str]]] = {name: [] for name in ports}
    for _ in range(options.rounds):
        for name, port in ports.items():
            rounds[name].append(_wrk(port, connections, options.seconds, script))
    ratios = [a[0] / b[0] for a, b in zip(rounds["modelfleet"], rounds["bare"], strict=True)]
    for name, figures in rounds.items():
        middle = sorted(figures)[len(figures) // 2]
        rate = statistics.median(f[0] for f in figures)
        ratio = ""
        if name == "modelfleet":
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{connections:11} {name:>11} {rate:11.0f} {middle[1]:>9} {middle[2]:>9}  {ratio}")


def _wrk(port: int, connections: int, seconds: int, script: Path) -> tuple[float, str, str]:
    """Requests/s, p50 and p99. Raises where an answer was not 200."""
    command = ["wrk", "--latency", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
    told = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{ROUTE}"], capture_output=True, text=True, check=True
    ).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise SystemExit(told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    half = re.search(r"50%\s+(\S+)", told)
    most = re.search(r"99%\s+(\S+)", told)
    if not (rate and half and most):
        raise SystemExit(told)
    return float(rate[1]), half[1], most[1]


def _answer(port: int) -> bytes:
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"http://127.0.0.1:{port}{ROUTE}", content=BODY, headers=headers)
    answer.raise_for_status()
    return answer.content


@contextlib.contextmanager
def _serving(command: list[str]) -> Iterator[None]:
    port = int(next(part for part in command if part.isdecimal()))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not _takes_requests(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _takes_requests(port: int) -> bool:
    try:
        ready = httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=1)
    except httpx.TransportError:
        return False
    return ready.status_code == 200


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
