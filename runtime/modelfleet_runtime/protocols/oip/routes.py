"""The Open Inference Protocol's routes: inference, and what they say of server and model."""

import re
from functools import partial
from typing import Any

from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import NotFound, Refusal
from modelfleet_runtime.protocols.message import (
    JSON_HEADERS,
    Answer,
    Incoming,
    Question,
    check_json_type,
)
from modelfleet_runtime.protocols.oip import codec
from modelfleet_runtime.protocols.oip.plans import Plans
from modelfleet_runtime.signature import TensorSpec

HEALTH_LIVE = "/v2/health/live"
HEALTH_READY = "/v2/health/ready"
EXTENSIONS = ["binary_tensor_data", "parameters"]
_INFER = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")


class OipRoutes:
    """The endpoints of one model."""

    def __init__(self, name: str, version: str) -> None:
        self._name = name
        self._version = version
        self._plans = Plans(name, version)

    def infer_paths(self) -> tuple[str, str]:
        """Where inference is asked, without and with the version."""
        base = f"/v2/models/{self._name}"
        return f"{base}/infer", f"{base}/versions/{self._version}/infer"

    def infer(self, request: Incoming) -> Question:
        length = request.headers.get(codec.LENGTH_HEADER)
        if length is None:
            check_json_type(request.headers)
        plans = self._plans
        call = plans.decode(length, request.body, request.served.signature)
        return Question(call.tensors, partial(plans.encode, call), call.time_limit, call.priority)

    def in_place(self, request: Incoming) -> bool:
        length = request.headers.get(codec.LENGTH_HEADER)
        return length is not None and codec.in_place(length, request.served.signature)

    def is_infer(self, path: str) -> bool:
        """Whether the path is that of an inference, for whatever model."""
        return path.endswith("/infer") and _INFER.fullmatch(path) is not None

    def explain_unknown(self, path: str) -> None:
        """Raises the `NotFound` of an inference's path that is none of `infer_paths`."""
        found = _INFER.fullmatch(path)
        assert found is not None
        self.check(found[1], found[2])

    def check(self, name: str, version: str | None = None) -> None:
        """Raises `NotFound` for a model or version that this server does not have."""
        if name != self._name:
            raise NotFound(
                f"request for unknown model: {name[:80]!r} is not found; this server has "
                f"{self._name!r}"
            )
        if version is not None and version != self._version:
            raise NotFound(
                f"request for unknown model: {name!r} version {version[:80]!r} is not found; this "
                f"server has version {self._version!r}"
            )

    def server_metadata(self, version: str) -> dict[str, Any]:
        return {"name": "modelfleet", "version": version, "extensions": EXTENSIONS}

    def model_metadata(self, served: Served) -> dict[str, Any]:
        return {
            "name": self._name,
            "versions": [self._version],
            "platform": served.platform,
            "inputs": [_described(spec) for spec in served.signature.inputs],
            "outputs": [_described(spec) for spec in served.signature.outputs],
        }


def refuse(refusal: Refusal) -> Answer:
    """A refusal as this protocol words it."""
    return Answer(refusal.status, JSON_HEADERS, codec.encode_error(refusal.message))


def _described(spec: TensorSpec) -> dict[str, Any]:
    """What the package does not declare is free: any shape, and FP32 as the likeliest datatype."""
    return {
        "name": spec.name,
        "datatype": (spec.dtype or "FP32"),
        "shape": [-1] if spec.shape is None else list(spec.shape),
    }
