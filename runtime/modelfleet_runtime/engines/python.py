"""A class that the model's author wrote, in the package's `model.py`.

The contract is in docs/runtime.md; what the author's code raises decides the answer: ValueError
and TypeError are the caller's fault, MemoryError asks for another try, the rest is the model's.
"""

import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines import warm_up
from modelfleet_runtime.engines.images import ImageBound
from modelfleet_runtime.errors import (
    BadInput,
    CannotServe,
    EngineBroken,
    OutOfMemory,
    Refusal,
    one_line,
)
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.packages.signature_file import first_dimension_is_free
from modelfleet_runtime.signature import (
    Array,
    DType,
    Signature,
    Tensors,
    TensorSpec,
    datatype_named,
    fits,
)

log = logging.getLogger("modelfleet.engine")


class PythonEngine:
    """See `Engine`; also has the hooks for single items."""

    computes = False
    slots = 1

    def __init__(self, package: Package) -> None:
        self._package = package
        self._model: Any = None
        self._signature = Signature()
        self._counts_rows = False
        """Whether each run gives as many rows as it got, which the warm-up finds out."""
        self._images = ImageBound()
        self.preprocess: Callable[[Any], Tensors] | None = None
        self.postprocess: Callable[[Tensors], Any] | None = None

    def load(self) -> Signature:
        module = _import(self._package.main)
        model_class = _find_class(module)
        try:
            self._model = model_class()
            if callable(getattr(self._model, "load", None)):
                self._model.load(self._package.folder)
        except MemoryError as error:
            raise CannotServe(
                FailureReason.OUT_OF_MEMORY, f"there is not enough memory to load {module.__file__}"
            ) from error
        except Exception as error:
            raise _invalid(f"{model_class.__name__} cannot be loaded: {_told(error)}") from error
        self._images.hold()
        self._signature = self._package.signature or _declared(self._model)
        if callable(getattr(self._model, "preprocess", None)):
            self.preprocess = self._preprocess
        if callable(getattr(self._model, "postprocess", None)):
            self.postprocess = self._postprocess
        return self._signature

    def warm_up(self, rows: int) -> Signature:
        self._signature = warm_up.warm_up(self.run, self._signature, rows)
        self._counts_rows = self._signature.batched
        return self._signature

    def run(self, batch: Tensors) -> Tensors:
        # The author may write into what is given; a view on the request's bytes refuses that.
        batch = {name: a if a.flags.writeable else a.copy() for name, a in batch.items()}
        given = self._guard(self._model.predict, batch, "predict")
        outputs = named_outputs(given, self._signature.outputs)
        if self._counts_rows and len(next(iter(batch.values()))) == 1:
            _check_one_row(outputs)
        # The author may write the next batch into the same memory while this one is being answered.
        return {name: array.copy() for name, array in outputs.items()}

    def close(self) -> None:
        closer = getattr(self._model, "close", None)
        if callable(closer):
            try:
                closer()
            except Exception:
                log.exception("the model's close failed")
        self._model = None

    def _preprocess(self, item: Any) -> Tensors:
        given = self._guard(self._model.preprocess, item, "preprocess")
        names = [spec.name for spec in self._signature.inputs] or ["input"]
        tensors = _as_dict(given, names, "preprocess")
        typed: Tensors = {}
        for name, value in tensors.items():
            spec = next((s for s in self._signature.inputs if s.name == name), None)
            wanted = spec.dtype.numpy if spec and spec.dtype else None
            array = as_array(value, f"preprocess: {name}")
            try:
                typed[name] = array.astype(wanted, copy=False) if wanted is not None else array
            except (TypeError, ValueError) as error:
                raise EngineBroken(f"preprocess: {name} holds no {spec and spec.dtype}") from error
        return typed

    def _postprocess(self, outputs: Tensors) -> Any:
        return self._guard(self._model.postprocess, outputs, "postprocess")

    def _guard(self, call: Callable[[Any], Any], argument: Any, step: str) -> Any:
        try:
            return call(argument)
        except Refusal:
            raise
        except BaseException as error:
            raise self._images.exceeded(error) or _refusal(error, step) from error


def named_outputs(given: Any, specs: tuple[TensorSpec, ...]) -> Tensors:
    """What `predict` returned as tensors by name. Raises `EngineBroken` that says what it was."""
    names = [spec.name for spec in specs] or ["output"]
    outputs = {n: as_array(v, n) for n, v in _as_dict(given, names, "predict").items()}
    for spec in specs:
        if spec.name not in outputs:
            raise EngineBroken(f"predict did not return the output {spec.name!r}")
        shape = outputs[spec.name].shape
        if spec.shape is not None and not fits(shape, spec.shape):
            raise EngineBroken(
                f"predict gave the output {spec.name!r} the shape {list(shape)}, "
                f"and {list(spec.shape)} is declared"
            )
        if spec.dtype not in (None, DType.BYTES):
            assert spec.dtype is not None
            outputs[spec.name] = outputs[spec.name].astype(spec.dtype.numpy, copy=False)
    return outputs


