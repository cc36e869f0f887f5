"""`signature.json`: inputs and outputs of a model that cannot say them itself (TorchScript).

    {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 784]}],
     "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 10]}]}

Spelled as the model's metadata in the Open Inference Protocol. The model is batched when the first
dimension of every tensor is -1.
"""

from pathlib import Path
from typing import Any

import orjson

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.signature import DType, Signature, TensorSpec

FILE = "signature.json"


def read(folder: Path) -> Signature | None:
    """None where there is no such file. Raises `CannotServe` that says what is wrong in it."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return parse(orjson.loads(file.read_bytes()))
    except (ValueError, KeyError, TypeError) as error:
        raise CannotServe(
            FailureReason.MODEL_INVALID, f"{FILE} cannot be read: {one_line(error)}"
        ) from error


def parse(value: Any) -> Signature:
    """Raises ValueError, KeyError or TypeError."""
    if not isinstance(value, dict):
        raise ValueError("it is not an object with inputs and outputs")
    inputs = tuple(_spec(item, "inputs") for item in value["inputs"])
    outputs = tuple(_spec(item, "outputs") for item in value.get("outputs", ()))
    if len({s.name for s in inputs}) != len(inputs):
        raise ValueError("two inputs have one name")
    return Signature(inputs, outputs, batched=first_dimension_is_free(inputs + outputs))


def first_dimension_is_free(specs: tuple[TensorSpec, ...]) -> bool:
    return bool(specs) and all(s.shape is not None and s.shape[:1] == (-1,) for s in specs)


def _spec(item: Any, where: str) -> TensorSpec:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ValueError(f"each of {where} is an object with name, datatype and shape")
    shape = item["shape"]
    if not isinstance(shape, list) or any(type(n) is not int or n < -1 for n in shape):
        raise ValueError(f"the shape of {item['name']} is not a list of sizes, -1 for a free one")
    return TensorSpec(item["name"], DType(item["datatype"]), tuple(shape))
