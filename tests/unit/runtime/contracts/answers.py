"""An answer as it is recorded and compared: what a client can rely on, without what changes."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

COMPARED = (
    "content-type", "x-a", "x-mine", "x-ms-client-request-id", "x-ms-request-id",
    "x-ms-run-fn-exec-ms", "x-ms-run-function-failed", "x-request-id", "x-two", "x-why", "traceid",
)  # fmt: skip
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{12}-[0-9a-f]+")


def told(status: int, headers: Mapping[str, str], body: bytes, server: str) -> dict[str, Any]:
    kept = {name: value for name, value in headers.items() if name.lower() in COMPARED}
    answer: dict[str, Any] = {name.lower(): _stable(name, value) for name, value in kept.items()}
    if server != "azureml":  # there the protocol knows no ids; ours puts one into every answer
        answer.pop("x-request-id", None)
    return {"status": status, **answer, "body": _body(body, status, server)}


def _stable(name: str, value: str) -> str:
    if name.lower() == "x-ms-run-fn-exec-ms":
        return "a number" if re.fullmatch(r"\d+\.\d{3}", value) else value
    return _UUID.sub("an id", value)


def _body(body: bytes, status: int, server: str) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    if server == "sagemaker" and status >= 400:  # the toolkit's trace follows the message
        return text.partition("\nTraceback")[0].strip()
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return _swagger(value) if isinstance(value, dict) and "paths" in value else value


def _swagger(document: dict[str, Any]) -> dict[str, Any]:
    """What generates clients; the sentences around it are anybody's."""
    parts = document.get("components") or {}
    paths: dict[str, dict[str, Any]] = document["paths"]
    return {
        "version": document.get("swagger") or document.get("openapi"),
        "info": document["info"],
        "paths": {path: sorted(item) for path, item in paths.items()},
        "operations": sorted(o["operationId"] for i in paths.values() for o in i.values()),
        "schemas": document.get("definitions") or parts["schemas"],
        "security": document.get("securityDefinitions") or parts["securitySchemes"],
    }
