"""The two routes that AIP_PREDICT_ROUTE and AIP_HEALTH_ROUTE name."""

from collections.abc import Mapping

import orjson

from modelfleet_runtime.errors import MethodNotAllowed, Refusal
from modelfleet_runtime.protocols import raw
from modelfleet_runtime.protocols.message import JSON_HEADERS, Answer
from modelfleet_runtime.protocols.raw import Dialect


def dialect(environment: Mapping[str, str]) -> Dialect:
    health, predict = environment["AIP_HEALTH_ROUTE"], environment["AIP_PREDICT_ROUTE"]
    return Dialect({predict: ("POST",)}, {health: lambda ready, _: _health(ready)}, refuse, raw.ask)


def _health(ready: bool) -> Answer:
    if ready:
        return Answer(200, JSON_HEADERS, b"{}")
    return Answer(503, JSON_HEADERS, orjson.dumps({"detail": "the server is not ready"}))


def refuse(refusal: Refusal) -> Answer:
    told = "Method Not Allowed" if isinstance(refusal, MethodNotAllowed) else refusal.message
    return Answer(refusal.status, JSON_HEADERS, orjson.dumps({"detail": told}))
