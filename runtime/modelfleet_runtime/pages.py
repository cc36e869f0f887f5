"""What is not hot: documentation, metadata, the whole state. A FastAPI application.

It is imported by the first request for one of these, so nothing else may import this file.
"""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from modelfleet_runtime import openapi
from modelfleet_runtime.app import App, AsgiApp
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import MethodNotAllowed, Refusal
from modelfleet_runtime.version import own_version

TITLE = "modelfleet runtime"
_NO_MODEL: dict[int | str, dict[str, Any]] = {
    404: {"description": "This server has another model, or another version of it."},
    503: {"description": "The model is not loaded, or the server is about to stop."},
}


def make(app: App) -> AsgiApp:
    """The application, with the inference routes and probes described in its OpenAPI document."""
    service = app.service
    life, oip = service.life, service.oip
    pages = FastAPI(
        title=f"{TITLE}: {service.name}",
        version=service.version,
        summary="One model, batched.",
        redoc_url=None,
    )

    @pages.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("/docs")

    @pages.get("/health", tags=["health"], summary="State and model; 200 whenever it can answer")
    async def health() -> dict[str, Any]:
        served = life.served
        return {
            "status": life.state.value,
            "ready": life.ready,
            "model": {
                "name": service.name,
                "version": service.version,
                "loaded": served is not None,
                "format": served.platform if served else None,
                "batched": served.signature.batched if served else None,
            },
        }

    @pages.get("/v2", tags=["open inference protocol"], summary="The server's name and extensions")
    async def server_metadata() -> dict[str, Any]:
        return oip.server_metadata(own_version())

    async def model_metadata(name: str, version: str | None = None) -> dict[str, Any]:
        oip.check(name, version)
        return oip.model_metadata(life.model())

    async def model_ready(name: str, version: str | None = None) -> JSONResponse:
        oip.check(name, version)
        return JSONResponse({"name": name, "ready": life.ready}, 200 if life.ready else 503)

    async def model_statistics(name: str, version: str | None = None) -> dict[str, Any]:
        oip.check(name, version)
        figures = await asyncio.to_thread(service.statistics.figures, service.metrics)
        return {"model_stats": [figures.as_json(service.name, service.version)]}

    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        for path, summary, page in (
            (base, "Inputs and outputs", model_metadata),
            (f"{base}/stats", "Counts and times", model_statistics),
            (f"{base}/ready", "200 when ready, else 503", model_ready),
        ):
            pages.get(path, tags=["open inference protocol"], summary=summary, responses=_NO_MODEL)(
                page
            )

    @pages.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        headers = {"retry-after": str(refusal.retry_after)} if refusal.retry_after else None
        return JSONResponse({"error": refusal.message}, refusal.status, headers)

    @pages.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            message = f"there is nothing at {request.url.path[:200]}; see /docs"
        elif error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "another method")
            message = MethodNotAllowed(allowed).message
        else:
            message = str(error.detail)
        return JSONResponse({"error": message}, error.status_code, error.headers)

    made: tuple[Served | None, dict[str, Any]] | None = None

    def document() -> dict[str, Any]:
        nonlocal made
        if made is None or made[0] is not life.served:  # its examples are the model's
            pages.openapi_schema = None
            bare = FastAPI.openapi(pages)
            names = service.experiment.feedback.names
            made = (
                life.served,
                openapi.complete(bare, service.name, service.version, life.served, names),
            )
        return made[1]

    pages.openapi = document  # type: ignore[method-assign]
    return pages  # type: ignore[return-value]
