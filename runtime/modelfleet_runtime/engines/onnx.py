"""ONNX models, through onnxruntime."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from modelfleet_contract import Device, EngineSettings, FailureReason
from modelfleet_runtime.engines import warm_up
from modelfleet_runtime.engines.failures import is_dead, is_out_of_memory
from modelfleet_runtime.errors import (
    BadInput,
    CannotServe,
    EngineBroken,
    EngineDead,
    OutOfMemory,
    Refusal,
    one_line,
)
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.signature import DType, Signature, Tensors, TensorSpec

_DTYPES = {
    "tensor(bool)": DType.BOOL,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(float16)": DType.FP16,
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(string)": DType.BYTES,
}
# Exporters name the first dimension; these names say that it is not one of rows.
_NOT_ROWS = ("seq", "len", "time", "token", "frame", "step")

_SHORT_S = 200e-6
"""A run longer than this is worth several threads."""
_TRIALS = 30


class OnnxEngine:
    """See `Engine`."""

    computes = True
    slots = 1

    def __init__(self, package: Package, settings: EngineSettings, threads: int) -> None:
        self._package = package
        self._settings = settings
        self._threads = threads
        self._session: Any = None
        self._outputs: list[str] = []
        self._text_inputs: frozenset[str] = frozenset()
        self._signature = Signature()

    def load(self) -> Signature:
        self._session = self._open(self._threads)
        self._signature = self._read_signature()
        self._outputs = [spec.name for spec in self._signature.outputs]
        self._text_inputs = frozenset(
            spec.name for spec in self._signature.inputs if spec.dtype is DType.BYTES
        )
        return self._signature

    def _open(self, threads: int) -> Any:
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)  # its errors are raised; twice is noise
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads burn the container's quota between two batches.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(
                str(self._package.main),
                options,
                providers=_providers(onnxruntime.get_available_providers(), self._settings.device),
            )
        except CannotServe:
            raise
        except Exception as error:
            raise _load_failure(self._package.main.name, error) from error

    def warm_up(self, rows: int) -> Signature:
        self._signature = warm_up.warm_up(self.run, self._signature, rows)
        if self._threads > 1 and warm_up.can_be_made(self._signature):
            self._settle_threads(rows if self._signature.batched else 1)
        return self._signature

    def run(self, batch: Tensors) -> Tensors:
        if self._text_inputs:
            batch = {n: _text(n, a) if n in self._text_inputs else a for n, a in batch.items()}
        try:
            values = self._session.run(self._outputs, batch)
        except Exception as error:
            raise _run_failure(error) from error
        return dict(zip(self._outputs, values, strict=True))

    def close(self) -> None:
        self._session = None

    def _settle_threads(self, rows: int) -> None:
        """One thread, where that is quicker. onnxruntime shares out work that takes less time than
        waking another thread: a layer of 784x10 with 32 rows took 22 µs with two threads, and 13 µs
        with one. Measured with a full batch, and only where a run is that short."""
        batch = warm_up.zeros(self._signature, rows)
        try:
            with_all = _quickest(self.run, batch)
            if with_all > _SHORT_S:
                return
            several, self._session = self._session, self._open(1)
            if _quickest(self.run, batch) > with_all:
                self._session = several
        except Refusal:
            return  # zeros have no meaning to it; the warm-up has said so

    def _read_signature(self) -> Signature:
        inputs = self._session.get_inputs()
        outputs = self._session.get_outputs()
        return Signature(
            tuple(_spec(node, "input") for node in inputs),
            tuple(_spec(node, "output") for node in outputs),
            batched=rows_come_first(
                [node.shape for node in inputs], [node.shape for node in outputs]
            ),
        )


def rows_come_first(inputs: list[list[Any]], outputs: list[list[Any]]) -> bool:
    """Whether the first dimension of all of them counts rows: it is free everywhere, the inputs
    call it by one name, and that is not the name of something else (a sequence's length)."""
    firsts = [shape[0] if shape else 0 for shape in inputs + outputs]
    if not firsts or any(isinstance(first, int) for first in firsts):
        return False
    names = {str(first) for first in firsts[: len(inputs)] if first is not None}
    if len(names) > 1:
        return False
    return not any(word in name.lower() for name in names for word in _NOT_ROWS)


def _quickest(run: Callable[[Tensors], Tensors], batch: Tensors) -> float:
    """Seconds of the quickest of a few runs: others on the machine only ever add to it."""
    times = []
    for _ in range(_TRIALS):
        began = time.perf_counter()
        run(batch)
        times.append(time.perf_counter() - began)
        if times[0] > _SHORT_S * 10:
            break
    return min(times)


def _providers(available: list[str], device: Device) -> list[str]:
    """Raises `CannotServe` with reason Unsupported for CUDA where this onnxruntime has none."""
    cuda = "CUDAExecutionProvider"
    if device is Device.CUDA and cuda not in available:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            "device is cuda, and this image's onnxruntime computes on the CPU alone",
        )
    wanted = ("CPUExecutionProvider",) if device is Device.CPU else (cuda, "CPUExecutionProvider")
    return [name for name in wanted if name in available]


def _spec(node: Any, kind: str) -> TensorSpec:
    dtype = _DTYPES.get(node.type)
    if dtype is None:
        hint = "; export it with zipmap=False" if "map(" in node.type else ""
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"the model's {kind} {node.name} is of type {node.type}, which is not served{hint}",
        )
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    dims = tuple(size if isinstance(size, str) and size else None for size in node.shape)
    return TensorSpec(node.name, dtype, shape, dims)


def _text(name: str, array: Any) -> Any:
    try:
        flat = [item.decode() for item in array.ravel()]
    except UnicodeDecodeError as error:
        raise BadInput(f"input {name!r} holds bytes that are not UTF-8") from error
    text = np.empty(len(flat), dtype=object)
    text[:] = flat
    return text.reshape(array.shape)


def _load_failure(name: str, error: Exception) -> CannotServe:
    if is_out_of_memory(error):
        return CannotServe(
            FailureReason.OUT_OF_MEMORY, f"there is not enough memory to load {name}"
        )
    # onnxruntime's messages begin with an error class and often the whole path.
    text = one_line(error)
    if "Protobuf parsing failed" in text or "INVALID_PROTOBUF" in text:
        return CannotServe(
            FailureReason.MODEL_INVALID, f"{name} is damaged or incomplete: it is not a whole "
            "ONNX file",
        )  # fmt: skip
    return CannotServe(FailureReason.MODEL_INVALID, f"{name} cannot be loaded: {text}")


def _run_failure(error: Exception) -> Exception:
    if is_out_of_memory(error):
        return OutOfMemory("the model has no memory for this batch")
    if is_dead(error):
        return EngineDead(f"the GPU's context is lost: {one_line(error)}")
    # It checks names, types and shapes before it computes: what we let through and it does not
    # is a dimension that only the model knows to be wrong, or an index out of a table.
    if type(error).__name__ == "InvalidArgument":
        return BadInput(f"the model refuses the input: {one_line(error)}")
    return EngineBroken(f"the model failed: {one_line(error)}")
