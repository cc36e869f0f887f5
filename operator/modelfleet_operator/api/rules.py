"""How a rule of the resource is written down: what the API server checks, and what it says instead.

A rule is a CEL expression and a sentence that tells what to write. It stands on the type or field
of which it speaks (`spec.py`, `pod.py`), in the JSON schema that pydantic makes of it, and reaches
the CRD from there. Shapes (patterns) become rules too, because the API server's own words for a
string that does not match are a regular expression.
"""

from typing import Any, Final

from modelfleet_contract import DIGEST_PATTERN, URI_PATTERN, VALUE_NAME_PATTERN
from modelfleet_contract.bytesize import BYTE_SIZE_PATTERN
from modelfleet_contract.duration import DURATION_PATTERN

Schema = dict[str, Any]

RULES: Final = "x-kubernetes-validations"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"
FREE_FORM: Final = "x-kubernetes-preserve-unknown-fields"
MAP_TYPE: Final = "x-kubernetes-map-type"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"

DNS_NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$"
ENV_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_.-]*$"
RESOURCE_NAME_PATTERN: Final = r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$"
NODE_LABEL_PATTERN: Final = r"^([a-z0-9.-]+/)?[A-Za-z0-9._-]+$"
LABEL_VALUE_PATTERN: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

SHAPES: Final = {
    URI_PATTERN: "write file:///path, pvc://claim/path, http://host/path or https://host/path, "
    "without spaces, ? or #.",
    DIGEST_PATTERN: "write sha256: and the 64 hexadecimal digits (0-9, a-f) that sha256sum prints.",
    DURATION_PATTERN: "write a duration in whole numbers and units, like 250ms, 30s, 2m or 1h30m.",
    BYTE_SIZE_PATTERN: "write a number of bytes like 64Mi, 1Gi or 500M.",
    DNS_NAME_PATTERN: "write the name of an object: lower-case letters, digits, - and ., "
    "with a letter or digit at both ends.",
    QUANTITY_PATTERN: "write an amount like 500m, 2, 1.5 or 1Gi.",
    ENV_NAME_PATTERN: "write letters, digits, _, - and ., not beginning with a digit.",
    VALUE_NAME_PATTERN: "write letters, digits, _ and -, not beginning with a digit or -.",
    RESOURCE_NAME_PATTERN: "write the full name of an extended resource, like nvidia.com/gpu.",
    NODE_LABEL_PATTERN: "write the key of a node label, like nvidia.com/gpu.product.",
    LABEL_VALUE_PATTERN: "write a label's value: letters, digits, -, _ and ., "
    "with a letter or digit at both ends.",
}
"""What the API server says of a string that has not the shape. Every pattern needs a sentence."""


BRIEF: Final[Schema] = {"x-brief": True}
"""What is below this field is described elsewhere: the CRD has a limit of size."""


def rule(expression: str, message: str, field: str | None = None) -> Schema:
    """One rule. `field` (such as `.replicas`) is what the message is shown beside."""
    made = {"rule": expression, "message": message}
    return made | {"fieldPath": field} if field else made


def rules(*each: Schema) -> Schema:
    """For `json_schema_extra`."""
    return {RULES: list(each)}


def shaped(pattern: str) -> Schema:
    """The rule that a string has the shape `pattern`."""
    return rule(f"self.matches({quoted(pattern)})", SHAPES[pattern])


def quoted(text: str) -> str:
    """`text` as a CEL string. Raw, so that a pattern reads there as it reads here."""
    if "'" in text:
        raise ValueError(f"{text!r} holds a quote; write the CEL string by hand")
    return f"r'{text}'"


def is_duration(field: str) -> str:
    """True in CEL for a text with the shape of a duration: of any other, only that is said."""
    return f"{field}.matches({quoted(DURATION_PATTERN)})"


def is_countable(field: str) -> str:
    """True in CEL for a duration that `duration()` can hold; it fails beyond some 290 years, and
    the API server would answer with the failure instead of our sentence."""
    return f"{field}.matches(r'^([0-9]{{1,5}}h|[0-9]{{1,7}}m|[0-9]{{1,9}}(s|ms|us))+$')"


def bounded_duration(at_least: str, at_most: str, message: str) -> Schema:
    """The rule that a text is a duration, and lies between two others (both may be reached). It
    stands for the rule of its shape as well: the CRD has a limit of size."""
    return rule(
        f"{is_countable('self')} && "
        f"duration(self) >= duration('{at_least}') && duration(self) <= duration('{at_most}')",
        message if "whole" in message else message.removesuffix(".") + ", in whole numbers.",
    )


def bounds(one: Schema) -> bool:
    """Whether a rule is one of `bounded_duration`."""
    made: str = one["rule"]
    return made.startswith(f"{is_countable('self')} && ")


def map_by(*keys: str) -> Schema:
    """A list whose entries are known by `keys`: two writers can own an entry each."""
    return {LIST_TYPE: "map", LIST_KEYS: list(keys)}


SET: Final[Schema] = {LIST_TYPE: "set"}
"""A list that holds each value once."""

ATOMIC: Final[Schema] = {LIST_TYPE: "atomic"}
"""A list that is replaced as a whole."""
