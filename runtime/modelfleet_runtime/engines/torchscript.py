"""TorchScript models, through torch, which only one flavour of the image has."""

import warnings
from typing import Any

import numpy as np

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines import warm_up
from modelfleet_runtime.engines.onnx import is_out_of_memory
from modelfleet_runtime.errors import BadInput, CannotServe, EngineBroken, OutOfMemory, one_line
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.signature import Array, Signature, Tensors, TensorSpec


class TorchScriptEngine:
    """See `Engine`.

    TorchScript says its inputs' names and nothing of dtypes and shapes: a `signature.json` beside
    the model does. Without one the model is not warmed up and takes what it is given; the first
    dimension is then held to count rows.
    """

    computes = True
    slots = 1

    def __init__(self, package: Package, threads: int) -> None:
        self._package = package
        self._threads = threads
        self._torch: Any = None
        self._module: Any = None
        self._device: Any = None
        self._signature = Signature()
        self._order: list[str] = []

    def load(self) -> Signature:
        torch = self._torch = _torch()
        torch.set_num_threads(self._threads)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        name = self._package.main.name
        try:
            # An archive of TorchScript holds a program of torch's own and tensors: loading it
            # unpickles no Python objects, which is what weights_only asks of torch.load.
            with warnings.catch_warnings():
                # That TorchScript is deprecated is news for who packs the model, not for each pod.
                warnings.simplefilter("ignore", FutureWarning)
                module = torch.jit.load(str(self._package.main), map_location=self._device)
            self._module = module.eval()
        except Exception as error:
            if is_out_of_memory(error):
                raise CannotServe(
                    FailureReason.OUT_OF_MEMORY, f"there is not enough memory to load {name}"
                ) from error
            raise CannotServe(
                FailureReason.MODEL_INVALID, f"{name} cannot be loaded: {_first_line(error)}"
            ) from error
        self._signature = self._merge(_argument_names(self._module))
        self._order = [spec.name for spec in self._signature.inputs]
        return self._signature

    def warm_up(self, rows: int) -> Signature:
        self._signature = warm_up.warm_up(self.run, self._signature, rows)
        return self._signature

    def run(self, batch: Tensors) -> Tensors:
        torch = self._torch
        arguments = [self._to_device(name, batch[name]) for name in self._order]
        try:
            with torch.inference_mode():
                given = self._module(*arguments)
        except Exception as error:
            if is_out_of_memory(error) or isinstance(error, torch.cuda.OutOfMemoryError):
                raise OutOfMemory("the model has no memory for this batch") from error
            # TorchScript raises RuntimeError for a wrong shape as for a bug of its own. Where the
            # package declares no shapes, the caller's input is the likelier cause.
            kind = EngineBroken if warm_up.can_be_made(self._signature) else BadInput
            raise kind(f"the model failed: {_first_line(error)}") from error
        return self._named(given)

    def close(self) -> None:
        self._module = None
        if self._device is not None and self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _merge(self, names: list[str]) -> Signature:
        told = self._package.signature
        if told is None:
            return Signature(tuple(TensorSpec(name) for name in names), (), batched=True)
        if len(told.inputs) != len(names):
            raise CannotServe(
                FailureReason.MODEL_INVALID,
                f"signature.json has {len(told.inputs)} inputs and the model takes {len(names)}",
            )
        if {spec.name for spec in told.inputs} != set(names):
            return told  # in their order, under names of the author's choice
        by_name = {spec.name: spec for spec in told.inputs}
        return Signature(tuple(by_name[n] for n in names), told.outputs, told.batched)

    def _to_device(self, name: str, array: Array) -> Any:
        if array.dtype.kind == "O":
            raise BadInput(f"input {name!r} is BYTES, which TorchScript models do not take")
        if not array.flags.writeable:
            array = array.copy()  # torch has no tensors that refuse writing
        tensor = self._torch.from_numpy(np.ascontiguousarray(array))
        return tensor.to(self._device, non_blocking=True)

    def _named(self, given: Any) -> Tensors:
        torch = self._torch
        names = [spec.name for spec in self._signature.outputs]
        if isinstance(given, torch.Tensor):
            values = {(names[0] if names else "output"): given}
        elif isinstance(given, dict):
            values = {str(name): value for name, value in given.items()}
        elif isinstance(given, (tuple, list)):
            if not names:
                names = [f"output_{index}" for index in range(len(given))]
            if len(names) != len(given):
                raise EngineBroken(f"the model gives {len(given)} outputs, not {len(names)}")
            values = dict(zip(names, given, strict=True))
        else:
            raise EngineBroken(f"the model gives a {type(given).__name__}, not tensors")
        outputs: Tensors = {}
        for name, value in values.items():
            if not isinstance(value, torch.Tensor):
                raise EngineBroken(f"the model's output {name} is a {type(value).__name__}")
            if value.dtype is torch.bfloat16:
                value = value.float()
            array = value.cpu().numpy()
            # On the CPU this is the module's own memory, which it may use again for the next batch.
            outputs[name] = array.copy() if value.device.type == "cpu" else array
        return outputs


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            "this image has no torch and cannot serve TorchScript; use the runtime's torch flavour",
        ) from error
    return torch


def _argument_names(module: Any) -> list[str]:
    arguments = module.forward.schema.arguments[1:]
    return [argument.name for argument in arguments if not argument.has_default_value()]


def _first_line(error: Exception) -> str:
    """TorchScript puts a trace of its own into the message; the cause stands in the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return one_line(Exception(lines[-1] if lines else type(error).__name__))
