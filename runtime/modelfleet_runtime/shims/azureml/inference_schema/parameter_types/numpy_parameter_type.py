"""Numpy arrays."""

import base64
from typing import Any

import numpy as np

from .abstract_parameter_type import AbstractParameterType

_FLOATS = {"float16": "float", "float32": "float", "float64": "double"}
_UNITS = {
    "years": "Y", "months": "M", "weeks": "W", "days": "D", "hours": "h", "minutes": "m",
    "seconds": "s", "milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns",
    "picoseconds": "ps", "femtoseconds": "fs", "attoseconds": "as",
}  # fmt: skip


class NumpyParameterType(AbstractParameterType):
    """The sample's dtype, and its shape but for the first dimension, hold for the input."""

    def __init__(
        self, sample_input: Any, enforce_column_type: bool = True, enforce_shape: bool = True
    ) -> None:
        if not isinstance(sample_input, np.ndarray):
            raise Exception("Invalid sample input provided, must provide a sample Numpy array.")
        super().__init__(sample_input)
        self.enforce_column_type = enforce_column_type
        self.enforce_shape = enforce_shape

    def deserialize_input(self, input_data: Any) -> Any:
        if isinstance(input_data, np.ndarray):
            return input_data
        if not isinstance(input_data, list):
            raise ValueError("Invalid input format: expected an array of items.")
        sample = self.sample_input
        if self.enforce_column_type:
            items = [_typed(item, sample.dtype) for item in input_data]
            array = np.array(items, dtype=sample.dtype)
        else:
            array = np.array(input_data)
        if self.enforce_shape:
            _check_shape(array.shape, sample.shape)
        return array

    def input_to_swagger(self) -> dict[str, Any]:
        schema = _array_schema(_schema(self.sample_input.dtype), self.sample_input.shape)
        schema["example"] = [_example(item) for item in self.sample_input]
        schema["format"] = "numpy.ndarray"
        return schema


def _check_shape(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if len(shape) != len(wanted):
        raise ValueError(
            f"Invalid input array: an array with {len(wanted)} dimensions is expected; "
            f"input has {len(shape)} [shape {shape}]"
        )
    for dim in range(1, len(wanted)):
        if shape[dim] != wanted[dim]:
            raise ValueError(
                f"Invalid input array: array has size {shape[dim]} on dimension #{dim}, "
                f"while expected value is {wanted[dim]}"
            )


def _typed(item: Any, dtype: Any) -> Any:
    """JSON's value of a record, a moment or a duration as numpy takes it."""
    if dtype.names:
        each = ((item[name] if isinstance(item, dict) else item[index], dtype[name])
                for index, name in enumerate(dtype.names))  # fmt: skip
        return tuple(_typed(value, kind) for value, kind in each)
    if dtype.kind == "M":
        return np.datetime64(item)
    if dtype.kind == "m":
        count, _, unit = item.partition(" ")
        if unit.strip().lower() not in _UNITS:
            raise ValueError(
                f"Invalid numpy.timestamp64 value specified: {item}. "
                "Format should be <value> <time_unit_code>"
            )
        return np.timedelta64(int(count), _UNITS[unit.strip().lower()])  # type: ignore[call-overload]
    return item


def _schema(dtype: Any) -> dict[str, Any]:
    if dtype.names:
        properties = {name: _schema(dtype[name]) for name in dtype.names}
        return {"type": "object", "properties": properties}
    if dtype.subdtype is not None:
        return _array_schema(_schema(dtype.subdtype[0]), dtype.subdtype[1])
    match dtype.kind:
        case "i" | "u":
            return {"type": "integer", "format": dtype.name}
        case "f":
            return {"type": "number", "format": _FLOATS.get(dtype.name, "double")}
        case "b":
            return {"type": "boolean"}
        case "O":
            return {"type": "object"}
        case "M":
            return {"type": "string", "format": "date-time"}
        case "m":
            return {"type": "string", "format": "timedelta"}
        case "U":
            return {"type": "string"}
        case "S" | "V":
            return {"type": "string", "format": "binary"}
    raise TypeError(f"We currently do not support extracting schema from data of type {dtype.name}")


def _array_schema(items: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    schema = {"type": "array", "items": items}
    for _ in shape[1:]:
        schema = {"type": "array", "items": schema}
    return schema


def _example(item: Any) -> Any:
    if isinstance(item, np.ndarray):
        return [_example(inner) for inner in item]
    if isinstance(item, np.void) and item.dtype.names:
        return {name: _example(item[name]) for name in item.dtype.names}
    if isinstance(item, np.datetime64):
        return item.astype("datetime64[us]").item().strftime("%Y-%m-%d %H:%M:%S,%f")
    if isinstance(item, np.bool_):
        return str(item)  # as the original has it
    if isinstance(item, (np.integer, np.floating)):
        return item.item()
    if isinstance(item, bytes):
        return base64.b64encode(item).decode()
    return str(item)
