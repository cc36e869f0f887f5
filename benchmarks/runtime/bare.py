"""The bare model in a loop, without a server: the most that the machine's arithmetic allows.

    python -m benchmarks.runtime.bare MODEL SECONDS

Batches of 32 of the benchmark's own requests, the engine's threads as the servers have them, and
nothing else to do. Prints rows a second.
"""

import sys
import time
from typing import Any

import numpy as np

from benchmarks.runtime.models import Array, Bench, Inputs, make

ROWS = 32


def main(name: str, seconds: float) -> float:
    """Rows a second."""
    bench = make(name)
    session = _session(bench)
    batches = _batches(bench.requests)
    session.run(None, batches[0])
    rows, began = 0, time.perf_counter()
    while (took := time.perf_counter() - began) < seconds:
        for batch in batches:
            session.run(None, batch)
            rows += ROWS
    return rows / took


def _session(bench: Bench) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = bench.threads
    options.inter_op_num_threads = 1
    # As modelfleet has it: threads that spin take the cores from everybody else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        str(bench.folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )


def _batches(requests: list[Inputs]) -> list[Inputs]:
    """Of what is alike: texts are sorted by their length first, and padded."""
    rows = requests * max(1, ROWS // len(requests))
    rows = sorted(rows, key=lambda row: max(a.shape[-1] for a in row.values()))
    return [
        {name: _stacked([row[name] for row in rows[at : at + ROWS]]) for name in rows[0]}
        for at in range(0, len(rows) - ROWS + 1, ROWS)
    ]


def _stacked(arrays: list[Array]) -> Array:
    longest = max(a.shape[-1] for a in arrays)
    padded = [np.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, longest - a.shape[-1])]) for a in arrays]
    return np.concatenate(padded)


if __name__ == "__main__":
    print(main(sys.argv[1], float(sys.argv[2])))
