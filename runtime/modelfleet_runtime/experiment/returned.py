"""The numbers of a request that stand in the model's outputs.

For each row the elements of the output are reduced to one; over the rows of the request it is the
mean. What is no finite number (an output that is empty, or missing, or NaN) is not counted, and
that it was not is counted.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from modelfleet_contract import LARGEST_VALUE, FailureReason, ModelValue, Reduce
from modelfleet_runtime.counting import Counter
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.signature import Array, DType, Signature, Tensors, dtype_of

log = logging.getLogger("modelfleet.experiment")

_NUMBERS = "biuf"
"""numpy's kinds; true is 1."""
_LIST_OF_NAMES = 300


class Returned:
    """What is taken from each answer of one model."""

    def __init__(self, values: Sequence[ModelValue], missed: dict[str, Counter]) -> None:
        """`missed` counts, by name, the answers without the number."""
        self._values = values
        self._missed = missed
        self._told: set[str] = set()

    def of(self, outputs: Tensors, rows: int) -> list[tuple[str, float]]:
        """Names and numbers of one request, which had so many rows. Never raises."""
        found = []
        for value in self._values:
            try:
                number = _number(outputs[value.output], value.reduce, rows)
            except (KeyError, TypeError, ValueError, MemoryError) as error:
                number = None
                why: object = repr(error)
            else:
                why = "it is no finite number"
            if number is not None and abs(number) <= LARGEST_VALUE:  # False for NaN as well
                found.append((value.name, number))
            else:
                self._missing(value, why)
        return found

    def _missing(self, value: ModelValue, why: object) -> None:
        self._missed[value.name].inc()
        if value.name not in self._told:
            self._told.add(value.name)
            log.warning(
                "the value %s cannot be taken from output %s of an answer: %s; this is said once, "
                "and counted in inference_values_missed_total",
                value.name,
                value.output,
                why,
            )


def _number(array: Array, reduce: Reduce, rows: int) -> float | None:
    if array.size == 0 or array.dtype.kind not in _NUMBERS:
        return None
    if array.size == 1:
        return float(array.item())
    if reduce is Reduce.MEAN:
        return _sum(array) / array.size
    # An output without the request's rows is one row, whatever its shape.
    by_row = array.reshape(rows if array.ndim and array.shape[0] == rows else 1, -1)
    match reduce:
        case Reduce.MAX:
            picked = by_row.max(axis=1)
        case Reduce.MIN:
            picked = by_row.min(axis=1)
        case Reduce.FIRST:
            picked = by_row[:, 0]
    return _sum(picked) / len(by_row)


def _sum(array: Array) -> float:
    return float(np.add.reduce(array, axis=None, dtype=np.float64))  # numpy's mean takes thrice


Kinds = Mapping[str, DType | None]
"""The outputs and their datatypes; None where the protocol has no name for one."""


def declared(signature: Signature) -> Kinds | None:
    """None where the model does not declare its outputs in full."""
    outputs = signature.outputs
    if not outputs or any(spec.dtype is None for spec in outputs):
        return None
    return {spec.name: spec.dtype for spec in outputs}


def seen(outputs: Tensors) -> Kinds:
    return {name: dtype_of(array) for name, array in outputs.items()}


def check(values: Sequence[ModelValue], outputs: Kinds) -> None:
    """Whether each value can be taken from outputs of those kinds. Raises `CannotServe`."""
    for value in values:
        if value.output not in outputs:
            names = ", ".join(repr(name) for name in outputs)[:_LIST_OF_NAMES]
            raise _refused(value, f"the model gives {names or 'no outputs'}")
        kind = outputs[value.output]
        if kind is DType.BYTES or kind is None:
            raise _refused(value, f"that output is {kind or 'of no known datatype'}, not numbers")


def _refused(value: ModelValue, why: str) -> CannotServe:
    return CannotServe(
        FailureReason.DOCUMENT_INVALID,
        f"runtime.values: {value.name!r} is taken from output {value.output!r}, and {why}",
    )
