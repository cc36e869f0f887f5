"""A handler that was written for TorchServe: it is given whole requests, a batch of them at a time.

The original's contract is one list in, one list out, and one outcome for the batch. Here a batch
that fails is run again in parts, like any other, and who stands alone gets the original's answer.
"""

import importlib
import inspect
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from modelfleet_contract import Device, EngineSettings, FailureReason
from modelfleet_runtime import whole
from modelfleet_runtime.engines import failures
from modelfleet_runtime.engines.handler_values import decoded, encoded
from modelfleet_runtime.engines.images import ImageBound
from modelfleet_runtime.errors import (
    BadInput,
    CannotServe,
    EngineBroken,
    EngineDead,
    OutOfMemory,
    Refusal,
    one_line,
)
from modelfleet_runtime.gpus import gpus
from modelfleet_runtime.packages.package import ModelArchive, Package
from modelfleet_runtime.packages.torchserve import batch_size, read_archive
from modelfleet_runtime.signature import Signature, Tensors
from modelfleet_runtime.whole import Measure, WholeAnswer, WholeRequest

log = logging.getLogger("modelfleet.engine")

LIBRARY_ENV = "MODELFLEET_TS"
"""`own` (the default) or `installed`: whose `ts` the handler imports."""
SHIMS = Path(__file__).parent.parent / "shims"
OUT_OF_RESOURCES = 507
FAILED = 503

Handle = Callable[[list[Any] | None, Any], Any]


