"""The engine and the batcher on a GPU, against the bare model in a loop with the same batches.

    python -m benchmarks.runtime.gpu

needs an NVIDIA GPU, a torch that can use it, and the runtime's own packages. Two models in half
precision, with random weights: a residual network for images of 224x224, and a text encoder of 12
layers for 128 tokens. For each batch size, clients in this process ask for one row at a time, four
times as many as a batch has rows, so that there is always a next batch. Nothing is read from a
socket: what is measured is gathering, copying to the device and back, computing, and handing out.

The bare model computes batches that lie on the device already, and nothing is copied. A share of
100 % means that the copies are hidden behind the arithmetic, and the GPU never waits for Python.
"""

import asyncio
import importlib.util
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from modelfleet_contract import Batching, ServeDocument
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.errors import Refusal
from modelfleet_runtime.loading import load
from modelfleet_runtime.metrics import Metrics

SIZES = (1, 8, 16, 32, 64, 128)
SECONDS = 5.0
WARM_SECONDS = 2.0
TIMEOUT = 1.0
"""An answer counts towards the goodput when it comes within so many seconds."""
BAR = 0.9
NO_GPU = 2
"""The exit code where there is nothing to measure on."""


def main() -> int:
    """0, or 2 where there is no GPU."""
    if importlib.util.find_spec("torch") is None:
        print(f"{sys.executable} has no torch; start this with one that has", file=sys.stderr)
        return NO_GPU
    import torch

    if not torch.cuda.is_available():
        print("there is no GPU that torch can use here", file=sys.stderr)
        return NO_GPU
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, half precision")
    return _measure_all("cuda", SIZES, SECONDS)


def _measure_all(device: str, sizes: tuple[int, ...], seconds: float) -> int:
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        for name, make in {"vision": _vision, "encoder": _encoder}.items():
            print(f"\n{name}")
            print(f"{'batch':>6} {'bare rows/s':>12} {'goodput':>9} {'p99 ms':>8}  share")
            place, row = make(Path(folder) / name, device)
            shares = [_measure(place, row, device, size, seconds) for size in sizes]
            best = max(shares)
            word = "met" if best >= BAR else "MISSED"
            print(f"{word:>6}  share of the bare model at the best size, >= {BAR:.0%}: {best:.0%}")
    return 0


def _measure(place: Path, row: dict[str, Any], device: str, size: int, seconds: float) -> float:
    """One line of the table; the share that is reached."""
    bare = _bare(place, row, device, size, seconds)
    times, took = asyncio.run(_served(place, row, device, size, seconds))
    goodput = sum(one <= TIMEOUT for one in times) / took
    p99 = statistics.quantiles(times, n=100)[98] * 1000 if len(times) > 1 else float("nan")
    share = goodput / bare
    print(f"{size:6} {bare:12,.0f} {goodput:9,.0f} {p99:8.1f}  {share:.0%}", flush=True)
    return share


def _bare(place: Path, row: dict[str, Any], device: str, size: int, seconds: float) -> float:
    """Rows a second of the same file, its inputs on the device."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        model = torch.jit.load(str(place / "model.pt"), map_location=device)
    batch = [torch.from_numpy(a.repeat(size, 0)).to(device) for a in row.values()]
    wait: Callable[[], None] = torch.cuda.synchronize if device == "cuda" else lambda: None
    with torch.inference_mode():
        for until in (WARM_SECONDS, seconds):
            rows, began = 0, time.perf_counter()
            while time.perf_counter() - began < until:
                for _ in range(8):  # the device is never without work
                    model(*batch)
                wait()
                rows += 8 * size
    return rows / (time.perf_counter() - began)


async def _served(
    place: Path, row: dict[str, Any], device: str, size: int, seconds: float
) -> tuple[list[float], float]:
    """Seconds of each answer, and over how many seconds they came."""
    document = ServeDocument.model_validate(
        {
            "name": place.name,
            "model": {"uri": place.as_uri()},
            "engine": {"device": device},
            "batching": Batching(max_size=size, queue_size=8 * size),
        }
    )
    worker = Worker(asyncio.get_running_loop())
    served, engine = await load(document, place, None, Metrics(place.name), worker)
    times: list[float] = []
    begins = time.monotonic() + WARM_SECONDS
    ends = begins + seconds
    try:
        await asyncio.gather(*(_client(served, row, begins, ends, times) for _ in range(4 * size)))
    finally:
        await worker.call(engine.close)
        worker.close()
    return times, seconds


async def _client(
    served: Served, row: dict[str, Any], begins: float, ends: float, times: list[float]
) -> None:
    while (asked := time.monotonic()) < ends:
        try:
            await served.batcher.ask(row, asked, asked + TIMEOUT)
        except Refusal:
            await asyncio.sleep(0.001)  # it may be refused at once
            continue
        if begins <= time.monotonic() < ends:
            times.append(time.monotonic() - asked)


# -- the models


def _vision(place: Path, device: str) -> tuple[Path, dict[str, Any]]:
    """Bottleneck blocks, 3, 4, 6 and 3 of them: 25 M parameters, 4 GFLOP a row."""
    import torch
    from torch import nn

    def convolution(inside: int, outside: int, size: int, stride: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(inside, outside, size, stride, size // 2, bias=False), nn.BatchNorm2d(outside)
        )

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, inside: int, width: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                convolution(inside, width, 1), nn.ReLU(),
                convolution(width, width, 3, stride), nn.ReLU(),
                convolution(width, 4 * width, 1),
            )  # fmt: skip
            self.way = convolution(inside, 4 * width, 1, stride)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.way(x))

    layers: list[Any] = [convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inside = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for number in range(blocks):
            stride = 2 if width > 64 and number == 0 else 1
            layers.append(Block(inside, width, stride))
            inside = 4 * width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, 1000)]
    shape = (1, 3, 224, 224)
    row = {"x": np.random.default_rng(0).random(shape).astype(np.float16)}
    return _saved(nn.Sequential(*layers), row, 1000, place, device), row


def _encoder(place: Path, device: str) -> tuple[Path, dict[str, Any]]:
    """12 layers of 768, 128 tokens, 110 M parameters."""
    from torch import nn

    class Encoder(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(30522, 768)
            layer = nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True)
            self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)

        def forward(self, x: Any) -> Any:
            return self.layers(self.words(x)).mean(1)

    row = {"x": np.random.default_rng(0).integers(0, 30522, (1, 128))}
    return _saved(Encoder(), row, 768, place, device), row


def _saved(model: Any, row: dict[str, Any], width: int, place: Path, device: str) -> Path:
    """The folder with the traced model in half precision, and its signature."""
    import torch

    place.mkdir()
    model = model.eval().half().to(device)
    # Traced with two rows, as one would be taken for a constant.
    example = tuple(torch.from_numpy(a.repeat(2, 0)).to(device) for a in row.values())
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated
        traced = torch.jit.trace(model, example, check_trace=False)
        torch.jit.save(torch.jit.freeze(traced), str(place / "model.pt"))
    types = {"float16": "FP16", "int64": "INT64"}
    signature = {
        "inputs": [
            {"name": name, "datatype": types[str(a.dtype)], "shape": [-1, *a.shape[1:]]}
            for name, a in row.items()
        ],
        "outputs": [{"name": "y", "datatype": "FP16", "shape": [-1, width]}],
    }
    (place / "signature.json").write_text(json.dumps(signature))
    return place


if __name__ == "__main__":
    sys.exit(main())
