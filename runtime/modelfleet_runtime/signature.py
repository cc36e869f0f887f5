"""What a model takes and gives: names, dtypes and shapes, and which dimension counts rows.

A tensor is a numpy array everywhere. `BYTES` tensors are arrays of dtype object that hold `bytes`.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from modelfleet_runtime.errors import BadInput

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Tensors = dict[str, Array]


class DType(StrEnum):
    """The datatypes, spelled as in the Open Inference Protocol."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BYTES = "BYTES"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        return _NUMPY[self]

    @property
    def itemsize(self) -> int | None:
        """Bytes of one element; None for BYTES, whose elements differ."""
        return None if self is DType.BYTES else _NUMPY[self].itemsize


# Little-endian, as the protocol has it on the wire and every machine we run on has it in memory.
_NUMPY: dict[DType, np.dtype[np.generic]] = {
    DType.BOOL: np.dtype("?"),
    DType.UINT8: np.dtype("u1"),
    DType.UINT16: np.dtype("<u2"),
    DType.UINT32: np.dtype("<u4"),
    DType.UINT64: np.dtype("<u8"),
    DType.INT8: np.dtype("i1"),
    DType.INT16: np.dtype("<i2"),
    DType.INT32: np.dtype("<i4"),
    DType.INT64: np.dtype("<i8"),
    DType.FP16: np.dtype("<f2"),
    DType.FP32: np.dtype("<f4"),
    DType.FP64: np.dtype("<f8"),
    DType.BYTES: np.dtype("O"),
}
_OF_NUMPY: dict[np.dtype[np.generic], DType] = {dtype: name for name, dtype in _NUMPY.items()}


def datatype_named(name: object) -> DType:
    """Raises ValueError that goes on after "... has"."""
    try:
        return DType(name)  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(
            f"the datatype {str(name)[:40]!r}; use one of {', '.join(DType)}"
        ) from None


def dtype_of(array: Array) -> DType | None:
    """The datatype of an array; text counts as BYTES; None where the protocol has no name."""
    if array.dtype.kind in "SU":
        return DType.BYTES
    return _OF_NUMPY.get(array.dtype)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output."""

    name: str
    dtype: DType | None = None
    """None where the package does not say (TorchScript): anything is taken."""
    shape: tuple[int, ...] | None = None
    """All dimensions, the rows' too; -1 is free. None where the package does not say."""
    dims: tuple[str | None, ...] | None = None
    """The model's own names of its free dimensions, None for a fixed one: dimensions with one name
    are equal. None where the package does not say."""

    def describe(self) -> str:
        dtype = self.dtype.value if self.dtype else "any"
        shape = "any shape" if self.shape is None else str(list(self.shape)).replace(" ", "")
        return f"{self.name} {dtype} {shape}"


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives."""

    inputs: tuple[TensorSpec, ...] = ()
    """Empty where the package does not say: then any names are taken."""
    outputs: tuple[TensorSpec, ...] = ()
    batched: bool = False
    """Whether the first dimension of every input and output counts rows, so that requests may
    share a run. Otherwise the model is run for one request at a time."""
    most_rows: int | None = None
    """The most rows that the model takes in one run; None for no limit of its own."""
    _by_name: dict[str, TensorSpec] = field(init=False, repr=False, compare=False)
    _one_shape: bool = field(init=False, repr=False, compare=False)
    _only: tuple[str, np.dtype[np.generic], tuple[int, ...]] | None = field(
        init=False, repr=False, compare=False
    )
    """The one input of a batched model with one shape of row."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {spec.name: spec for spec in self.inputs})
        fixed = bool(self.inputs) and all(
            spec.dtype is not None and spec.shape is not None and -1 not in spec.shape[1:]
            for spec in self.inputs
        )
        object.__setattr__(self, "_one_shape", fixed)
        only = None
        if fixed and self.batched and len(self.inputs) == 1:
            spec = self.inputs[0]
            assert spec.dtype is not None
            assert spec.shape is not None
            if spec.shape and spec.shape[0] == -1:
                only = spec.name, spec.dtype.numpy, spec.shape[1:]
        object.__setattr__(self, "_only", only)

    def unbatched(self) -> "Signature":
        return replace(self, batched=False)

    def input(self, name: str) -> TensorSpec:
        """The input's spec; one that takes anything where no inputs are declared.

        Raises `BadInput` for a name that the model does not have.
        """
        spec = self._by_name.get(name)
        if spec is not None:
            return spec
        if not self.inputs:
            return TensorSpec(name)
        raise BadInput(f"unexpected input {name[:80]!r}; the model takes {_names(self.inputs)}")

    def output(self, name: str) -> None:
        """Raises `BadInput` for a name that the model does not give."""
        if self.outputs and all(spec.name != name for spec in self.outputs):
            raise BadInput(
                f"unexpected output {name[:80]!r}; the model gives {_names(self.outputs)}"
            )

    def rows(self, tensors: Tensors) -> int:
        """How many rows the tensors hold (1 for a model that is not batched), after checking that
        names, dtypes and shapes are the model's.

        Raises `BadInput` that names the tensor, what it is and what it should be.
        """
        only = self._only
        if only is not None and len(tensors) == 1:
            array = tensors.get(only[0])
            if (
                array is not None
                and array.dtype == only[1]
                and array.shape[1:] == only[2]
                and array.ndim
                and array.shape[0]
            ):
                return array.shape[0]
        if self.inputs and tensors.keys() != self._by_name.keys():
            self._explain_names(tensors)
        rows = -1
        first = ""
        for name, array in tensors.items():
            spec = self._by_name.get(name)
            if spec is not None:
                if spec.dtype is not None and array.dtype != spec.dtype.numpy:
                    raise BadInput(_wrong_dtype(spec, array))
                if spec.shape is not None and not fits(array.shape, spec.shape):
                    raise BadInput(
                        f"input {name!r} has shape {_shape(array.shape)}; "
                        f"expected {_shape(spec.shape)}"
                    )
            if not self.batched:
                continue
            if array.ndim == 0 or array.shape[0] == 0:
                raise BadInput(f"input {name!r} has no rows; its first dimension counts them")
            if rows == -1:
                rows, first = array.shape[0], name
            elif array.shape[0] != rows:
                raise BadInput(
                    f"input {name!r} has {array.shape[0]} rows and input {first!r} has {rows}; "
                    "all inputs of a request need the same number"
                )
        if not tensors:
            raise BadInput("the request has no inputs")
        return max(rows, 1)

    def kin(self, tensors: Tensors) -> Hashable:
        """Equal for tensors that may share a batch: same names, dtypes and trailing shapes."""
        if self._one_shape:
            return None
        return tuple(sorted((n, a.dtype.str, a.shape[1:]) for n, a in tensors.items()))

    def _explain_names(self, tensors: Tensors) -> None:
        for name in tensors:
            self.input(name)
        missing = [spec for spec in self.inputs if spec.name not in tensors]
        raise BadInput(
            f"expected {len(self.inputs)} inputs but got {len(tensors)}; "
            f"missing {_names(tuple(missing))}"
        )


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a shape is one that the pattern allows; -1 in the pattern is free."""
    if len(shape) != len(wanted):
        return False
    for have, want in zip(shape, wanted, strict=True):  # noqa: SIM110 (a generator costs thrice)
        if want != -1 and want != have:
            return False
    return True


def _wrong_dtype(spec: TensorSpec, array: Array) -> str:
    have = dtype_of(array)
    return (
        f"input {spec.name!r} has datatype {have.value if have else array.dtype}; "
        f"expected {spec.dtype}"
    )


def _names(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(repr(spec.name) for spec in specs)


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"
