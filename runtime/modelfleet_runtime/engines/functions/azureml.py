"""`score.py`, as Azure ML's inference server calls it: `init` once, `run` for each request.

How `run` is given its input depends on how it is decorated: with `@rawhttp` the request itself,
with `@input_schema` the values of a JSON object by name, else the body as text.
"""

import importlib
import importlib.util
import inspect
import io
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import Any
from urllib.parse import parse_qs

from werkzeug.wrappers import Request, Response

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines.functions import azureml_swagger
from modelfleet_runtime.engines.functions.code import found, guarded
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.raw import RawAnswer, RawRequest

log = logging.getLogger("modelfleet.engine")

SWAGGER = "/swagger.json"
LONGEST_MS = 3600 * 1000
_SCRIPT_FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
_SERVER_FAILED = "An unexpected internal error occurred. Check the logs for more info."


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def load(package: Package) -> "AzureMlFunctions":
    """Raises `CannotServe`."""
    name = package.main.name
    with guarded(f"{name} cannot be imported"):
        spec = importlib.util.spec_from_file_location("entry_module", package.main)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["entry_module"] = module  # dataclasses look their module up
        spec.loader.exec_module(module)
    functions = AzureMlFunctions(module, package)
    with guarded(f"{name}: init() failed"):
        functions.init()
    return functions


class AzureMlFunctions:
    def __init__(self, module: ModuleType, package: Package) -> None:
        name = package.main.name
        init = found(module, "init")
        driven = getattr(module, "driver_module", None)
        run = found(driven, "run") if isinstance(driven, ModuleType) else None
        run = run or found(module, "run")
        if init is None or run is None:
            missing = "init" if init is None else "run"
            raise _invalid(f"{name} does not define {missing}()")
        self.init = init
        self._run = run
        self._timeout_ms = _timeout_ms()
        parameters = inspect.signature(run).parameters
        if any(
            p.kind not in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters.values()
        ):
            raise _invalid(
                f"{name}: run() cannot accept positional-only arguments, *args, or **kwargs"
            )
        self._wants_headers = "request_headers" in parameters
        inputs = [p for p in parameters.values() if p.name != "request_headers"]
        if not inputs:
            raise _invalid(f"{name}: run() needs to accept an argument for input data")
        self._input = _reader(run, inputs, name)
        self._swagger = azureml_swagger.documents(run, package.folder)

    def answer(self, request: RawRequest) -> RawAnswer:
        if request.path == SWAGGER:
            return self._answer_swagger(request)
        try:
            return self._score(request)
        except _Refused as refused:
            return _message(refused.status, refused.message)
        except Exception as error:
            log.error("the answer of run() cannot be sent", exc_info=error)
            return _message(500, _SERVER_FAILED)

    def _score(self, request: RawRequest) -> RawAnswer:
        asked = wsgi_request(request)
        given = self._input(asked)
        if self._wants_headers:
            given["request_headers"] = dict(asked.headers)
        began = time.perf_counter()
        try:
            with _alarm(self._timeout_ms):
                output = self._run(**given)
        except TimeoutError as error:
            log.error("run() took too long", exc_info=error)
            return _message(500, f"Scoring timeout after {self._timeout_ms} ms", failed=True)
        except (Exception, SystemExit) as error:
            log.error("run() failed", exc_info=error)
            return _message(500, _SCRIPT_FAILED, failed=True)
        took = ("x-ms-run-fn-exec-ms", f"{(time.perf_counter() - began) * 1000:.3f}")
        if not isinstance(output, Response):
            body = json.dumps({} if output is None else output)
            headers = [("content-type", "application/json"), ("x-ms-run-function-failed", "False")]
            return RawAnswer(200, (*headers, took), body.encode())
        if output.status_code >= 500:
            output.headers["x-ms-run-function-failed"] = "True"
        return RawAnswer(output.status_code, (*_headers_of(output), took), output.get_data())

    def _answer_swagger(self, request: RawRequest) -> RawAnswer:
        version = parse_qs(request.query, keep_blank_values=True).get("version", ["2"])[0]
        try:
            document = self._swagger.of(version)
        except KeyError as error:
            return _message(404, str(error.args[0]))
        return _json(200, document)


# -- what run is given


