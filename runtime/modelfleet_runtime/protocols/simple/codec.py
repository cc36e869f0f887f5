"""The simple protocol's JSON.

    POST /predict         {"inputs": ITEM}         -> {"model", "version", "outputs": {...}}
    POST /predict/batch   {"inputs": [ITEM, ...]}  -> {"model", "version", "outputs": [{...}, ...]}

An ITEM is the value of the model's only input, or an object with a value for each input:
`{"pixels": [...]}`. Values have the shape of one row: a model whose input is [-1,64] takes 64
numbers. A model without rows takes the whole tensor, and has no /predict/batch.
Errors: `{"error": "one sentence"}`.
"""

from typing import Any

import numpy as np
import orjson

from modelfleet_runtime.errors import BadInput, EngineBroken
from modelfleet_runtime.protocols import values
from modelfleet_runtime.signature import Array, Signature, Tensors, TensorSpec

_ONE = TensorSpec("input")


def inputs_of(body: bytes) -> Any:
    """What stands under `inputs`. Raises `BadInput`."""
    value = values.parse(body)
    if not isinstance(value, dict) or "inputs" not in value:
        raise BadInput('the body has no "inputs"; send {"inputs": ...}')
    if len(value) > 1:
        other = next(key for key in value if key != "inputs")
        raise BadInput(f'unexpected {other[:80]!r} beside "inputs"')
    return value["inputs"]


def items_of(body: bytes) -> list[Any]:
    """The list under `inputs`. Raises `BadInput`."""
    items = inputs_of(body)
    if not isinstance(items, list):
        raise BadInput('"inputs" is not a list; /predict/batch takes a list of items')
    if not items:
        raise BadInput('"inputs" is an empty list')
    return items


def decode_item(item: Any, signature: Signature) -> Tensors:
    """One item as tensors of one row (the whole tensors for a model without rows)."""
    tensors = {}
    for spec, value in _fields(item, signature, "inputs"):
        where = f"input {spec.name!r}"
        array = values.to_array(value, spec.dtype, where)
        tensors[spec.name] = _as_row(array, spec, where) if signature.batched else array
    return tensors


def decode_items(items: list[Any], signature: Signature) -> Tensors:
    """A list of items as tensors with a row for each."""
    if not signature.batched:
        raise BadInput("this model takes one item at a time; send it to /predict")
    specs = signature.inputs or (_ONE,)
    if len(specs) == 1 and not any(isinstance(item, dict) for item in items):
        spec = specs[0]
        stacked = _stack(items, spec)
        if stacked is not None:
            return {spec.name: stacked}
    rows = []
    for index, item in enumerate(items):
        try:
            rows.append(decode_item(item, signature))
        except BadInput as error:
            raise BadInput(f"inputs[{index}]: {error.message}") from error
    return join_rows(rows)


def join_rows(rows: list[Tensors]) -> Tensors:
    """Single rows below one another. Raises `BadInput` with the index of one that does not fit."""
    first = rows[0]
    for index, row in enumerate(rows):
        if row.keys() != first.keys():
            raise BadInput(f"inputs[{index}] has other inputs than inputs[0]")
        for name, array in row.items():
            if array.shape[1:] != first[name].shape[1:]:
                raise BadInput(
                    f"inputs[{index}]: input {name!r} has shape {list(array.shape[1:])}, and in "
                    f"inputs[0] {list(first[name].shape[1:])}"
                )
    return {name: np.concatenate([row[name] for row in rows]) for name in first}


def encode_item(outputs: Tensors, signature: Signature, head: bytes) -> bytes:
    """`head` is what `answer_head` made."""
    if not signature.batched:
        return _close(head, values.dump(outputs, outputs.items()))
    return _close(head, values.dump(_row(outputs, 0), outputs.items()))


def encode_items(outputs: Tensors, rows: int, head: bytes) -> bytes:
    rows_out = [_row(outputs, index) for index in range(rows)]
    return _close(head, values.dump(rows_out, outputs.items()))


def encode_written(value: Any, head: bytes) -> bytes:
    """What the model's own postprocess gave, for one item or as a list for several."""
    return _close(head, values.dump(value, ()))


def encode_error(message: str) -> bytes:
    return orjson.dumps({"error": message})


def answer_head(name: str, version: str) -> bytes:
    """The part of an answer that is the same for every request."""
    return orjson.dumps({"model": name, "version": version})[:-1] + b',"outputs":'


def row_of(outputs: Tensors, index: int) -> Tensors:
    """One row of the outputs with its first dimension kept, for a model's postprocess."""
    return {name: array[index : index + 1] for name, array in outputs.items()}


def _close(head: bytes, body: bytes) -> bytes:
    return b"".join((head, body, b"}"))


def _row(outputs: Tensors, index: int) -> dict[str, Any]:
    try:
        return {name: array[index] for name, array in outputs.items()}
    except IndexError as error:
        raise EngineBroken("the model gave fewer rows than it was asked for") from error


def _fields(item: Any, signature: Signature, where: str) -> list[tuple[TensorSpec, Any]]:
    if isinstance(item, dict):
        return [(signature.input(name), value) for name, value in item.items()]
    specs = signature.inputs or (_ONE,)
    if len(specs) > 1:
        names = ", ".join(spec.name for spec in specs)
        raise BadInput(f"{where} is not an object with a value for each of {names}")
    return [(specs[0], item)]


def _as_row(array: Array, spec: TensorSpec, where: str) -> Array:
    """Adds the rows' dimension; an array that already has it, with one row, is taken as it is."""
    if spec.shape is not None and array.ndim == len(spec.shape):
        if array.shape[0] == 1:
            return array
        raise BadInput(
            f"{where} has {array.ndim} dimensions where one item has {len(spec.shape) - 1}; "
            "send several items to /predict/batch"
        )
    return array[np.newaxis]


def _stack(items: list[Any], spec: TensorSpec) -> Array | None:
    """All items in one conversion; None when that fails, for the slower way that finds the one
    to blame."""
    try:
        array = values.to_array(items, spec.dtype, spec.name)
    except BadInput:
        return None
    wanted = spec.shape
    return array if wanted is None or array.ndim == len(wanted) else None
