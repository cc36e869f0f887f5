"""MLServer, by a runtime class of the user's."""

import json
from pathlib import Path

from benchmarks.runtime import wire
from benchmarks.runtime.models import Bench
from benchmarks.runtime.peers.peer import ONNXRUNTIME, Peer


def _command(peer: Peer, bench: Bench, port: int, folder: Path) -> list[str]:
    settings = {
        "http_port": port, "host": "127.0.0.1", "grpc_port": port + 1, "metrics_port": port + 2,
        "parallel_workers": 0, "debug": False, "environments_dir": str(folder / "environments"),
        "metrics_dir": str(folder),
    }  # fmt: skip
    model = {
        "name": bench.name,
        "implementation": "mlserver_model.Bench",
        # It puts inputs of one batch below one another, which needs equal lengths; 1 is off.
        "max_batch_size": 1 if bench.name == "encoder" else 32,
        "max_batch_time": 0.001,
        "parameters": {"version": "1"},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return [str(peer.python.parent / "mlserver"), "start", str(folder)]


MLSERVER = Peer(
    "mlserver",
    ("mlserver==1.7.1", "uvloop<0.22", ONNXRUNTIME, "numpy"),
    _command,
    {
        "json": lambda bench: wire.oip_json(f"/v2/models/{bench.name}/infer", bench.requests),
        "grpc": lambda bench: wire.oip_grpc(bench.name, bench.requests, port=1),
    },
    "parallel_workers=0 (the model runs in the server's process, which is faster here than one "
    "worker beside it), max_batch_size=32, max_batch_time=1 ms",
)