class HandlerEngine:
    """See `Engine`. It is alone in its process: it changes the path and the working directory."""

    computes = False
    slots = 1

    def __init__(self, package: Package, settings: EngineSettings) -> None:
        self._package = package
        self._device = settings.device
        self._images = ImageBound()
        self._context: Any = None
        self._handle: Handle | None = None
        self._request_processor: Any = None
        self._prediction_exception: type[BaseException] = EngineBroken

    def load(self) -> Signature:
        archive = read_archive(self._package.folder)
        _put_on_path(archive.folder)
        library = _imported("ts.context", archive), _imported("ts.utils.util", archive)
        store = _imported("ts.metrics.metric_cache_yaml_impl", archive)
        self._request_processor = library[0].RequestProcessor
        self._prediction_exception = library[1].PredictionException
        module = _handler_module(archive)
        self._context = library[0].Context(
            archive.name,
            str(archive.folder),
            archive.manifest,
            batch_size(archive),
            self._gpu(archive),
            importlib.import_module("ts").__version__,
            True,
            _own_store(store)(None, archive.name),
            archive.config,
        )
        self._handle = self._made(archive, module)
        self._images.hold()
        return whole.SIGNATURE

    def warm_up(self, rows: int) -> Signature:
        """Nobody can make up a request for a handler."""
        return whole.SIGNATURE

    def run(self, batch: Tensors) -> Tensors:
        requests = [whole.request_of(row) for row in batch[whole.REQUEST].tolist()]
        answers = self._answers(requests)
        return whole.column(whole.ANSWER, [answer.row() for answer in answers])

    def close(self) -> None:
        self._handle = None

    # -- loading

    def _gpu(self, archive: ModelArchive) -> int | None:
        wanted = archive.config.get("deviceType")
        if self._device is Device.CPU or (wanted == "cpu" and self._device is Device.AUTO):
            return None
        if gpus():
            ids = archive.config.get("deviceIds")
            return ids[0] if isinstance(ids, list) and ids and type(ids[0]) is int else 0
        if self._device is Device.CUDA:
            raise CannotServe(FailureReason.UNSUPPORTED, "device is cuda, and there is no GPU here")
        return None

    def _made(self, archive: ModelArchive, module: ModuleType) -> Handle:
        """The handler, ready for batches. Raises `CannotServe`."""
        begin: Callable[[], Any]
        named = getattr(module, archive.entry or "handle", None)
        if callable(named) and not inspect.isclass(named):
            handle: Handle = named
            where = f"{archive.handler}: {archive.entry or 'handle'}(None, context)"
            begin = lambda: handle(None, self._context)  # noqa: E731
        else:
            if archive.entry is not None:
                raise _invalid(f"{archive.handler} has no function {archive.entry}")
            instance = _guarded(f"{archive.handler}: the class", _only_class(archive, module))
            if not callable(getattr(instance, "handle", None)):
                raise _invalid(f"{archive.handler}: {type(instance).__name__} has no method handle")
            handle = instance.handle
            where = f"{archive.handler}: initialize"
            begin = lambda: getattr(instance, "initialize", lambda _: None)(self._context)  # noqa: E731
        if archive.envelope is not None:
            handle = self._in_envelope(archive, archive.envelope, handle)
        _guarded(where, begin)
        return handle

    def _in_envelope(self, archive: ModelArchive, name: str, handle: Handle) -> Handle:
        module = _imported(f"ts.torch_handler.request_envelope.{name}", archive)
        kind: Any
        (kind,) = (
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if value.__module__ == module.__name__
        )
        made: Handle = kind(handle).handle
        return made

    # -- a batch

    def _answers(self, requests: list[WholeRequest]) -> list[WholeAnswer]:
        """One for each. Raises `Refusal` where several are to be run in parts."""
        context = self._context
        context.request_ids = {index: one.id for index, one in enumerate(requests)}
        headers = []
        data = []
        for request in requests:
            types = {f.name: {"content-type": f.content_type} for f in request.fields}
            headers.append(self._request_processor(types | request.headers))
            data.append({f.name: decoded(f) for f in request.fields})
        context.request_processor = headers
        context.metrics.request_ids = context.request_ids
        began = time.perf_counter()
        try:
            assert self._handle is not None
            given = self._handle(data, context)
            if not isinstance(given, list):
                raise _Wrong("Invalid model predict output", f"it gave {type(given).__name__}")
            if len(given) != len(requests):
                raise _Wrong(
                    "number of batch response mismatched",
                    f"it gave {len(given)} items for {len(requests)} requests",
                )
            ms = (time.perf_counter() - began) * 1000
            context.metrics.add_time("PredictionTime", round(ms, 2))
            answers = [self._answer(index, value) for index, value in enumerate(given)]
        except BaseException as error:
            failed = self._failure(error, len(requests))
            answers = [self._with_measures(failed)]
        else:
            answers[0] = self._with_measures(answers[0])
        return answers

    def _answer(self, index: int, value: Any) -> WholeAnswer:
        try:
            body = encoded(value)
        except (TypeError, ValueError) as error:
            raise _Wrong("Unsupported model output data type.", one_line(error)) from error
        context = self._context
        status, _ = context.get_response_status(index)
        if status is None:
            status = 200
        if type(status) is not int or not 200 <= status <= 599:
            raise _Wrong("Prediction failed", f"the status {str(status)[:20]} is none of HTTP's")
        headers = tuple((str(k), str(v)) for k, v in context.get_response_headers(index).items())
        return WholeAnswer(status, headers, body)

    def _failure(self, error: BaseException, requests: int) -> WholeAnswer:
        """What one request hears. Raises `Refusal` where there are several, one of which may be to
        blame, or where it is the device's end."""
        if failures.is_dead(error):
            raise EngineDead(f"the handler's device is lost: {one_line(error)}") from error
        too_large = self._images.exceeded(error)
        status, message = self._told(error)
        alone = requests == 1
        if alone or not isinstance(error, MemoryError):
            level = logging.INFO if isinstance(error, self._prediction_exception) else logging.ERROR
            log.log(level, "the handler failed: %s", one_line(error), exc_info=error)
        if too_large is not None or isinstance(error, BadInput):
            raise too_large or error
        if not alone:
            kind: type[Refusal] = OutOfMemory if status == OUT_OF_RESOURCES else EngineBroken
            raise kind(message)
        return WholeAnswer(status, (), b"", message)

    def _told(self, error: BaseException) -> tuple[int, str]:
        if isinstance(error, _Wrong):
            return FAILED, error.told
        if isinstance(error, MemoryError):
            return OUT_OF_RESOURCES, "Out of resources"
        if isinstance(error, self._prediction_exception):
            status = getattr(error, "error_code", 500)
            known = type(status) is int and 200 <= status <= 599
            return (status if known else 500), str(getattr(error, "message", error))
        if not isinstance(error, Exception):
            return 500, "Worker died."  # it asked for its end, and there others would be waiting
        if "CUDA" in str(error):
            return OUT_OF_RESOURCES, "Out of resources"
        return FAILED, "Prediction failed"

    def _with_measures(self, answer: WholeAnswer) -> WholeAnswer:
        noted = tuple(
            Measure(name, kind, value, tuple(labels))
            for name, kind, value, labels in self._context.metrics.take()
        )
        return WholeAnswer(answer.status, answer.headers, answer.body, answer.failure, noted)


