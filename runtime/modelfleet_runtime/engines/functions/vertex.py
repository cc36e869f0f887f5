"""A custom prediction routine of Vertex AI: a handler that is given each request, and the predictor
that it is made with."""

import asyncio
import importlib
import inspect
import json
import logging
import os
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.encoders import jsonable_encoder

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines.functions.code import guarded
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.raw import RawAnswer, RawRequest

log = logging.getLogger("modelfleet.engine")


def load(package: Package) -> "VertexFunctions":
    """Raises `CannotServe`."""
    name = package.main.name
    with guarded(f"{name} cannot be imported"):
        predictor = _of_environment("PREDICTOR")
        handler = _of_environment("HANDLER")
    assert handler is not None, "the package names one"
    with guarded(f"{handler.__name__} cannot be made"):
        made = handler(os.environ["AIP_STORAGE_URI"], predictor=predictor)
    return VertexFunctions(made)


def _of_environment(kind: str) -> Any:
    module = os.environ.get(f"{kind}_MODULE")
    if module is None:
        return None
    name = os.environ[f"{kind}_CLASS"]
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, type):
        raise CannotServe(FailureReason.MODEL_INVALID, f"{module} defines no class {name}")
    return found


class VertexFunctions:
    def __init__(self, handler: Any) -> None:
        self._handler = handler
        self._runner = asyncio.Runner()

    def answer(self, request: RawRequest) -> RawAnswer:
        return self._runner.run(self._answer(request))

    async def _answer(self, request: RawRequest) -> RawAnswer:
        try:
            given = self._handler.handle(_request(request))
            if inspect.isawaitable(given):
                given = await given
            return await _sent(given)
        except HTTPException as error:
            body = json.dumps({"detail": jsonable_encoder(error.detail)}).encode()
            kind = ("content-type", "application/json")
            return RawAnswer(error.status_code, (kind, *(error.headers or {}).items()), body)
        except (Exception, SystemExit) as error:
            log.error("the handler failed", exc_info=error)
            told = f"An exception {type(error).__name__} occurred. Arguments: {error.args}."
            return _json(500, {"detail": told})


def _request(request: RawRequest) -> Request:
    sent = False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": request.body, "more_body": False}

    headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in request.headers.items()]
    return Request(
        {
            "type": "http",
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query.encode("latin-1"),
            "root_path": "",
            "headers": headers,
            "server": ("0.0.0.0", int(os.environ["AIP_HTTP_PORT"])),
            "client": None,
        },
        receive,
    )


async def _sent(given: Any) -> RawAnswer:
    """What a response sends, of whichever kind it is; anything else as JSON."""
    if not isinstance(given, Response):
        return _json(200, jsonable_encoder(given))
    status, headers, body = 500, [], bytearray()

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            pairs = ((n.decode("latin-1"), v.decode("latin-1")) for n, v in message["headers"])
            headers = [(n, v) for n, v in pairs if n.lower() != "content-length"]
        else:
            body.extend(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()  # nobody leaves

    await given({"type": "http", "method": "POST", "headers": []}, receive, send)
    return RawAnswer(status, tuple(headers), bytes(body))


def _json(status: int, value: Any) -> RawAnswer:
    return RawAnswer(status, (("content-type", "application/json"),), json.dumps(value).encode())
