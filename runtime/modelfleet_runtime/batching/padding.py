"""Requests of different lengths in one batch: what goes together, and how it is made equal.

Padding costs arithmetic: a row of 10 tokens among rows of 100 is ten times its own work. So only
what is alike goes together. Sizes are sorted into classes, four between a power of two and the next
(and none smaller than 8), and a batch is made within a class: at most a quarter of a row is
padding, but for the very short. A batch is padded to the longest of its own rows, not to its class.

The answer does not depend on the neighbours: an output that is as long as the padded input was, in
the same dimension, is cut back to the request's own length.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelfleet_contract import Batching
from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.signature import Array, Signature, Tensors

SMALLEST_CLASS = 8


def size_class(size: int) -> int:
    """The largest size that goes together with this one."""
    if size <= SMALLEST_CLASS:
        return SMALLEST_CLASS
    step = max(SMALLEST_CLASS, 1 << ((size - 1).bit_length() - 3))
    return -(-size // step) * step


@dataclass(frozen=True, slots=True)
class Padding:
    """What may be padded in one model."""

    inputs: Mapping[str, tuple[int, tuple[int, ...]]]
    """By input: the value that is added, and the dimensions that may grow; 0 would be the rows."""
    outputs: Mapping[str, tuple[int, ...] | None]
    """By output: the dimensions that are free; None where the package does not say."""

    def kin(self, tensors: Tensors) -> Hashable:
        """Equal for tensors that may share a batch, once padded."""
        made = []
        for name, array in tensors.items():
            shape = list(array.shape[1:])
            given = self.inputs.get(name)
            if given is not None:
                for dimension in given[1]:
                    if dimension <= len(shape):
                        shape[dimension - 1] = size_class(shape[dimension - 1])
            made.append((name, array.dtype.str, tuple(shape)))
        made.sort()
        return tuple(made)

    def join(self, pieces: Sequence[Tensors]) -> tuple[Tensors, int]:
        """The pieces' rows below one another, and how many values were added."""
        batch: Tensors = {}
        added = 0
        for name in pieces[0]:
            arrays = [piece[name] for piece in pieces]
            given = self.inputs.get(name)
            if given is None or len({array.shape[1:] for array in arrays}) == 1:
                batch[name] = np.concatenate(arrays)
                continue
            batch[name] = _padded(arrays, given[0])
            added += batch[name].size - sum(array.size for array in arrays)
        return batch, added

    def cut(self, outputs: Tensors, part: Part, batch: Tensors) -> Tensors:
        """One part's rows of the outputs, as long as the part's own inputs are."""
        own = part.entry.tensors
        lengths: dict[int, dict[int, int]] = {}
        for name, (_, dimensions) in self.inputs.items():
            for dimension in dimensions:
                if name in batch and dimension < batch[name].ndim:
                    padded, mine = batch[name].shape[dimension], own[name].shape[dimension]
                    if padded != mine:
                        lengths.setdefault(dimension, {})[padded] = mine
        if not lengths:
            return outputs
        return {name: self._cut_one(name, array, lengths) for name, array in outputs.items()}

    def _cut_one(self, name: str, array: Array, lengths: dict[int, dict[int, int]]) -> Array:
        free = self.outputs.get(name)
        for dimension, sizes in lengths.items():
            if dimension < array.ndim and (free is None or dimension in free):
                mine = sizes.get(array.shape[dimension])
                if mine is not None:
                    array = array[(slice(None),) * dimension + (slice(mine),)]
        return array


def _padded(arrays: Sequence[Array], value: int) -> Array:
    rows = sum(array.shape[0] for array in arrays)
    longest = tuple(max(sizes) for sizes in zip(*(a.shape[1:] for a in arrays), strict=True))
    whole = np.full((rows, *longest), value, arrays[0].dtype)
    start = 0
    for array in arrays:
        stop = start + array.shape[0]
        whole[(slice(start, stop), *(slice(size) for size in array.shape[1:]))] = array
        start = stop
    return whole


def padding_for(batching: Batching, signature: Signature) -> Padding | None:
    """None where nothing is to be padded. Raises `ValueError` that says what has no effect."""
    if not batching.padding or not signature.batched:
        return None
    inputs = {}
    for one in batching.padding:
        spec = next((spec for spec in signature.inputs if spec.name == one.input), None)
        if spec is None and signature.inputs:
            names = ", ".join(repr(spec.name) for spec in signature.inputs)
            raise ValueError(
                f"batching.padding names the input {one.input!r}; the model takes {names}"
            )
        if spec is None or spec.shape is None:
            dimensions = tuple(range(1, 8))
        else:
            dimensions = tuple(n for n, size in enumerate(spec.shape) if n and size == -1)
        if not dimensions:
            raise ValueError(
                f"batching.padding names the input {one.input!r}, whose rows have one fixed shape"
            )
        if spec is not None and spec.dtype is not None and spec.dtype.numpy.kind == "O":
            raise ValueError(f"batching.padding names the input {one.input!r}, which is text")
        inputs[one.input] = (one.value, dimensions)
    outputs = {
        spec.name: None
        if spec.shape is None
        else tuple(n for n, size in enumerate(spec.shape) if n and size == -1)
        for spec in signature.outputs
    }
    return Padding(inputs, outputs)