class _Wrong(Exception):
    """What the handler gave is not what it has to give."""

    def __init__(self, told: str, detail: str) -> None:
        super().__init__(detail)
        self.told = told


def _put_on_path(folder: Path) -> None:
    """The archive's modules, and before all others our `ts`, unless another is asked for."""
    library = os.environ.get(LIBRARY_ENV) or "own"
    if library not in ("own", "installed"):
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"the setting {LIBRARY_ENV} is {library[:40]!r}, not own or installed",
        )
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    if library == "own":
        sys.path.insert(0, str(SHIMS))


def _own_store(module: ModuleType) -> Any:
    """What is measured comes to us also where the installed library is used."""
    if os.environ.get(LIBRARY_ENV) != "installed":
        return module.MetricsCacheYamlImpl
    return importlib.import_module("modelfleet_runtime.shims.ts.metrics.metrics_store").MetricsStore


def _handler_module(archive: ModelArchive) -> ModuleType:
    if archive.built_in:
        return _imported(f"ts.torch_handler.{archive.handler}", archive)
    return _imported(archive.handler.removesuffix(".py"), archive)


def _imported(name: str, archive: ModelArchive) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if missing == "torch":
            what = "torch, which this image does not have; serve it with the torch flavour"
        elif missing == "ts" and os.environ.get(LIBRARY_ENV) == "installed":
            what = f"torchserve, as {LIBRARY_ENV} asks, which this image does not have"
        elif missing.partition(".")[0] == "ts":
            what = f"{missing} of TorchServe's library, which is not served yet"
        else:
            what = f"{missing}, which this image does not have"
        raise CannotServe(
            FailureReason.UNSUPPORTED, f"the handler {archive.handler} imports {what}"
        ) from error
    except MemoryError:
        raise
    except BaseException as error:
        raise _invalid(f"{archive.handler} cannot be imported: {_said(error)}") from error


def _only_class(archive: ModelArchive, module: ModuleType) -> type[Any]:
    own = [
        value
        for _, value in inspect.getmembers(module, inspect.isclass)
        if value.__module__ == module.__name__
    ]
    if len(own) != 1:
        names = ", ".join(kind.__name__ for kind in own) or "none"
        raise _invalid(
            f"{archive.handler} is to define a function handle(data, context) or one class, "
            f"and it defines the classes {names}"
        )
    return own[0]


def _guarded(where: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except CannotServe:
        raise
    except ModuleNotFoundError as error:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"{where} imports {error.name}, which this image does not have",
        ) from error
    except MemoryError as error:
        raise CannotServe(
            FailureReason.OUT_OF_MEMORY, "there is not enough memory to load the model"
        ) from error
    except BaseException as error:
        if failures.is_out_of_memory(error):
            raise CannotServe(FailureReason.OUT_OF_MEMORY, _said(error)) from error
        log.debug("what the handler raised", exc_info=error)
        raise _invalid(f"{where} failed: {_said(error)}") from error


def _said(error: BaseException) -> str:
    text = one_line(error)
    kind = type(error).__name__
    return text if text == kind else f"{kind}: {text}"


def _invalid(message: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_INVALID, message)
