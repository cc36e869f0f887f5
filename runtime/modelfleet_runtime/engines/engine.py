"""What every engine is, and which engine a package needs."""

from typing import Protocol

from modelfleet_contract import Device, EngineSettings, FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.signature import Signature, Tensors


class Engine(Protocol):
    """One loaded model. Every method is called on one thread, never two at a time, but for `run`:
    up to `slots` of them go at a time, each on a thread of its own, and one on the event loop's
    thread when `computes` is true."""

    computes: bool
    """Whether a run is nothing but arithmetic, so that its time is foreseeable. False for code of
    the model's author, which may sleep, read files or ask others."""

    slots: int
    """How many runs may go at the same time. It holds once the model is loaded."""

    def load(self) -> Signature:
        """Raises `CannotServe`: ModelInvalid, Unsupported or OutOfMemory."""

    def warm_up(self, rows: int) -> Signature:
        """Run the declared inputs with one row and with `rows`; the signature that holds then.

        Raises `CannotServe` with reason WarmUpFailed or OutOfMemory.
        """

    def run(self, batch: Tensors) -> Tensors:
        """One batch, whose names, dtypes and shapes were checked.

        Raises `BadInput` (the caller's values), `OutOfMemory`, `EngineBroken`, or `EngineDead` when
        nothing will ever run again.
        """

    def close(self) -> None:
        """Give back memory and threads."""


FUNCTIONS = (ModelFormat.SAGEMAKER, ModelFormat.AZUREML, ModelFormat.VERTEX)
"""Functions that answer requests as they came."""


def engine_for(package: Package, settings: EngineSettings, threads: int) -> Engine:
    """The engine for the package; `threads` are for all of its processes together.

    Raises `CannotServe` with reason Unsupported where a setting has no effect on this format.
    """
    _refuse_without_effect(package.format, settings)
    if settings.workers > 1 or package.format in _APART:
        from modelfleet_runtime.engines.processes import ProcessesEngine

        return ProcessesEngine(package, settings, threads)
    return engine_in_process(package, settings, threads)


def engine_in_process(package: Package, settings: EngineSettings, threads: int) -> Engine:
    """The engine that runs in this process. Engines import their frameworks here or in `load`, so
    that one image need not hold all of them."""
    match package.format:
        case ModelFormat.ONNX:
            from modelfleet_runtime.engines.onnx import OnnxEngine

            return OnnxEngine(package, settings, threads)
        case ModelFormat.TORCHSCRIPT:
            from modelfleet_runtime.engines.torchscript import TorchScriptEngine

            return TorchScriptEngine(package, settings, threads)
        case ModelFormat.PT2:
            from modelfleet_runtime.engines.pt2 import Pt2Engine

            return Pt2Engine(package, settings, threads)
        case ModelFormat.PYTHON:
            from modelfleet_runtime.engines.python import PythonEngine

            return PythonEngine(package)
        case ModelFormat.SAGEMAKER | ModelFormat.AZUREML | ModelFormat.VERTEX:
            from modelfleet_runtime.engines.functions.engine import FunctionsEngine

            return FunctionsEngine(package)
        case ModelFormat.TORCHSERVE:
            from modelfleet_runtime.engines.handler import HandlerEngine

            return HandlerEngine(package, settings)
        case ModelFormat.AUTO:
            raise ValueError("a package has a format")


_APART = (ModelFormat.TORCHSERVE, *FUNCTIONS)
"""Never in the server's own process: their code was written for one that it may block and end."""
_WITH_PRECISION = (ModelFormat.TORCHSCRIPT, ModelFormat.PT2)


def _refuse_without_effect(fmt: ModelFormat, settings: EngineSettings) -> None:
    """The same rules as the resource's own, for a package whose format was found by looking."""
    if settings.precision is not None and fmt not in _WITH_PRECISION:
        raise _without_effect("precision", fmt, "convert the model itself, or leave it out")
    if settings.compile and fmt is not ModelFormat.PT2:
        raise _without_effect("compile", fmt, "export the model with torch.export, or leave it out")
    if settings.device is not Device.AUTO and fmt in (ModelFormat.PYTHON, *FUNCTIONS):
        raise _without_effect("device", fmt, "its code chooses its own; leave it out")


def _without_effect(setting: str, fmt: ModelFormat, instead: str) -> CannotServe:
    return CannotServe(
        FailureReason.UNSUPPORTED, f"{setting} has no effect on a model of format {fmt}: {instead}"
    )
