"""A number of bytes as Kubernetes users write it: `64Mi`, `1Gi`, `500M`, `1024`."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

BYTE_SIZE_PATTERN = r"^[0-9]+(Ki|Mi|Gi|Ti|k|M|G|T)?$"
_UNITS = {
    "": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
}  # fmt: skip
_PARTS = re.compile(r"([0-9]+)([A-Za-z]*)")


def parse_byte_size(text: str) -> int:
    """The bytes that `text` names.

    Raises `ValueError` with what to write instead.
    """
    if len(text) > 16 or not re.fullmatch(BYTE_SIZE_PATTERN, text):
        raise ValueError(f"{text[:40]!r} is not a size; write one like 64Mi, 1Gi or 500M")
    found = _PARTS.fullmatch(text)
    assert found is not None
    return int(found[1]) * _UNITS[found[2]]


def format_byte_size(size: int) -> str:
    """`size` with the largest unit that loses nothing; `parse_byte_size` gives it back."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def _read(value: Any) -> int:
    if isinstance(value, str):
        return parse_byte_size(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{value!r} is not a size; write one like 64Mi, 1Gi or 500M")


ByteSize = Annotated[
    int,
    BeforeValidator(_read),
    PlainSerializer(format_byte_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": BYTE_SIZE_PATTERN, "maxLength": 16}),
]
"""An `int` of bytes in Python, a string such as `64Mi` in JSON."""
