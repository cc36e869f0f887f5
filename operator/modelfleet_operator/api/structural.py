"""How does a pydantic model become a schema that Kubernetes takes?

Kubernetes' structural schemas are a narrow dialect: no references, no unions (so an optional field
is one that may be absent, never null), no titles. On top of that a default of a nested object has
to be spelled on each of its parents, in full (an empty object would be filled in as well, but the
rules see it before that); and an empty list as a default would only be noise in everyone's objects:
absent means empty to pydantic as well.

Whatever this file does not know is an error here and not a surprise in the API server.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from modelfleet_contract import format_byte_size, format_duration
from modelfleet_contract.bytesize import BYTE_SIZE_PATTERN
from modelfleet_operator.api.rules import BRIEF, FREE_FORM, RULES, Schema, bounds, shaped
from modelfleet_operator.api.sentences import sentences

# In the order in which they are written; what is on neither list is refused.
_KEPT = [
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "x-kubernetes-validations",
]
_VALUES = "x-values"  # ours: what each value of an enumeration means
_BRIEF = next(iter(BRIEF))
_HANDLED = {"$ref", "$defs", "anyOf", "title", "pattern", _VALUES, _BRIEF}
_RULE = ("rule", "message", "fieldPath")  # pydantic sorts them by the alphabet

_INT32 = 2**31 - 1


class _Generate(GenerateJsonSchema):
    """pydantic's own, with durations in our words and the values of enums explained."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        return super().encode_default(dft)

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        made = super().enum_schema(schema)
        kind = schema["cls"]
        if issubclass(kind, StrEnum):
            made[_VALUES] = "; ".join(
                f"{value}: {text.rstrip('.')}" for value, text in sentences(kind).items()
            )
        return made


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The structural schema of `model`; without `defaults`, the API server fills in none.

    Raises `ValueError` for what Kubernetes cannot say.
    """
    made = model.model_json_schema(schema_generator=_Generate)
    schema = _converted(made, made.get("$defs", {}), model.__name__)
    return schema if defaults else _without(schema, "default")


def _without(schema: Schema, word: str, *, below: bool = False) -> Schema:
    """`below`: only what is inside it."""
    return {
        key: {name: _without(one, word) for name, one in value.items()}
        if key == "properties"
        else _without(value, word)
        if key in ("items", "additionalProperties")
        else value
        for key, value in schema.items()
        if below or key != word
    }


def _converted(schema: Schema, kinds: dict[str, Schema], where: str) -> Schema:
    own = {key: value for key, value in schema.items() if key not in _HANDLED}
    if unknown := own.keys() - set(_KEPT):
        raise ValueError(f"{where}: a structural schema has no {', '.join(sorted(unknown))}")
    for inner in _inlined(schema, kinds, where):
        own = _merged(_converted(inner, kinds, where), own)
    if schema.get(_VALUES):
        own["description"] = f"{schema[_VALUES]}."
    if schema.get("pattern") == BYTE_SIZE_PATTERN and isinstance(own.get("default"), int):
        own["default"] = format_byte_size(own["default"])
    if "pattern" in schema and not any(bounds(one) for one in own.get(RULES, [])):
        own[RULES] = [shaped(schema["pattern"]), *own.get(RULES, [])]
    if RULES in own:
        own[RULES] = [{key: one[key] for key in _RULE if key in one} for one in own[RULES]]

    if "description" in own:
        own["description"] = " ".join(own["description"].split())
    if own.get("type") == "integer":
        own.setdefault("format", "int32" if own.get("maximum", _INT32 + 1) <= _INT32 else "int64")
    if "items" in own:
        own["items"] = _converted(own["items"], kinds, f"{where}[]")
    match own.get("additionalProperties"):
        case False:  # the API server prunes, and kubectl refuses, what is not in properties
            del own["additionalProperties"]
        case True:
            del own["additionalProperties"]
            own[FREE_FORM] = True
        case dict() as value:
            own["additionalProperties"] = _converted(value, kinds, f"{where}{{}}")
    if "properties" in own:
        own["properties"] = {
            name: _converted(value, kinds, f"{where}.{name}")
            for name, value in own["properties"].items()
        }
    _default(own)
    made = {key: own[key] for key in _KEPT if key in own}
    return _without(made, "description", below=True) if _BRIEF in schema else made


def _inlined(schema: Schema, kinds: dict[str, Schema], where: str) -> list[Schema]:
    """What stands behind a reference, or beside null."""
    if "$ref" in schema:
        return [kinds[schema["$ref"].removeprefix("#/$defs/")]]
    if "anyOf" in schema:
        some = [one for one in schema["anyOf"] if one != {"type": "null"}]
        if len(some) != 1:
            raise ValueError(f"{where}: a structural schema has no unions")
        return some
    return []


def _merged(kind: Schema, field: Schema) -> Schema:
    """What the field says goes before what its type says; the rules of both hold."""
    made = kind | field
    if described := [one["description"] for one in (field, kind) if one.get("description")]:
        # A type that is only a list of values explains them; the field tells what they are for.
        made["description"] = " ".join(described) if "enum" in kind else described[0]
    if both := [*kind.get(RULES, []), *field.get(RULES, [])]:
        made[RULES] = both
    return made


def _default(schema: Schema) -> None:
    """Leaves a default only where it puts something into the object."""
    if schema.get("default") in (None, [], ()):
        schema.pop("default", None)
    if "properties" in schema:
        filled = {
            name: one["default"] for name, one in schema["properties"].items() if "default" in one
        }
        if schema.pop("default", None) is not None and filled:
            schema["default"] = filled
    elif schema.get("default") == {}:
        del schema["default"]
