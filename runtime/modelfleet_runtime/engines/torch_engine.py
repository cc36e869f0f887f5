"""What the engines on torch have in common: the device, the way of tensors to it and back, and
what torch's failures mean. Only one flavour of the image has torch.

**On the CPU** one run goes at a time, and torch's threads share its work.

**On CUDA** two runs go at a time, each on a stream of its own: while one batch is computed, the
next one is copied to the device and the last one back, from and to pinned memory. torch keeps the
pinned blocks for the next copy. The weights are there once.

**Types at the edge** stay those that the model declares. With another `precision`, or where numpy
has no such type (bfloat16), floating-point values are cast on the device, on the way in and out.
"""

import contextlib
import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from queue import SimpleQueue
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
from modelfleet_runtime.signature import Array, Signature, Tensors

log = logging.getLogger("modelfleet.engine")

CUDA_SLOTS = 2
"""Runs at the same time on a GPU: one computes while the other's tensors are copied."""


class TorchEngine(ABC):
    """See `Engine`. A subclass says how a file becomes something that can be called."""

    computes = True

    def __init__(self, package: Package, settings: EngineSettings, threads: int) -> None:
        self._package = package
        self._settings = settings
        self._threads = threads
        self.slots = 1
        self._torch: Any = None
        self._device: Any = None
        self._signature = Signature()
        self._order: list[str] = []
        self._outputs: list[str] = []
        self._streams: SimpleQueue[Any] = SimpleQueue()
        self._casts: dict[str, Any] = {}
        """Inputs that are cast on the device where they are floating-point, and to what."""
        self._edge: dict[Any, Any] = {}
        """Types of outputs that are cast on the device, and to what."""

    @abstractmethod
    def _open(self) -> Signature:
        """Load the file onto `_device`; what it takes, in the order of the arguments. May raise
        anything."""

    @abstractmethod
    def _call(self, arguments: list[Any]) -> Any:
        """The model's answer to tensors on the device: a tensor, or several in a list or dict."""

    def load(self) -> Signature:
        torch = self._torch = import_torch()
        _set_threads(torch, self._threads)
        # A request's bytes are read-only. They are copied before the model sees them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        self._device = choose_device(torch, self._settings.device)
        if self._device.type == "cuda":
            self.slots = CUDA_SLOTS
            for _ in range(self.slots):
                self._streams.put(torch.cuda.Stream())
        precision = self._settings.precision
        if precision is not None:
            self._edge = {getattr(torch, precision.value): torch.float32}
        name = self._package.main.name
        try:
            self._signature = self._open()
            if self._device.type == "cuda":
                torch.cuda.synchronize()  # the weights came on another stream than the runs'
        except CannotServe:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise CannotServe(
                    FailureReason.OUT_OF_MEMORY, f"there is not enough memory to load {name}"
                ) from error
            raise CannotServe(
                FailureReason.MODEL_INVALID, f"{name} cannot be loaded: {cause(error)}"
            ) from error
        self._edge.setdefault(torch.bfloat16, torch.float32)  # numpy has none
        self._order = [spec.name for spec in self._signature.inputs]
        self._outputs = [spec.name for spec in self._signature.outputs]
        return self._signature

    def warm_up(self, rows: int) -> Signature:
        signature = warm_up.warm_up(self.run, self._signature, rows)
        for _ in range(self.slots - 1):  # each stream has memory of its own
            signature = warm_up.warm_up(self.run, signature, rows)
        self._signature = signature
        return signature

    def run(self, batch: Tensors) -> Tensors:
        try:
            if self._device.type != "cuda":
                with self._torch.inference_mode():
                    return self._compute(batch)
            stream = self._streams.get()
            try:
                with self._torch.inference_mode(), self._torch.cuda.stream(stream):
                    outputs = self._compute(batch)
                    stream.synchronize()
                    return outputs
            finally:
                self._streams.put(stream)
        except Refusal:
            raise
        except Exception as error:
            raise self._failure(error) from error

    def close(self) -> None:
        if self._device is not None and self._device.type == "cuda":
            with contextlib.suppress(Exception):  # a dead context says so once more
                self._torch.cuda.empty_cache()

    def _compute(self, batch: Tensors) -> Tensors:
        arguments = [self._to_device(name, batch[name]) for name in self._order]
        return self._named(self._call(arguments))

    def _to_device(self, name: str, array: Array) -> Any:
        if array.dtype.kind == "O":
            raise BadInput(f"input {name!r} is BYTES, which models of torch do not take")
        if self._device.type == "cuda":
            pinned = self._torch.from_numpy(np.ascontiguousarray(array)).pin_memory()
            tensor = pinned.to(self._device, non_blocking=True)
        else:
            # A model may write into what it is given; the bytes are another's where they are
            # read-only.
            array = np.ascontiguousarray(array)
            tensor = self._torch.from_numpy(array if array.flags.writeable else array.copy())
        cast = self._casts.get(name)
        if cast is None or not tensor.is_floating_point():
            return tensor
        return tensor.to(cast)

    def _named(self, given: Any) -> Tensors:
        tensor = self._torch.Tensor
        names = self._outputs
        if isinstance(given, tensor):
            return {(names[0] if names else "output"): self._to_array(given)}
        if isinstance(given, dict):
            values = [(str(name), value) for name, value in given.items()]
        elif isinstance(given, Sequence):
            if len(names) not in (0, len(given)):
                raise EngineBroken(f"the model gives {len(given)} outputs, not {len(names)}")
            values = list(zip(names or numbered(len(given)), given, strict=True))
        else:
            raise EngineBroken(f"the model gives a {type(given).__name__}, not tensors")
        outputs: Tensors = {}
        for name, value in values:
            if not isinstance(value, tensor):
                raise EngineBroken(f"the model's output {name} is a {type(value).__name__}")
            outputs[name] = self._to_array(value)
        return outputs

    def _to_array(self, value: Any) -> Array:
        """The output as an array of its own. On CUDA it is not filled until the stream is done."""
        edge = self._edge.get(value.dtype)
        if edge is not None:
            value = value.to(edge)
        if value.device.type == "cuda":
            value = value.to("cpu", non_blocking=True)  # into pinned memory
            return value.numpy()  # type: ignore[no-any-return]
        # This may be the module's own memory, which it uses again for the next batch.
        return value.numpy().copy()  # type: ignore[no-any-return]

    def _failure(self, error: Exception) -> Refusal:
        if is_out_of_memory(error):
            return OutOfMemory("the model has no memory for this batch")
        if is_dead(error):
            return EngineDead(f"the GPU's context is lost: {cause(error)}")
        # torch raises RuntimeError for a wrong shape as for a bug of the model. Where the package
        # declares no shapes, the caller's input is the likelier cause.
        kind = EngineBroken if warm_up.can_be_made(self._signature) else BadInput
        return kind(f"the model failed: {cause(error)}")


