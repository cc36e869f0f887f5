"""Records what TorchServe 0.12 answers to the cases.

    python -m tests.unit.runtime.torchserve.record BIN

BIN holds torchserve and torch-model-archiver (the benchmarks' environment does); java is on the
PATH.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.unit.runtime.torchserve.cases import CASES, Case

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
PORT = 19480
KEPT = ("content-type", "x-made", "x-upper", "cache-control", "pragma", "expires", "allow")


def main() -> None:
    binaries = Path(sys.argv[1])
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        store.mkdir()
        for name in ("probe", "function"):
            subprocess.run(
                [
                    str(binaries / "torch-model-archiver"), "--model-name", name,
                    "--version", "1.0", "--handler", str(HERE / "handlers" / f"{name}.py"),
                    "--config-file", str(HERE / "handlers" / "probe.yaml"),
                    "--export-path", str(store),
                ],
                check=True, env=environment,
            )  # fmt: skip
        config = Path(folder) / "config.properties"
        config.write_text(
            f"inference_address=http://127.0.0.1:{PORT}\n"
            f"management_address=http://127.0.0.1:{PORT + 1}\n"
            f"metrics_address=http://127.0.0.1:{PORT + 2}\n"
            f"grpc_inference_port={PORT + 3}\ngrpc_management_port={PORT + 4}\n"
        )
        server = subprocess.Popen(
            [
                str(binaries / "torchserve"), "--start", "--foreground", "--ncs",
                "--model-store", str(store), "--models", "all", "--ts-config", str(config),
                "--disable-token-auth",
            ],
            env=environment, cwd=folder, start_new_session=True,
            stdout=(Path(folder) / "log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _await_ready()
            told = {case.name: ask(case, PORT) for case in CASES}
            told["end"] = ask(Case("end", headers={"x-do": "end:hard"}), PORT)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    RECORDED.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    print(len(told), "answers in", RECORDED)


def ask(case: Case, port: int) -> dict[str, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port + case.management, timeout=60)
    connection.request(case.method, case.path, case.body, case.headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    headers = {k.lower(): v for k, v in answer.getheaders() if k.lower() in KEPT}
    return {
        "status": answer.status,
        "headers": headers,
        "body": body.decode("latin-1") if not _is_utf8(body) else body.decode(),
    }


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _await_ready() -> None:
    last = time.monotonic() + 120
    while time.monotonic() < last:
        try:
            ready = [
                ask(Case("", f"/predictions/{name}", body=b"x"), PORT)["status"] == 200
                for name in ("probe", "function")
            ]
        except OSError:
            ready = [False]
        if all(ready):
            return
        time.sleep(1)
    raise SystemExit("TorchServe is not ready")


if __name__ == "__main__":
    main()
