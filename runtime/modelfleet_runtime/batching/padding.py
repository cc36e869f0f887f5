"""Requests of different lengths in one batch: what goes together, and how it is made equal.

Padding costs arithmetic: a row of 10 tokens among rows of 100 is ten times its own work. So only
what is alike goes together. Sizes are sorted into classes, four between a power of two and the next
(and none smaller than 8), and a batch is made within a class: at most a quarter of a row is
padding, but for the very short. A batch is padded to the longest of its own rows, not to its class.

Dimensions that are one size in each request (a text's ids and its mask) are one axis: they grow
together, and a request in which they differ is not padded, so that it fails or not as it would
alone. Where the package names its dimensions, an axis is a name; where it does not, the place of
the dimension in the shape.

The answer does not depend on the neighbours: an output that follows an axis is cut back to the
request's own length.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.signature import Array, Tensors

SMALLEST_CLASS = 8

Axis = str | int
Axes = tuple[tuple[int, Axis], ...]
"""Which dimensions of a tensor are which axis. Dimension 0 is the rows' and none of them."""


def size_class(size: int) -> int:
    """The largest size that goes together with this one."""
    if size <= SMALLEST_CLASS:
        return SMALLEST_CLASS
    step = max(SMALLEST_CLASS, 1 << ((size - 1).bit_length() - 3))
    return -(-size // step) * step


def holds(dtype: np.dtype[Any], value: int) -> bool:
    """Whether an array of that dtype can hold the number."""
    if dtype.kind == "b":
        return value in (0, 1)
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        return bounds.min <= value <= bounds.max
    return dtype.kind == "f" and abs(value) <= np.finfo(dtype).max


@dataclass(frozen=True, slots=True)
class Padding:
    """What may be padded in one model."""

    values: Mapping[str, int]
    """By input that may grow: what is added."""
    axes: Mapping[str, Axes]
    """By input that may grow: the dimensions in which it may."""
    outputs: Mapping[str, Axes]
    """By output: the dimensions that follow an axis, where they are as long as it is."""
    others: Axes
    """The same for outputs that the package does not tell."""

    def kin(self, tensors: Tensors) -> Hashable:
        """Equal for tensors that may share a batch, once padded."""
        own = self._own(tensors)
        made = []
        for name, array in tensors.items():
            shape = array.shape[1:]
            axes = self.axes.get(name) if own is not None else None
            if axes is not None and own is not None:
                if not holds(array.dtype, self.values[name]):
                    axes = ()
                grown = list(shape)
                for dimension, axis in axes:
                    if dimension <= len(grown):
                        grown[dimension - 1] = size_class(own[axis])
                shape = tuple(grown)
            made.append((name, array.dtype, shape))
        if len(made) > 1:
            made.sort(key=_by_name)
        return tuple(made)

    def join(self, pieces: Sequence[Tensors]) -> tuple[Tensors, int]:
        """The pieces' rows below one another, and how many values were added."""
        batch: Tensors = {}
        added = 0
        for name in pieces[0]:
            arrays = [piece[name] for piece in pieces]
            value = self.values.get(name)
            if value is None or len({array.shape[1:] for array in arrays}) == 1:
                batch[name] = np.concatenate(arrays)
                continue
            batch[name] = _padded(arrays, value)
            added += batch[name].size - sum(array.size for array in arrays)
        return batch, added

    def cut(self, answers: Sequence[Tensors], parts: Sequence[Part], batch: Tensors) -> None:
        """Make each part's rows of the outputs as long as the part's own inputs are."""
        padded = self._own(batch) or {}
        for part, answer in zip(parts, answers, strict=True):
            own = self._own(part.entry.tensors) or {}
            shorter = {axis: size for axis, size in own.items() if size != padded[axis]}
            if shorter:
                for name, array in answer.items():
                    answer[name] = self._cut_one(name, array, shorter, padded)

    def _own(self, tensors: Tensors) -> dict[Axis, int] | None:
        """The size of each axis; None where one has two."""
        sizes: dict[Axis, int] = {}
        for name, axes in self.axes.items():
            array = tensors.get(name)
            if array is None:
                continue
            shape = array.shape
            for dimension, axis in axes:
                if dimension < len(shape):
                    size = shape[dimension]
                    if sizes.setdefault(axis, size) != size:
                        return None
        return sizes

    def _cut_one(
        self, name: str, array: Array, shorter: Mapping[Axis, int], padded: Mapping[Axis, int]
    ) -> Array:
        for dimension, axis in self.outputs.get(name, self.others):
            if (
                axis in shorter
                and dimension < array.ndim
                and array.shape[dimension] == padded[axis]
            ):
                array = array[(slice(None),) * dimension + (slice(shorter[axis]),)]
        return array


def _by_name(one: tuple[str, object, object]) -> str:
    return one[0]


def _padded(arrays: Sequence[Array], value: int) -> Array:
    rows = sum(array.shape[0] for array in arrays)
    longest = tuple(max(sizes) for sizes in zip(*(a.shape[1:] for a in arrays), strict=True))
    whole = np.full((rows, *longest), value, arrays[0].dtype)
    start = 0
    for array in arrays:
        stop = start + array.shape[0]
        if array.ndim == 2:  # the usual case, in half the time
            whole[start:stop, : array.shape[1]] = array
        else:
            whole[(slice(start, stop), *(slice(size) for size in array.shape[1:]))] = array
        start = stop
    return whole
