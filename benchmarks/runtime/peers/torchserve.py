"""TorchServe 0.12, with a handler that runs the same onnxruntime."""

import subprocess
from pathlib import Path

from benchmarks.runtime.models import Bench
from benchmarks.runtime.peers.peer import ONNXRUNTIME, SERVE, Peer, raw


def _command(peer: Peer, bench: Bench, port: int, folder: Path) -> list[str]:
    store = folder / "store"
    store.mkdir(exist_ok=True)
    # It ends a worker that is silent for responseTimeout; while others are measured it is halted.
    (folder / "model-config.yaml").write_text(
        "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 32\nmaxBatchDelay: 1\nresponseTimeout: 7200\n"
    )
    subprocess.run(
        [
            str(peer.python.parent / "torch-model-archiver"), "--model-name", bench.name,
            "--version", "1", "--handler", str(SERVE / "torchserve_handler.py"),
            "--config-file", str(folder / "model-config.yaml"), "--export-path", str(store),
            "--force",
        ],
        check=True, env=peer.env(bench, folder), capture_output=True,
    )  # fmt: skip
    properties = {
        "inference_address": f"http://127.0.0.1:{port}",
        "management_address": f"http://127.0.0.1:{port + 1}",
        "metrics_address": f"http://127.0.0.1:{port + 2}",
        "grpc_inference_port": port + 3,
        "grpc_management_port": port + 4,
        "disable_token_authorization": "true",
        "job_queue_size": 1024,
    }
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    (folder / "config.properties").write_text(text)
    return [
        str(peer.python.parent / "torchserve"), "--start", "--foreground", "--ncs",
        "--model-store", str(store), "--models", f"{bench.name}={bench.name}.mar",
        "--ts-config", str(folder / "config.properties"), "--disable-token-auth",
    ]  # fmt: skip


TORCHSERVE = Peer(
    "torchserve",
    (
        "torchserve==0.12.0", "torch-model-archiver==0.12.0", "torch==2.15.0", ONNXRUNTIME,
        "numpy", "setuptools<81", "pyyaml", "psutil", "requests", "packaging",
    ),
    _command,
    {"raw": lambda bench: raw(f"/predictions/{bench.name}")(bench)},
    "batchSize 32, maxBatchDelay 1 ms, one worker",
)  # fmt: skip