def _check_one_row(outputs: Tensors) -> None:
    """A batch of several requests is looked at where it is taken apart. One row is one request,
    which nobody takes apart."""
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != 1:
            gave = f"{len(array)} rows" if array.ndim else "no rows"
            raise EngineBroken(
                f"predict gave the output {name!r} {gave} for 1 row; it gives as many as it gets"
            )


def as_array(value: Any, name: str) -> Array:
    """Lists and scalars become arrays; text becomes BYTES."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise EngineBroken(f"{name} is not an array: {one_line(error)}") from error
    if array.dtype.kind in "US":
        flat = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
        text = np.empty(len(flat), dtype=object)
        text[:] = flat
        return text.reshape(array.shape)
    if array.dtype.kind == "O":
        for item in array.ravel():
            if not isinstance(item, (bytes, str)):
                raise EngineBroken(f"{name} holds {type(item).__name__}, not numbers or text")
        return np.frompyfunc(lambda i: i.encode() if isinstance(i, str) else i, 1, 1)(array)  # type: ignore[no-any-return]
    if array.dtype.kind not in "biuf":
        raise EngineBroken(f"{name} holds {array.dtype}, not numbers or text")
    return array


def _as_dict(given: Any, names: list[str], step: str) -> dict[str, Any]:
    if isinstance(given, dict):
        if not given or not all(isinstance(name, str) for name in given):
            raise EngineBroken(f"{step} returned a dict without names for its arrays")
        return given
    if len(names) > 1:
        raise EngineBroken(
            f"{step} returned one {type(given).__name__} where a dict with {names} is needed"
        )
    return {names[0]: given}


def _refusal(error: BaseException, step: str) -> Refusal:
    """What a client hears of what the author's code raised."""
    if isinstance(error, (ValueError, TypeError)):
        log.info("the model's %s refused the input", step, exc_info=error)
        return BadInput(f"the model refuses the input: {_told(error)}")
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return OutOfMemory("the model has no memory for this request")
    log.error("the model's %s failed", step, exc_info=error)
    if isinstance(error, Exception):
        return EngineBroken(f"the model's {step} failed: {_told(error)}")
    # SystemExit and its like would end the loop, or the whole batch.
    return EngineBroken(f"the model's {step} failed: {type(error).__name__}")


def _told(error: BaseException) -> str:
    text = one_line(error)
    kind = type(error).__name__
    return text if isinstance(error, ValueError) or text == kind else f"{kind}: {text}"


def _import(file: Path) -> ModuleType:
    folder = str(file.parent.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)  # so that it can import the modules beside it
    name = "modelfleet_user_model"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look their module up
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"{file.name} imports {error.name}, which this image does not have",
        ) from error
    except Exception as error:
        raise _invalid(f"{file.name} cannot be imported: {_told(error)}") from error
    return module


def _find_class(module: ModuleType) -> type[Any]:
    found = [
        value
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__ and callable(getattr(value, "predict", None))
    ]
    if len(found) == 1:
        return found[0]
    named = [value for value in found if value.__name__ == "Model"]
    if named:
        return named[0]
    if not found:
        raise _invalid("model.py defines no class with a method predict")
    names = ", ".join(sorted(value.__name__ for value in found))
    raise _invalid(f"model.py defines several classes with predict ({names}); call one Model")


def _declared(model: Any) -> Signature:
    inputs = _specs(getattr(model, "inputs", None), "inputs")
    outputs = _specs(getattr(model, "outputs", None), "outputs")
    if not inputs:
        return Signature((), outputs, batched=False)
    return Signature(inputs, outputs, batched=first_dimension_is_free(inputs + outputs))


def _specs(declared: Any, where: str) -> tuple[TensorSpec, ...]:
    """`{"x": ("FP32", [-1, 784])}` as specs."""
    if declared is None:
        return ()
    wrong = _invalid(
        f"the model's {where} are not of the form "
        '{"name": ("FP32", [-1, 784])}, a datatype and a shape for each'
    )
    if not isinstance(declared, dict):
        raise wrong
    specs = []
    for name, value in declared.items():
        try:
            dtype, shape = value
            sizes = tuple(int(size) for size in _sizes(shape))
        except (TypeError, ValueError) as error:
            raise wrong from error
        try:
            specs.append(TensorSpec(str(name), datatype_named(dtype), sizes))
        except ValueError as error:
            raise _invalid(f"the model's {where}: {str(name)!r} has {error}") from error
    return tuple(specs)


def _sizes(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        raise TypeError("a shape is a list")
    return tuple(value)


def _invalid(message: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_INVALID, message)
