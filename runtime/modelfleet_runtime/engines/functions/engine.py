"""Functions that somebody wrote for another server, in a process of their own.

A run is one request and its answer. What the functions raise is answered as their own server
answers it; what ends the process is told by the server that started it.
"""

from typing import Protocol

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime import raw
from modelfleet_runtime.engines.functions import code
from modelfleet_runtime.errors import BadInput, CannotServe, EngineBroken
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.raw import RawAnswer, RawRequest
from modelfleet_runtime.signature import Signature, Tensors


class Functions(Protocol):
    """A package's own code, loaded."""

    def answer(self, request: RawRequest) -> RawAnswer:
        """Never raises but for a fault of ours: what the code raises is an answer."""


class FunctionsEngine:
    """See `Engine`. It takes no tensors but those of `raw`."""

    computes = False
    slots = 1

    def __init__(self, package: Package) -> None:
        self._package = package
        self._functions: Functions | None = None

    def load(self) -> Signature:
        code.enter(self._package)
        self._functions = _load(self._package)
        return Signature()

    def warm_up(self, rows: int) -> Signature:
        """Nobody but its author knows what a request of it looks like."""
        return Signature()

    def run(self, batch: Tensors) -> Tensors:
        assert self._functions is not None
        request = raw.request_of(batch)
        try:
            return raw.answer_tensors(self._functions.answer(request))
        except BadInput:
            raise
        except (SystemExit, KeyboardInterrupt) as error:
            raise EngineBroken("the model's code asked for the end of its process") from error

    def close(self) -> None:
        self._functions = None


def _load(package: Package) -> Functions:
    match package.format:
        case ModelFormat.SAGEMAKER:
            from modelfleet_runtime.engines.functions import sagemaker

            return sagemaker.load(package)
        case ModelFormat.AZUREML:
            from modelfleet_runtime.engines.functions import azureml

            return azureml.load(package)
        case ModelFormat.VERTEX:
            from modelfleet_runtime.engines.functions import vertex

            return vertex.load(package)
        case other:
            raise CannotServe(FailureReason.CRASHED, f"{other} has no functions")
