"""Where ours answers otherwise than the original, and why."""

from dataclasses import dataclass
from typing import Any

ANY = object()
"""A body that a test of its own looks at."""
NOWHERE = "there is nothing at /nowhere; see /docs"
READ_ONLY = (
    "this server serves the one model that it was started with; to register, scale or unregister a "
    "model, change the ModelDeployment or start another server"
)


@dataclass(frozen=True, slots=True)
class Difference:
    status: int
    body: Any
    why: str


def _error(code: int, kind: str, message: str) -> dict[str, Any]:
    return {"code": code, "type": kind, "message": message}


_ONE = Difference(
    200, {"models": [{"modelName": "probe", "modelUrl": "probe.mar"}]}, "one model for each server"
)
_DESCRIBED = Difference(200, ANY, "it says what holds here, and nothing of memory and processes")
_READ_ONLY = Difference(
    405, _error(405, "MethodNotAllowedException", READ_ONLY), "it says what to do instead"
)

DIFFERENCES: dict[str, Difference] = {
    "route: DELETE /predictions/probe": Difference(
        405,
        _error(405, "MethodNotAllowedException", "method not allowed; use POST, PUT, GET"),
        "a request to delete is not answered with a prediction",
    ),
    "route: POST /predictions/function": Difference(
        404,
        _error(404, "ModelNotFoundException", "Model not found: function"),
        "one model for each server",
    ),
    "route: POST /nowhere": Difference(404, {"error": NOWHERE}, "the port has other protocols too"),
    "management: GET /models": _ONE,
    "management: GET /models?limit=1": _ONE,
    "management: GET /models?limit=x": _ONE,
    "management: GET /models/probe": _DESCRIBED,
    "management: GET /models/probe/1.0": _DESCRIBED,
    "management: GET /models/probe/all": _DESCRIBED,
    "management: GET /models/probe?customized=true": _DESCRIBED,
    "management: POST /models?url=a.mar": _READ_ONLY,
    "management: POST /models": _READ_ONLY,
    "management: DELETE /models/nothing": _READ_ONLY,
    "management: PUT /models/probe/9.9/set-default": Difference(
        404,
        _error(
            404,
            "ModelVersionNotFoundException",
            "Model version: 9.9 does not exist for model: probe",
        ),
        "one wording for a version that is not there",
    ),
}
