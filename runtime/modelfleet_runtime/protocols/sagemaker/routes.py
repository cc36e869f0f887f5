"""`/ping`, `/invocations` and `/execution-parameters`."""

from collections.abc import Mapping

import orjson

from modelfleet_runtime.errors import Refusal
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.protocols import raw
from modelfleet_runtime.protocols.message import JSON_HEADERS, Answer
from modelfleet_runtime.protocols.raw import Dialect

PING = "/ping"
INVOCATIONS = "/invocations"
EXECUTION_PARAMETERS = "/execution-parameters"
PAYLOAD_MB = 6
"""What the platform lets through to an endpoint."""


def dialect(environment: Mapping[str, str], limits: RequestLimits, processes: int) -> Dialect:
    parameters = execution_parameters(environment, limits, processes)
    body = orjson.dumps(parameters)
    return Dialect(
        {INVOCATIONS: ("POST",)},
        {PING: lambda ready, _: _ping(ready),
         EXECUTION_PARAMETERS: lambda _, __: Answer(200, JSON_HEADERS, body)},
        refuse,
        raw.ask,
        inflates=True,
    )  # fmt: skip


def execution_parameters(
    environment: Mapping[str, str], limits: RequestLimits, processes: int
) -> dict[str, object]:
    """What batch transform is told: as many requests at once as there are processes."""
    most = max(1, limits.body_bytes >> 20)
    return {
        "MaxConcurrentTransforms": _number(
            environment.get("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"), processes
        ),
        "BatchStrategy": environment.get("SAGEMAKER_BATCH_STRATEGY") or "MULTI_RECORD",
        "MaxPayloadInMB": min(
            most, _number(environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB"), PAYLOAD_MB)
        ),
    }


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else default


def _ping(ready: bool) -> Answer:
    status = "Healthy" if ready else "Unhealthy"
    return Answer(200 if ready else 503, JSON_HEADERS, orjson.dumps({"status": status}))


def refuse(refusal: Refusal) -> Answer:
    """As the functions' own failures: the message as text."""
    return Answer(refusal.status, [(b"content-type", b"text/plain")], refusal.message.encode())
