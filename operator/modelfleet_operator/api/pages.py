"""The pages of `docs/` that are made from the types: the resource's fields, and the reasons."""

import json
from collections.abc import Iterator
from typing import Final

from modelfleet_contract import FailureReason
from modelfleet_operator.api import labels
from modelfleet_operator.api.pod import AS_IN_A_POD
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.rules import INT_OR_STRING, LIST_KEYS, LIST_TYPE, RULES, Schema
from modelfleet_operator.api.sentences import sentences

_NOTE: Final = "<!-- Made by `python -m modelfleet_operator.api.crd`. Change the types there. -->\n"

_RESOURCE: Final = f"""{_NOTE}
# The ModelDeployment

`{labels.API_VERSION}`, kind `{labels.KIND}`, short name `{labels.SHORT_NAME}`. Another project has
a kind of the same name: where both are installed, write `{labels.PLURAL}.{labels.GROUP}`.

```yaml
apiVersion: {labels.API_VERSION}
kind: {labels.KIND}
metadata: {{name: digits}}
spec:
  model: {{uri: "pvc://models/digits", version: "3"}}
```

- **A field left out** has the default shown here. The API server writes defaults into the object,
  except for empty lists and maps, which stay absent.
- **An unknown field** is refused by `kubectl apply` (it asks for strict validation); a client that
  does not ask for it has the field dropped.
- **A rule** that is broken refuses the whole object, and the message says what to write instead.
  The API server holds the rules by itself: no webhook, and nothing stands in the way of deletion.
- **`kubectl scale`** writes `spec.replicas`. To hand the number to an autoscaler of your own, give
  `replicas` once, leave `autoscaling` out, and point it at the `/scale` subresource.
- **Durations** are whole numbers with units (`250ms`, `30s`, `1h30m`).
- **Amounts** may be written as whole numbers (`cpu: 2`); a fraction needs quotes (`cpu: "0.5"`) or
  a unit (`cpu: 500m`).
"""

_REASONS: Final = f"""{_NOTE}
# Reasons

Every condition of a ModelDeployment, and every event about one, carries one of these. They are for
people and their alerts: the operator never decides by a reason. New ones may be added at any time,
so treat one that you do not know as the condition's status says.

| reason | what it says |
|---|---|
"""

_RUNTIME_REASONS: Final = """
## From the runtime

Why a pod does not serve, as the runtime in it says (`kubectl describe pod` shows the same in the
container's last state):

| reason | what it says |
|---|---|
"""


def resource_page(schema: Schema) -> str:
    """The reference of every field, an object a section."""
    parts = [_RESOURCE]
    top = [one["message"] for one in schema[RULES]]
    parts.append("\n## metadata\n\n" + "".join(f"- {one}\n" for one in top))
    for name in ("spec", "status"):
        parts += _sections(name, schema["properties"][name])
    return "".join(parts)


def reasons_page() -> str:
    """The table of every reason."""
    told = sentences(Reason)
    runtime = {reason.value for reason in FailureReason}
    own = [f"| `{r}` | {_escaped(text)} |\n" for r, text in told.items() if r not in runtime]
    theirs = [f"| `{r}` | {_escaped(text)} |\n" for r, text in told.items() if r in runtime]
    return _REASONS + "".join(own) + _RUNTIME_REASONS + "".join(theirs)


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """One section for the object at `path`, and one for each object below it."""
    lines = [f"\n## {path}\n\n", _escaped(schema.get("description", "")), "\n\n"]
    lines.append("| field | type | default | meaning |\n|---|---|---|---|\n")
    required = schema.get("required", [])
    deeper = []
    for name, field in schema["properties"].items():
        default = "**required**" if name in required else _default(field)
        lines.append(f"| `{name}` | {_type(field)} | {default} | {_meaning(field)} |\n")
        below = field.get("items", field)
        # What is as in a pod has no words of its own here, and Kubernetes' reference has many.
        if "properties" in below and below.get("description") != AS_IN_A_POD:
            deeper.append((f"{path}.{name}{'[]' if 'items' in field else ''}", below))
    lines += [f"\n- {one}" for one in _messages(schema, path)]
    yield "".join(lines).rstrip("\n") + "\n"
    for where, below in deeper:
        yield from _sections(where, below)


def _messages(schema: Schema, path: str) -> Iterator[str]:
    """What the rules of an object and of its fields say, with the field that they speak of."""
    for one in schema.get(RULES, []):
        yield f"`{path}{one.get('fieldPath', '')}`: {one['message']}"
    for name, field in schema["properties"].items():
        if "properties" not in field:
            for one in field.get(RULES, []):
                yield f"`{path}.{name}`: {one['message']}"
        inner = field.get("additionalProperties") or field.get("items") or {}
        if "properties" not in inner or inner.get("description") == AS_IN_A_POD:
            for one in inner.get(RULES, []):
                yield f"each value of `{path}.{name}`: {one['message']}"


def _type(field: Schema) -> str:
    if field.get(INT_OR_STRING):
        return "amount"
    match field.get("type"):
        case "array":
            keys = ", ".join(f"`{key}`" for key in field.get(LIST_KEYS, []))
            kind = f"list by {keys}" if keys else field.get(LIST_TYPE, "list")
            kind = {"atomic": "list", "set": "list without repetition"}.get(kind, kind)
            return f"{kind} of {_type(field['items'])}{_bound(field, 'maxItems', 'entries')}"
        case "object" if isinstance(field.get("additionalProperties"), dict):
            inner = _type(field["additionalProperties"])
            return f"map to {inner}{_bound(field, 'maxProperties', 'entries')}"
        case "integer" if "minimum" in field:
            return f"integer, {field['minimum']} to {field['maximum']}"
        case "string" if "enum" in field:
            return " or ".join(f"`{value}`" for value in field["enum"])
        case "string":
            return f"string{_bound(field, 'maxLength', 'characters')}"
        case str(kind):
            return kind
    raise ValueError(f"no name for {field}")


def _bound(field: Schema, key: str, what: str) -> str:
    return f", at most {field[key]} {what}" if key in field else ""


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or isinstance(value, dict):  # an object's is that of its fields
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _meaning(field: Schema) -> str:
    return _escaped(field.get("description", ""))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
