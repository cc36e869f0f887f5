"""`signature.json`: inputs and outputs of a model that cannot say them itself (TorchScript).

    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 784]}],
     "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 10]}]}

Spelled as the model's metadata in the Open Inference Protocol. The model is batched when the first
dimension of every tensor is -1.
"""

import json
from pathlib import Path
from typing import Any

import orjson

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.signature import DType, Signature, TensorSpec, datatype_named

FILE = "signature.json"


def read(folder: Path) -> Signature | None:
    """None where there is no such file. Raises `CannotServe` that says what is wrong in it."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return parse(orjson.loads(file.read_bytes()))
    except ValueError as error:
        raise CannotServe(
            FailureReason.MODEL_INVALID, f"{FILE} cannot be read: {one_line(error)}"
        ) from error


def parse(value: Any) -> Signature:
    """Raises ValueError that says where and what."""
    if not isinstance(value, dict):
        raise ValueError("it is not an object with inputs and outputs")
    if "inputs" not in value:
        raise ValueError('it has no "inputs"')
    inputs = _specs(value["inputs"], "inputs")
    outputs = _specs(value.get("outputs", []), "outputs")
    return Signature(inputs, outputs, batched=first_dimension_is_free(inputs + outputs))


def example(names: list[str], shape: tuple[int, ...]) -> str:
    """A `signature.json` for inputs of these names, with values that somebody has to correct."""
    inputs = [{"name": name, "datatype": DType.FP32, "shape": shape} for name in names]
    outputs = [{"name": "output", "datatype": DType.FP32, "shape": [-1, 2]}]
    return json.dumps({"inputs": inputs, "outputs": outputs})


def first_dimension_is_free(specs: tuple[TensorSpec, ...]) -> bool:
    return bool(specs) and all(s.shape is not None and s.shape[:1] == (-1,) for s in specs)


def _specs(items: Any, where: str) -> tuple[TensorSpec, ...]:
    if not isinstance(items, list):
        raise ValueError(f"{where} is not a list")
    specs = tuple(_spec(item, f"{where}[{index}]") for index, item in enumerate(items))
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two {where} have the name {name!r}")
    return specs


def _spec(item: Any, where: str) -> TensorSpec:
    if not isinstance(item, dict):
        raise ValueError(f"{where} is not an object with name, datatype and shape")
    for key in ("name", "datatype", "shape"):
        if key not in item:
            raise ValueError(f"{where} has no {key!r}; it needs name, datatype and shape")
    name, shape = item["name"], item["shape"]
    if not isinstance(name, str):
        raise ValueError(f"{where}: the name {str(name)[:40]} is not text")
    where += f" ({name[:80]!r})"
    try:
        dtype = datatype_named(item["datatype"])
    except ValueError as error:
        raise ValueError(f"{where} has {error}") from error
    if not isinstance(shape, list) or any(type(n) is not int or n < -1 for n in shape):
        raise ValueError(
            f"{where} has the shape {str(shape)[:60]}; write a list of sizes, -1 for a free one"
        )
    return TensorSpec(name, dtype, tuple(shape))
