"""`code/inference.py`, as SageMaker's inference toolkit calls it.

What is missing is done as the toolkit does it. Where torch is installed, `model_fn`, `input_fn`,
`predict_fn` and `output_fn` are those of the PyTorch containers: the one `.pt` or `.pth` file as
TorchScript, tensors in and out.
"""

import importlib
import importlib.util
import inspect
import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines.functions.code import found, guarded
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.raw import RawAnswer, RawRequest

log = logging.getLogger("modelfleet.engine")

JSON = "application/json"
_UTF8 = (JSON, "text/csv")
_NAMES = re.compile(r"(^|-)([a-z])")


class Headers(dict[str, str]):
    """Names as clients write them, found however they are written."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        super().__init__({_as_written(name): value for name, value in headers.items()})

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(_as_written(name.lower()))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(_as_written(name.lower()))

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(_as_written(name.lower()), default)


class Context:
    """What a function with one argument more is given: the request's headers and the answer's.

    One object for the process's whole life, as there."""

    def __init__(self, folder: Path) -> None:
        self.model_name = "model"
        self.manifest: dict[str, Any] = {}
        self.system_properties = {"model_dir": str(folder), "gpu_id": None, "batch_size": 1}
        self.request_processor = [self]
        self.request_ids: dict[int, str] = {}
        self.begin({})

    def begin(self, headers: dict[str, str]) -> None:
        self._headers = Headers(headers)
        self.status = 200
        self.answer_headers: dict[str, str] = {}

    def get_request_properties(self) -> dict[str, str]:
        return self._headers

    def get_all_request_header(self, idx: int = 0) -> dict[str, str]:
        return self._headers

    def get_request_header(self, idx: int, key: str) -> str | None:
        value: str | None = self._headers.get(key)
        return value

    def get_request_id(self, idx: int = 0) -> str:
        return str(self._headers.get("X-Request-Id", ""))

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        self.status = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.answer_headers["Content-Type"] = value

    def set_response_header(self, idx: int, key: str, value: str) -> None:
        self.answer_headers[key] = value


def load(package: Package) -> "SageMakerFunctions":
    """Raises `CannotServe`."""
    name = package.main.name
    with guarded(f"{name} cannot be imported"):
        module = importlib.import_module(package.main.stem)
    functions = SageMakerFunctions(module, package.folder)
    with guarded("model_fn failed"):
        functions.load()
    return functions


class SageMakerFunctions:
    def __init__(self, module: ModuleType, folder: Path) -> None:
        self._folder = folder
        self._context = Context(folder)
        default = _defaults()
        self._load_steps = [
            found(module, "pre_model_fn"),
            found(module, "model_fn") or default.default_model_fn,
            found(module, "model_warmup_fn"),
        ]
        steps = {step: found(module, step) for step in ("input_fn", "predict_fn", "output_fn")}
        transform = found(module, "transform_fn")
        if transform is not None and any(steps.values()):
            raise CannotServe(
                FailureReason.MODEL_INVALID,
                "inference.py has transform_fn beside input_fn, predict_fn or output_fn; "
                "leave one of them out",
            )
        self._transform = transform or self._in_steps
        self._input = steps["input_fn"] or default.default_input_fn
        self._predict = steps["predict_fn"] or default.default_predict_fn
        self._output = steps["output_fn"] or default.default_output_fn
        self._model: Any = None
        errors = importlib.import_module("sagemaker_inference.errors")
        self._told: type[Exception] = errors.BaseInferenceToolkitError

    def load(self) -> None:
        before, model, warm_up = self._load_steps
        assert model is not None
        if before is not None:
            self._call(before, str(self._folder))
        self._model = self._call(model, str(self._folder))
        if warm_up is not None:
            self._call(warm_up, str(self._folder), self._model)

    def answer(self, request: RawRequest) -> RawAnswer:
        context = self._context
        context.begin(request.headers)
        accept = request.headers.get("accept", "")
        if accept in ("", "*/*"):
            accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or JSON
        kind = request.headers.get("content-type")
        try:
            data: Any = bytearray(request.body)  # as its model server gives it
            plain = _without_parameters(kind)
            if plain in _UTF8:
                kind, data = plain, request.body.decode()
            given = self._call(self._transform, self._model, data, kind, accept)
            body, kind = given if isinstance(given, tuple) else (given, accept)
            context.set_response_content_type(0, str(kind))
            return self._answer(context.status, _encoded(body))
        except (Exception, SystemExit) as error:
            return self._failed(error)

    def _failed(self, error: BaseException) -> RawAnswer:
        """The toolkit sends the trace as well; ours is in the log."""
        log.error("the model's code failed", exc_info=error)
        status, message = 500, str(error) or "Invalid Request"
        if isinstance(error, self._told):
            status, message = error.status_code, error.message  # type: ignore[attr-defined]
        if not isinstance(status, int) or not 200 <= status <= 599:
            status = 500
        self._context.answer_headers.pop("Content-Type", None)
        return self._answer(status, str(message).encode())

    def _answer(self, status: int, body: bytes) -> RawAnswer:
        return RawAnswer(status, tuple(self._context.answer_headers.items()), body)

    def _in_steps(self, model: Any, data: Any, content_type: str | None, accept: str) -> Any:
        prepared = self._call(self._input, data, content_type)
        prediction = self._call(self._predict, prepared, model)
        return self._call(self._output, prediction, accept)

    def _call(self, function: Callable[..., Any], *given: Any) -> Any:
        takes = len(inspect.signature(function).parameters)
        if takes == len(given):
            return function(*given)
        if takes == len(given) + 1:
            return function(*given, self._context)
        name = getattr(function, "__name__", "the function")
        raise TypeError(f"{name} takes {takes} arguments but {len(given)} were given.")


def _defaults() -> Any:
    """Of the PyTorch containers where there is torch, else of the toolkit itself."""
    if importlib.util.find_spec("torch") is not None:
        from modelfleet_runtime.engines.functions.sagemaker_torch import TorchDefaults

        return TorchDefaults()
    return importlib.import_module(
        "sagemaker_inference.default_inference_handler"
    ).DefaultInferenceHandler()


def _without_parameters(kind: str | None) -> str | None:
    """`application/json; charset=utf-8` is JSON; the toolkit does not know it."""
    return None if kind is None else kind.partition(";")[0].strip().lower()


def _encoded(body: Any) -> bytes:
    """As its model server sends what a handler gave."""
    if isinstance(body, (bytes, bytearray)):
        return bytes(body)
    if isinstance(body, str):
        return body.encode()
    import json

    return json.dumps(body, indent=2).encode()


def _as_written(name: str) -> str:
    """content-type -> Content-Type."""
    title = _NAMES.sub(lambda match: match[1] + match[2].upper(), name)
    return title.replace("-Sagemaker-", "-SageMaker-")
