"""The peers that need no more than a script and a port."""

from pathlib import Path

from benchmarks.runtime import wire
from benchmarks.runtime.models import Bench
from benchmarks.runtime.peers.peer import ONNXRUNTIME, SERVE, Peer, raw, script

LITSERVE = Peer(
    "litserve",
    ("litserve==0.2.19", ONNXRUNTIME, "numpy"),
    script("litserve_server.py"),
    {
        "json": lambda bench: wire.plain_json(
            "/predict", bench.requests, lambda row: row, lambda answer: answer["y"]
        )
    },
    "max_batch_size=32, batch_timeout=1 ms, workers_per_device=1, fast_queue=True",
)

RAY = Peer(
    "ray",
    ("ray[serve]==2.60.0", ONNXRUNTIME, "numpy"),
    script("ray_server.py"),
    {"raw": raw("/")},
    "serve.batch(max_batch_size=32, batch_wait_timeout_s=0.001), num_replicas=1, optimised for "
    "throughput",
    # Direct ingress would be a port of the replica's own, for a load balancer beside Ray's proxy.
    environment={"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "RAY_SERVE_ENABLE_DIRECT_INGRESS": "0"},
    restarts=False,
)


def _mosec(peer: Peer, bench: Bench, port: int, folder: Path) -> list[str]:
    path = folder / "sockets"
    return [
        str(peer.python), str(SERVE / "mosec_server.py"), "--address", "127.0.0.1",
        "--port", str(port), "--path", str(path), "--timeout", "60000",
    ]  # fmt: skip


MOSEC = Peer(
    "mosec",
    ("mosec==0.9.8", ONNXRUNTIME, "numpy"),
    _mosec,
    {"raw": raw("/inference")},
    "num=1, max_batch_size=32, max_wait_time=1 ms",
)


def _bentoml(peer: Peer, bench: Bench, port: int, folder: Path) -> list[str]:
    return [
        str(peer.python), "-m", "bentoml", "serve", "bentoml_server:Bench", "--working-dir",
        str(SERVE), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip


BENTOML = Peer(
    "bentoml",
    ("bentoml==1.4.39", ONNXRUNTIME, "numpy"),
    _bentoml,
    {
        "json": lambda bench: wire.plain_json(
            "/predict", bench.requests, lambda row: {"items": [row]}, lambda answer: answer[0]
        )
    },
    "batchable, max_batch_size=32, adaptive, workers=1",
    environment={"BENTOML_DO_NOT_TRACK": "True"},
)
