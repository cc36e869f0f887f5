"""Triton: the server inside the nvidia-pytriton wheel, with the one backend there, Python's."""

from pathlib import Path

from benchmarks.runtime import wire
from benchmarks.runtime.models import Bench, Inputs
from benchmarks.runtime.peers.peer import ONNXRUNTIME, SERVE, Peer

_INPUTS: dict[str, list[tuple[str, str, list[int]]]] = {
    "linear": [("x", "TYPE_FP32", [784])],
    "cnn": [("x", "TYPE_FP32", [1, 28, 28])],
    "encoder": [("input_ids", "TYPE_INT64", [-1]), ("attention_mask", "TYPE_INT64", [-1])],
    "python": [("text", "TYPE_STRING", [1])],
}
_WIDTH = {"linear": 10, "cnn": 10, "encoder": 384, "python": 8}


def _config(bench: Bench) -> str:
    lines = [f'name: "{bench.name}"', 'backend: "python"', "max_batch_size: 32"]
    for name, kind, dims in _INPUTS[bench.name]:
        ragged = ", allow_ragged_batch: true" if -1 in dims else ""
        lines.append(f'input [{{name: "{name}", data_type: {kind}, dims: {dims}{ragged}}}]')
    width = _WIDTH[bench.name]
    lines.append(f'output [{{name: "y", data_type: TYPE_FP32, dims: [{width}]}}]')
    lines.append("dynamic_batching {}")
    lines.append("instance_group [{count: 1, kind: KIND_CPU}]")
    values = {
        "BENCH_MODEL": bench.name,
        "BENCH_FOLDER": str(bench.folder),
        "BENCH_CODE": str(SERVE),
        "BENCH_THREADS": str(bench.threads),
    }
    for key, value in values.items():
        lines.append(f'parameters {{key: "{key}", value: {{string_value: "{value}"}}}}')
    return "\n".join(lines)


def _requests(bench: Bench) -> list[Inputs]:
    """Its batch is a dimension beside the declared ones, also for a text."""
    return [
        {name: a.reshape(1, 1) if a.dtype == object else a for name, a in request.items()}
        for request in bench.requests
    ]


def _command(peer: Peer, bench: Bench, port: int, folder: Path) -> list[str]:
    version = folder / "models" / bench.name / "1"
    version.mkdir(parents=True, exist_ok=True)
    (version.parent / "config.pbtxt").write_text(_config(bench))
    (version / "model.py").write_text((SERVE / "triton_model.py").read_text())
    home = next(peer.python.parent.parent.glob("lib/python3*/site-packages/pytriton/tritonserver"))
    backends = folder / "backends"
    if not backends.exists():
        # The backend looks for its stub beside itself; the wheel keeps one for each Python.
        backends.mkdir()
        python = backends / "python"
        python.mkdir()
        for file in (home / "backends" / "python").iterdir():
            if file.name != "triton_python_backend_stub":
                (python / file.name).symlink_to(file)
        stub = home / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
        (python / "triton_python_backend_stub").symlink_to(stub)
    return [
        str(home / "bin" / "tritonserver"), f"--model-repository={folder / 'models'}",
        f"--backend-directory={backends}", f"--http-port={port}", "--http-address=127.0.0.1",
        f"--grpc-port={port + 1}", "--grpc-address=127.0.0.1", "--allow-metrics=false",
        "--log-verbose=0", f"--backend-config=python,shm-region-prefix-name=bench{port}",
    ]  # fmt: skip


TRITON = Peer(
    "triton",
    ("nvidia-pytriton==0.7.0", ONNXRUNTIME, "numpy"),
    _command,
    {
        "binary": lambda bench: wire.oip_binary(f"/v2/models/{bench.name}/infer", _requests(bench)),
        "json": lambda bench: wire.oip_json(f"/v2/models/{bench.name}/infer", _requests(bench)),
        "grpc": lambda bench: wire.oip_grpc(bench.name, _requests(bench), port=1),
    },
    "Python backend, max_batch_size 32, dynamic_batching {}, instance_group count 1",
)
