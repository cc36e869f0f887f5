"""The hot routes in the OpenAPI document, with examples that fit the model that is served."""

from collections.abc import Sequence
from typing import Any

from modelfleet_contract import (
    FEEDBACK_HEADER,
    FEEDBACK_PATH,
    LARGEST_VALUE,
    LIVE_PATH,
    METRICS_PATH,
    READY_PATH,
)
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.experiment.posted import MOST_POSTS
from modelfleet_runtime.protocols.oip import routes as oip
from modelfleet_runtime.protocols.simple import routes as simple
from modelfleet_runtime.signature import DType, Signature, TensorSpec

_REFUSALS = {
    "400": "Something in the request is wrong; the message says what and where.",
    "404": "There is no such model or version here.",
    "405": "Another method than POST.",
    "408": "The body did not arrive within the request's time.",
    "413": "The body is too large, before or after decompression, or an image in it is.",
    "415": "Another Content-Encoding than gzip and deflate.",
    "500": "The model or the server failed.",
    "503": "The model is not loaded, the queue is full, or memory ran out; see Retry-After.",
    "504": "The request's time is over.",
}
_OF_A_POST = ("200", "400", "404", "405", "408", "413", "415", "431", "503")
_HEAD_TOO_LARGE = {
    "description": "The URL and the headers are too long. The connection is closed.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}
_ANSWERED_ID = {
    "x-request-id": {
        "schema": {"type": "string"},
        "description": "The request's own, or one that was made.",
    }
}
_FEEDBACK_ID = {
    FEEDBACK_HEADER: {
        "schema": {"type": "string"},
        "description": f"The id for {FEEDBACK_PATH}, where something may be posted there.",
    }
}
_ANSWERED = {
    "405": {"Allow": {"schema": {"type": "string"}, "description": "The method to use."}},
    "503": {
        "Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until another try."}
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}
_HEADERS = [
    {
        "name": "x-request-timeout-ms",
        "in": "header",
        "required": False,
        "schema": {"type": "integer", "minimum": 1},
        "description": "Shortens the time that this request may take, from its arrival.",
    },
    {
        "name": "x-request-id",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": 128},
        "description": "Given back with the answer; made where there is none.",
    },
    {
        "name": "traceparent",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "W3C Trace Context: the trace that this request belongs to.",
    },
    {
        "name": "tracestate",
        "in": "header",
        "required": False,
        "schema": {"type": "string"},
        "description": "W3C Trace Context: what goes with the trace.",
    },
    {
        "name": "Content-Encoding",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "enum": ["gzip", "deflate"]},
        "description": "How the body is compressed.",
    },
]


def complete(
    document: dict[str, Any],
    name: str,
    version: str,
    served: Served | None,
    feedback: Sequence[str] = (),
) -> dict[str, Any]:
    """FastAPI's document with the paths that it does not know. `feedback` names what may be posted
    back."""
    signature = served.signature if served else Signature()
    hooked = bool(served and served.preprocess)
    document["paths"] = {
        **_simple(name, version, signature, hooked),
        **_oip(name, version, signature),
        **_feedback(feedback),
        **_probes(),
        **document.get("paths", {}),
    }
    return document


def _simple(name: str, version: str, signature: Signature, hooked: bool) -> dict[str, Any]:
    item: dict[str, Any] = {"description": "What the model's preprocess takes."}
    if not hooked:
        item = _item_schema(signature)
    outputs = {
        "type": "object",
        "properties": {spec.name: _tensor_schema(spec, signature) for spec in signature.outputs},
    }
    # Neither a model's own preprocess nor undeclared inputs say what an item looks like.
    known = bool(signature.inputs) and not hooked
    example = _item_example(signature) if known else None
    one = _operation(
        "One item",
        {"type": "object", "required": ["inputs"], "properties": {"inputs": item}},
        {"inputs": example} if known else None,
        _simple_answer(outputs),
    )
    many = _operation(
        "A list of items",
        {
            "type": "object",
            "required": ["inputs"],
            "properties": {"inputs": {"type": "array", "minItems": 1, "items": item}},
        },
        {"inputs": [example, example]} if known else None,
        _simple_answer({"type": "array", "items": outputs}),
    )
    return {
        simple.PREDICT: {"post": {**one, "tags": ["predict"], "operationId": "predict"}},
        simple.PREDICT_BATCH: {
            "post": {**many, "tags": ["predict"], "operationId": "predict_batch"}
        },
    }


def _simple_answer(outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["model", "version", "outputs"],
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "string"},
            "outputs": outputs,
        },
    }


def _oip(name: str, version: str, signature: Signature) -> dict[str, Any]:
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
            "datatype": {"type": "string", "enum": [*DType]},
            "parameters": {"type": "object"},
            "data": {"type": "array", "items": {}},
        },
    }
    request = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "parameters": {"type": "object"},
            "inputs": {"type": "array", "minItems": 1, "items": tensor},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": {"type": "object"}},
                },
            },
        },
    }
    answer = {
        "type": "object",
        "required": ["model_name", "model_version", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": tensor},
        },
    }
    example = {"inputs": [_oip_example(spec) for spec in signature.inputs]}
    paths = {}
    for path, which in zip(
        oip.OipRoutes(name, version).infer_paths(), ("infer", "infer_version"), strict=True
    ):
        operation = _operation(
            "Inference; tensors in JSON, or in binary after it (Inference-Header-Content-Length)",
            request,
            example if signature.inputs else None,
            answer,
        )
        binary = {"schema": {"type": "string", "format": "binary"}}
        operation["requestBody"]["content"]["application/octet-stream"] = binary
        operation["responses"]["200"]["content"]["application/octet-stream"] = binary
        paths[path] = {
            "post": {**operation, "tags": ["open inference protocol"], "operationId": which}
        }
    return paths


