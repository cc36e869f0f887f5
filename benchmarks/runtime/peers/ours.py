"""modelfleet itself, built from this repository."""

from dataclasses import replace
from pathlib import Path

from benchmarks.runtime import wire
from benchmarks.runtime.models import Bench
from benchmarks.runtime.peers.peer import Peer

ROOT = Path(__file__).resolve().parents[3]


def _command(peer: Peer, bench: Bench, port: int, folder: Path) -> list[str]:
    command = [
        "env", f"MODELFLEET_GRPC_PORT={port + 1}",
        str(peer.python.parent / "modelfleet-runtime"), "serve", str(bench.folder), "--name",
        bench.name, "--host", "127.0.0.1", "--port", str(port), "--threads", str(bench.threads),
    ]  # fmt: skip
    if bench.name == "encoder":
        command += ["--pad", "input_ids", "--pad", "attention_mask"]
    return command


MODELFLEET = Peer(
    "modelfleet",
    (f"modelfleet[runtime] @ {ROOT.as_uri()}",),
    _command,
    {
        "binary": lambda bench: wire.oip_binary(f"/v2/models/{bench.name}/infer", bench.requests),
        "json": lambda bench: wire.oip_json(f"/v2/models/{bench.name}/infer", bench.requests),
        "grpc": lambda bench: wire.oip_grpc(bench.name, bench.requests, port=1),
    },
    source="modelfleet",
    settings="the defaults: maxSize 32, no delay (and padding for the encoder)",
)

WITH_TORCH = replace(
    MODELFLEET,
    name="modelfleet-torch",
    requires=(f"modelfleet[runtime,runtime-torch] @ {ROOT.as_uri()}",),
)
"""The same with torch, of which only the start is measured."""
