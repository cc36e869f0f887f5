"""What every engine is, and which engine a package needs."""

from typing import Protocol

from modelfleet_contract import ModelFormat
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.signature import Signature, Tensors


class Engine(Protocol):
    """One loaded model. Every method is called on one thread, never two at a time (but `run`,
    where there are more slots); `run` may be
    called on the event loop's thread when `computes` is true."""

    computes: bool
    """Whether a run is nothing but arithmetic, so that its time is foreseeable. False for code of
    the model's author, which may sleep, read files or ask others."""

    slots: int
    """How many runs may go at the same time, each on a thread of its own. Known after `load`."""

    def load(self) -> Signature:
        """Raises `CannotServe`: ModelInvalid, Unsupported or OutOfMemory."""

    def warm_up(self, rows: int) -> Signature:
        """Run the declared inputs with one row and with `rows`; the signature that holds then.

        Raises `CannotServe` with reason WarmUpFailed or OutOfMemory.
        """

    def run(self, batch: Tensors) -> Tensors:
        """One batch, whose names, dtypes and shapes were checked.

        Raises `BadInput` (the caller's values), `OutOfMemory` or `EngineBroken`.
        """

    def close(self) -> None:
        """Give back memory and threads."""


def engine_for(package: Package, threads: int) -> Engine:
    """Engines import their frameworks here, so that one image need not hold all of them.

    Raises `CannotServe` with reason Unsupported where the framework is not installed.
    """
    match package.format:
        case ModelFormat.ONNX:
            from modelfleet_runtime.engines.onnx import OnnxEngine

            return OnnxEngine(package, threads)
        case ModelFormat.TORCHSCRIPT:
            from modelfleet_runtime.engines.torchscript import TorchScriptEngine

            return TorchScriptEngine(package, threads)
        case ModelFormat.PYTHON:
            from modelfleet_runtime.engines.python import PythonEngine

            return PythonEngine(package)
        case ModelFormat.AUTO:
            raise ValueError("a package has a format")
