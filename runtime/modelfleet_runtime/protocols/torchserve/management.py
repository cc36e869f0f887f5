"""What management says of the one model, and that nothing is changed here: which model is served is
the server's own start, or the resource's.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import MethodNotAllowed, NotFound
from modelfleet_runtime.gpus import DRIVER
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.packages.package import ModelArchive
from modelfleet_runtime.protocols.message import Answer
from modelfleet_runtime.protocols.torchserve import errors
from modelfleet_runtime.protocols.torchserve.routes import TorchServeRoutes

MOST_MODELS = 100
PING = "/ping"
DESCRIPTION = "/api-description"


class ReadOnly(MethodNotAllowed):
    def __init__(self) -> None:
        super().__init__("GET")
        self.args = (
            (
                "this server serves the one model that it was started with; to register, scale or "
                "unregister a model, change the ModelDeployment or start another server"
            ),
        )


@dataclass(frozen=True, slots=True)
class Management:
    """The management API over the served model."""

    routes: TorchServeRoutes
    metrics: Metrics
    began: datetime
    """When the server was started."""

    def answer(self, method: str, path: str, query: str, served: Served | None) -> Answer | None:
        """None for a path that is none of these. Raises `Refusal`."""
        parts = path.removesuffix("/").split("/")[1:]
        if not parts or parts[0] != "models" or len(parts) > 4:
            return None
        if method != "GET":
            if method == "PUT" and len(parts) > 1 and served is not None:
                self.routes.check(served, parts[1], parts[2] if len(parts) > 2 else None)
            raise ReadOnly
        if len(parts) == 1:
            return _said(self._list(parse_qs(query), served))
        if len(parts) == 4:
            raise NotFound("Requested resource is not found, please refer to API document.")
        if served is None:
            raise errors.ModelNotFound(parts[1])
        version = parts[2] if len(parts) == 3 and parts[2] != "all" else None
        self.routes.check(served, parts[1], version)
        return _said([self._model(parts[1], served)])

    def _list(self, query: dict[str, list[str]], served: Served | None) -> dict[str, Any]:
        limit, token = _number(query, "limit", MOST_MODELS), _number(query, "next_page_token", 0)
        if limit > MOST_MODELS or limit < 0:
            limit = MOST_MODELS
        archive = None if served is None else served.archive
        names = [] if served is None or archive is None else [(served.name, archive.file)]
        shown = names[max(0, token) : max(0, token) + limit]
        said: dict[str, Any] = {}
        if limit == 0 and names:
            said["nextPageToken"] = str(max(0, token))
        said["models"] = [{"modelName": name, "modelUrl": url} for name, url in shown]
        return said

    def _model(self, name: str, served: Served) -> dict[str, Any]:
        archive = served.archive
        assert archive is not None
        config = archive.config
        queue_size = served.batcher.batching.queue_size
        pending = int(self.metrics.queue_depth.value)
        return {
            "modelName": name,
            "modelVersion": archive.version,
            "modelUrl": archive.file,
            "runtime": str(archive.manifest.get("runtime", "python")),
            "minWorkers": served.workers,
            "maxWorkers": served.workers,
            "batchSize": served.batcher.batching.max_size,
            "maxBatchDelay": round(served.batcher.batching.max_delay.total_seconds() * 1000),
            "responseTimeout": round(served.wishes.run_seconds or 0),
            "startupTimeout": round(served.wishes.start_seconds or 0),
            "maxRetryTimeoutInSec": 300,
            "clientTimeoutInMills": 0,
            "parallelType": "",
            "parallelLevel": 0,
            "deviceType": str(config.get("deviceType", "gpu" if DRIVER.exists() else "cpu")),
            "continuousBatching": False,
            "useJobTicket": False,
            "useVenv": False,
            "stateful": False,
            "sequenceMaxIdleMSec": 0,
            "sequenceTimeoutMSec": 0,
            "maxNumSequence": 0,
            "maxSequenceJobQueueSize": 0,
            "loadedAtStartup": True,
            "workers": [
                {
                    "id": str(9000 + index),
                    "startTime": self.began.isoformat(timespec="milliseconds"),
                    "status": "READY",
                }
                for index in range(served.workers)
            ],
            "jobQueueStatus": {
                "remainingCapacity": max(0, queue_size - pending),
                "pendingRequests": pending,
            },
        }


def _said(value: object) -> Answer:
    return Answer(200, errors.JSON, errors.pretty(value))


def _number(query: dict[str, list[str]], key: str, default: int) -> int:
    """What is no number is the default, as the original has it."""
    try:
        return int(query[key][-1])
    except (KeyError, ValueError):
        return default


def ping(ready: bool) -> Answer:
    """Healthy is ready: the original says so while it is still loading."""
    said = {"status": "Healthy" if ready else "Unhealthy"}
    return Answer(200 if ready else 500, errors.JSON, errors.pretty(said))


def description(name: str, archive: ModelArchive) -> Answer:
    """The inference API as an OpenAPI document."""
    answers = {
        "200": {"description": "What the handler gave"},
        "404": {"description": "Another model, or another version"},
        "503": {"description": "The handler failed, or too many requests wait"},
    }
    call = {"operationId": "predictions", "responses": answers}
    paths: dict[str, Any] = {
        f"/predictions/{name}": {"post": call, "put": call},
        f"/predictions/{name}/{archive.version}": {"post": call, "put": call},
        f"/explanations/{name}": {"post": {"operationId": "explanations", "responses": answers}},
        "/ping": {"get": {"operationId": "ping", "responses": {"200": {"description": "Healthy"}}}},
        "/": {
            "options": {"operationId": "describe", "responses": {"200": {"description": "This"}}}
        },
    }
    info = {"title": "TorchServe inference API", "version": archive.version}
    return _said({"openapi": "3.0.1", "info": info, "paths": paths})