def import_torch() -> Any:
    """Raises `CannotServe` with reason Unsupported where the image has none."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            "there is no torch here, which TorchScript and torch.export need; use the torch "
            "flavour of the runtime's image, or in a checkout "
            "`uv run --extra runtime --extra runtime-torch modelfleet-runtime ...`",
        ) from error
    return torch


def choose_device(torch: Any, wanted: Device) -> Any:
    """Raises `CannotServe` with reason Unsupported where CUDA is asked for and there is none."""
    if wanted is Device.CPU:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if wanted is Device.CUDA:
        raise CannotServe(
            FailureReason.UNSUPPORTED, "device is cuda, and torch finds no GPU that it can use here"
        )
    return torch.device("cpu")


def numbered(count: int) -> list[str]:
    """Names of outputs that have none."""
    return ["output"] if count == 1 else [f"output_{index}" for index in range(count)]


def cause(error: BaseException) -> str:
    """The cause in one line: TorchScript puts a trace of its own before it, C++ one behind it."""
    text = str(error).partition("\nException raised from")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "CUDA error" in text:
        lines = [line for line in lines if "CUDA error" in line] or lines
    return one_line(Exception(lines[-1] if lines else type(error).__name__))


def _set_threads(torch: Any, threads: int) -> None:
    torch.set_num_threads(threads)
    # Threads between operators would come on top of those within one. It can be said once.
    with contextlib.suppress(RuntimeError):
        torch.set_num_interop_threads(1)
