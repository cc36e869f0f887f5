"""`/swagger.json` of an Azure ML entry script, in the versions of the format that it allows."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_ALIASES = {"2": "2.0", "2.0": "2.0", "3": "3.0", "3.0": "3.0", "3.1": "3.1"}
_FILES = {"2.0": ("swagger.json", "swagger2.json"), "3.0": ("swagger3.json",),
          "3.1": ("swagger3.1.json",)}  # fmt: skip
_SHOWN = {"2.0": "2", "3.0": "3", "3.1": "3.1"}


@dataclass(frozen=True, slots=True)
class Documents:
    by_version: dict[str, Json]

    def of(self, asked: str) -> Json:
        """Raises KeyError that says which versions there are."""
        version = _ALIASES.get(asked)
        if version in self.by_version:
            return self.by_version[version]
        there = ", ".join(sorted(_SHOWN[v] for v in self.by_version))
        if version is None:
            raise KeyError(
                f"Swagger version [{asked}] is not valid. Supported versions: [{there}]."
            )
        raise KeyError(
            f"Swagger version [{asked}] is not supported for the scoring script. "
            f"Supported swagger versions: [{there}]."
        )


def documents(run: Callable[..., Any], folder: Path) -> Documents:
    """Of a file that lies in the folder, else from what `run` is decorated with."""
    schema = None
    if any(name.startswith("inference_schema") for name in sys.modules):
        schema = import_module("inference_schema.schema_util")
    if schema is not None and schema.is_schema_decorated(run):
        given, returned = schema.get_input_schema(run), schema.get_output_schema(run)
        versions = set(schema.get_supported_versions(run))
    else:
        given = returned = {"type": "object", "example": {}}
        versions = {"2.0", "3.0", "3.1"}
    made: dict[str, Json] = {}
    for version, files in _FILES.items():
        file = next((folder / name for name in files if (folder / name).is_file()), None)
        if file is not None:
            made[version] = json.loads(file.read_bytes())
        elif version in versions:
            made[version] = _swagger2(given, returned) if version == "2.0" else _openapi(
                version, given, returned
            )  # fmt: skip
    return Documents(made)


def _info() -> Json:
    name = os.environ.get("SERVICE_NAME") or "ML service"
    return {
        "title": name,
        "description": f"API specification for the Azure Machine Learning service {name}",
        "version": os.environ.get("SERVICE_VERSION") or "1.0",
    }


def _prefix() -> str:
    path = (os.environ.get("SERVICE_PATH_PREFIX") or "").strip("/")
    return f"/{path}" if path else ""


_ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
_FAILED = "The service failed to execute due to an error."
_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "For example: Bearer abc123",
}
_HEALTH = ("ServiceHealthCheck", "Whether the service is up")
_SCORE = ("RunMLService", "Ask the model for its answer")
_SPEC = ("GetSwaggerSpec", "This document")


def _swagger2(given: Json, returned: Json) -> Json:
    def answers(schema: Json) -> Json:
        failed = {"description": _FAILED, "schema": {"$ref": "#/definitions/ErrorResponse"}}
        return {"200": {"description": "The answer", "schema": schema}, "default": failed}

    def operation(told: tuple[str, str], schema: Json, **more: Any) -> Json:
        return {
            "operationId": told[0],
            "description": told[1],
            **more,
            "responses": answers(schema),
        }

    text = {"type": "string"}
    body = {
        "name": "serviceInputPayload",
        "in": "body",
        "description": "The input",
        "schema": {"$ref": "#/definitions/ServiceInput"},
    }
    prefix = _prefix()
    score = operation(_SCORE, {"$ref": "#/definitions/ServiceOutput"}, parameters=[body],
                      security=[{"Bearer": []}])  # fmt: skip
    return {
        "swagger": "2.0",
        "info": _info(),
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": _BEARER},
        "paths": {
            f"{prefix}/": {"get": operation(_HEALTH, text)},
            f"{prefix}/score": {"post": score},
            f"{prefix}/swagger.json": {"get": operation(_SPEC, text)},
        },
        "definitions": {"ServiceInput": given, "ServiceOutput": returned, "ErrorResponse": _ERROR},
    }


def _openapi(version: str, given: Json, returned: Json) -> Json:
    def content(kind: str, schema: Json) -> Json:
        return {"content": {kind: {"schema": schema}}}

    def refers(name: str) -> Json:
        return content("application/json", {"$ref": f"#/components/schemas/{name}"})

    def operation(told: tuple[str, str], answer: Json, **more: Any) -> Json:
        failed = {"description": _FAILED, **refers("ErrorResponse")}
        responses = {"200": {"description": "The answer", **answer}, "default": failed}
        return {"operationId": told[0], "description": told[1], **more, "responses": responses}

    text = content("text/plain", {"type": "string"})
    prefix = _prefix()
    score = operation(_SCORE, refers("ServiceOutput"), requestBody=refers("ServiceInput"),
                      security=[{"Bearer": []}])  # fmt: skip
    return {
        "openapi": "3.1.0" if version == "3.1" else "3.0.3",
        "info": _info(),
        "security": [{"Bearer": []}],
        "paths": {
            f"{prefix}/": {"get": operation(_HEALTH, text)},
            f"{prefix}/score": {"post": score},
            f"{prefix}/swagger.json": {"get": operation(_SPEC, text)},
        },
        "components": {
            "schemas": {"ServiceInput": given, "ServiceOutput": returned, "ErrorResponse": _ERROR},
            "securitySchemes": {"Bearer": _BEARER},
        },
    }
