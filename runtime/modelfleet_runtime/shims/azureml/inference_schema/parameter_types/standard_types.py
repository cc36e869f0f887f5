"""Schemas of Python's own values."""

import base64
from datetime import UTC, date, datetime, time
from typing import Any

from .abstract_parameter_type import AbstractParameterType

DATE = "%Y-%m-%d"
DATETIME = "%Y-%m-%d %H:%M:%S.%f %z"
TIME = "%H:%M:%S.%f %z"


def schema_of(sample: Any) -> dict[str, Any]:
    """With an "example"."""
    if isinstance(sample, AbstractParameterType):
        return sample.input_to_swagger()
    match sample:
        case bool():
            return {"type": "boolean", "example": sample}
        case int():
            return {"type": "integer", "format": "int64", "example": sample}
        case float():
            return {"type": "number", "format": "double", "example": sample}
        case str():
            return {"type": "string", "example": sample}
        case bytes() | bytearray():
            text = base64.b64encode(sample).decode()
            return {"type": "string", "format": "byte", "example": text}
        case datetime():
            return _text("date-time", _in_a_zone(sample).strftime(DATETIME))
        case date():
            return _text("date", sample.strftime(DATE))
        case time():
            return _text("time", _in_a_zone(sample).strftime(TIME))
        case list() | tuple() | range():
            return list_schema(list(sample))
        case dict():
            return dict_schema(sample)
    return {"type": "object", "example": sample}


def list_schema(items: list[Any]) -> dict[str, Any]:
    """The last item's schema stands for all."""
    schema: dict[str, Any] = {"type": "object"}
    examples = []
    for item in items:
        schema = schema_of(item)
        examples.append(schema.pop("example"))
    return {"type": "array", "items": schema, "example": examples}


def dict_schema(items: dict[str, Any]) -> dict[str, Any]:
    properties, examples = {}, {}
    for key, item in items.items():
        properties[key] = schema_of(item)
        examples[key] = properties[key].pop("example")
    return {
        "type": "object",
        "required": list(items),
        "properties": properties,
        "example": examples,
    }


def _text(kind: str, example: str) -> dict[str, Any]:
    return {"type": "string", "format": kind, "example": example}


def _in_a_zone(moment: Any) -> Any:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
