"""Models, signatures and entries for the runtime's tests; everything small and made in place."""

import itertools
from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from modelfleet_runtime.batching.entry import Entry
from modelfleet_runtime.signature import DType, Signature, Tensors, TensorSpec

PIXELS = Signature(
    (TensorSpec("x", DType.FP32, (-1, 4)),),
    (TensorSpec("y", DType.FP32, (-1, 2)),),
    batched=True,
)
"""A batched model with one input of 4 numbers a row."""

_numbers = itertools.count()


def spec(name: str, dtype: DType, *shape: int) -> TensorSpec:
    return TensorSpec(name, dtype, shape)


def rows(*values: float, width: int = 4) -> Tensors:
    """A row for each value, filled with it."""
    return {"x": np.repeat(np.array(values, np.float32)[:, None], width, axis=1)}


def entry(
    tensors: Tensors,
    arrived: float = 0.0,
    deadline: float = 1000.0,
    kin: Hashable = None,
    level: int = 1,
) -> Entry:
    count = next(iter(tensors.values())).shape[0]
    return Entry(
        tensors, count, kin, arrived, deadline, lambda _: None, level, number=next(_numbers)
    )


def linear_onnx(folder: Path, first: int | str = "batch", name: str = "model.onnx") -> Path:
    """y = [sum(x), 2 * sum(x)] for x FP32 [first,4]."""
    weights = np.array([[1, 2]] * 4, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [first, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [first, 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    onnx.save(model, str(file))
    return file


def python_model(folder: Path, source: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(source)
    return folder


def doubling(record: Callable[[Tensors], None] = lambda _: None) -> Callable[[Tensors], Tensors]:
    """An engine's run: y is the first two columns of x, doubled."""

    def run(batch: Tensors) -> Tensors:
        record(batch)
        return {"y": (batch["x"].astype(np.float32) * 2)[:, :2]}

    return run