def _feedback(names: Sequence[str]) -> dict[str, Any]:
    post = {
        "type": "object",
        "required": ["id", "values"],
        "additionalProperties": False,
        "properties": {
            "id": {
                "type": "string",
                "description": f"What the answer had in its header {FEEDBACK_HEADER}.",
            },
            "values": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": False,
                "properties": {
                    name: {"type": "number", "minimum": -LARGEST_VALUE, "maximum": LARGEST_VALUE}
                    for name in names
                },
            },
        },
    }
    many = {"type": "array", "maxItems": MOST_POSTS, "items": post}
    answer = {
        "type": "object",
        "required": ["counted", "repeated"],
        "properties": {
            "counted": {"type": "integer", "description": "Numbers that were counted."},
            "repeated": {"type": "integer", "description": "Numbers that came before."},
        },
    }
    example = {"id": "6h2kxw7cvd.4aef16f9fca6-e", "values": dict.fromkeys(names[:1], 1)}
    made = _operation(
        "Post back what became of answers: all of a body is counted, or nothing",
        {"oneOf": [post, many]},
        example if names else None,
        answer,
    )
    responses = {status: made["responses"][status] for status in _OF_A_POST}
    responses["200"] |= {"description": "What was counted", "headers": _ANSWERED_ID}
    responses["404"] |= {"description": "Nothing may be posted for this revision."}
    operation = {**made, "responses": responses, "tags": ["feedback"], "operationId": "feedback"}
    return {FEEDBACK_PATH: {"post": operation}}


def _probes() -> dict[str, Any]:
    def get(summary: str, kind: str, tag: str, *statuses: str) -> dict[str, Any]:
        content = {kind: {"schema": {"type": "string" if kind == "text/plain" else "object"}}}
        responses = {s: {"description": "Yes" if s == "200" else "No"} for s in statuses}
        responses["200"] |= {"content": content}  # type: ignore[dict-item]
        return {"get": {"summary": summary, "tags": [tag], "responses": responses}}

    json = "application/json"
    return {
        LIVE_PATH: get(
            "Whether the process answers, and can still run the model", json, "health", "200", "503"
        ),
        READY_PATH: get(
            "Whether the model is loaded, warmed up and not draining", json, "health", "200", "503"
        ),
        oip.HEALTH_LIVE: get("Live", json, "open inference protocol", "200", "503"),
        oip.HEALTH_READY: get("Ready", json, "open inference protocol", "200", "503"),
        METRICS_PATH: get("Prometheus metrics", "text/plain", "health", "200"),
    }


def _operation(
    summary: str, request: dict[str, Any], example: Any, answer: dict[str, Any]
) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": request}
    if example is not None:
        media["example"] = example
    return {
        "summary": summary,
        "parameters": _HEADERS,
        "requestBody": {"required": True, "content": {"application/json": media}},
        "responses": {
            "200": {
                "description": "The model's answer",
                "headers": _ANSWERED_ID | _FEEDBACK_ID,
                "content": {"application/json": {"schema": answer}},
            },
            **{
                status: {
                    "description": text,
                    "headers": _ANSWERED_ID | _ANSWERED.get(status, {}),
                    "content": {"application/json": {"schema": _ERROR}},
                }
                for status, text in _REFUSALS.items()
            },
            "431": _HEAD_TOO_LARGE,
        },
    }


def _item_schema(signature: Signature) -> dict[str, Any]:
    named = {
        "type": "object",
        "properties": {spec.name: _tensor_schema(spec, signature) for spec in signature.inputs},
        "required": [spec.name for spec in signature.inputs],
    }
    if len(signature.inputs) != 1:
        return named
    return {"oneOf": [_tensor_schema(signature.inputs[0], signature), named]}


def _tensor_schema(spec: TensorSpec, signature: Signature) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    if spec.dtype is not None:
        schema = {"type": _json_type(spec.dtype)}
    for size in reversed(_item_shape(spec, signature)):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema |= {"minItems": size, "maxItems": size}
    return schema


def _json_type(dtype: DType) -> str:
    if dtype is DType.BYTES:
        return "string"
    if dtype is DType.BOOL:
        return "boolean"
    return "number" if dtype.value.startswith("FP") else "integer"


def _item_shape(spec: TensorSpec, signature: Signature) -> tuple[int, ...]:
    shape = spec.shape or ()
    return shape[1:] if signature.batched else shape


def _item_example(signature: Signature) -> Any:
    made = {
        spec.name: _zeros(_item_shape(spec, signature), spec.dtype) for spec in signature.inputs
    }
    return next(iter(made.values())) if len(made) == 1 else made


def _oip_example(spec: TensorSpec) -> dict[str, Any]:
    shape = [1 if size == -1 else size for size in spec.shape or (1,)]
    count = 1
    for size in shape:
        count *= size
    return {
        "name": spec.name,
        "shape": shape,
        "datatype": spec.dtype or DType.FP32,
        "data": _zeros((count,), spec.dtype),
    }


def _zeros(shape: tuple[int, ...], dtype: DType | None) -> Any:
    """Small ones in full; of a large one a part, since a page is for reading."""
    value: Any = 0 if dtype is None else {"string": "", "boolean": False}.get(_json_type(dtype), 0)
    for size in reversed(shape):
        value = [value] * (1 if size == -1 else min(size, 1024))
    return value