def _reader(
    run: Callable[..., Any], inputs: list[inspect.Parameter], name: str
) -> Callable[[Request], dict[str, Any]]:
    raw = importlib.import_module("azureml_inference_server_http.api.aml_request")._rawHttpRequested
    schema = _schema_util()
    decorated = schema is not None and schema.is_schema_decorated(run)
    if raw and decorated:
        raise _invalid(f"{name}: run() cannot be decorated with both @rawhttp and @input_schema")
    first = inputs[0].name
    if raw:
        return lambda request: {first: request}
    if decorated:
        return lambda request: _by_name(request, inputs)
    return lambda request: {first: _as_text(request)}


def _schema_util() -> Any:
    """Where the script has not imported it, nothing is decorated."""
    loaded = any(name.startswith("inference_schema") for name in sys.modules)
    return importlib.import_module("inference_schema.schema_util") if loaded else None


def _as_text(request: Request) -> str:
    _check_method(request)
    if request.method == "GET":
        return json.dumps(_of_query(request))
    try:
        return request.get_data().decode()
    except UnicodeDecodeError as error:
        raise _Refused(400, f"Input cannot be decoded as UTF-8: {error}") from None


def _by_name(request: Request, inputs: list[inspect.Parameter]) -> dict[str, Any]:
    _check_method(request)
    value = _of_query(request) if request.method == "GET" else _object(request)
    given = {}
    for parameter in inputs:
        given[parameter.name] = value.get(parameter.name, parameter.default)
        if given[parameter.name] is parameter.empty:
            raise _Refused(400, f"A value is not provided for the {parameter.name!r} parameter.")
    return given


def _object(request: Request) -> dict[str, Any]:
    if not request.is_json:
        raise _Refused(415, "Expects Content-Type to be application/json")
    body = request.get_data()
    if not body:
        raise _Refused(400, "POST body is empty. Expecting a JSON dictionary.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _Refused(400, f"POST body could not be decoded as JSON: {error}") from None
    if not isinstance(value, dict):
        raise _Refused(400, "POST body should be a JSON dictionary.")
    return value


def _of_query(request: Request) -> dict[str, Any]:
    """Each value as JSON where it is, else as text; a key that is there twice as a list."""
    lists = ((key, [_parsed(v) for v in request.args.getlist(key)]) for key in request.args)
    return {key: values[0] if len(values) == 1 else values for key, values in lists}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _check_method(request: Request) -> None:
    if request.method == "OPTIONS":  # answered with nothing; CORS is the ingress's
        raise _Refused(200, "")
    if request.method not in ("GET", "POST"):
        raise _Refused(405, "Method not allowed")


# -- answers


def _message(status: int, message: str, failed: bool = False) -> RawAnswer:
    if status == 200:
        headers = (("content-type", "text/html; charset=utf-8"),)
        return RawAnswer(200, (*headers, ("x-ms-run-function-failed", "False")), b"")
    return _json(status, {"message": message}, failed)


def _json(status: int, value: Any, failed: bool = False) -> RawAnswer:
    headers = (("content-type", "application/json"), ("x-ms-run-function-failed", str(failed)))
    return RawAnswer(status, headers, json.dumps(value).encode())


def _headers_of(response: Response) -> list[tuple[str, str]]:
    of_connection = ("content-length", "connection", "transfer-encoding")
    return [(n, v) for n, v in response.headers if n.lower() not in of_connection]


def wsgi_request(request: RawRequest) -> Request:
    """As Azure ML's server, a WSGI one, hands it to `@rawhttp`."""
    known = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
    environ: dict[str, Any] = {
        known.get(name, "HTTP_" + name.upper().replace("-", "_")): value
        for name, value in request.headers.items()
    }
    host, _, port = request.headers.get("host", "localhost:5001").partition(":")
    environ |= {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query,
        "CONTENT_LENGTH": str(len(request.body)),
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    kind = importlib.import_module("azureml_inference_server_http.api.aml_request")
    made: Request = getattr(kind, "WSGI_REQUEST", Request)(environ)
    return made


# -- time


def _timeout_ms() -> int:
    text = os.environ.get("SCORING_TIMEOUT_MS") or str(LONGEST_MS)
    if not text.isdigit() or int(text) == 0:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"SCORING_TIMEOUT_MS is {text[:40]!r}; write a whole number of milliseconds above 0",
        )
    return int(text)


@contextmanager
def _alarm(milliseconds: int) -> Iterator[None]:
    """Raises TimeoutError in what runs. Code that never comes back to the interpreter is ended by
    the process's own bound."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _invalid(message: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_INVALID, message)
