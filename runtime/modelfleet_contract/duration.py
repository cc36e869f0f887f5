"""A length of time as Kubernetes users write it: `250ms`, `30s`, `2m`, `1h30m`, `0s`.

The grammar is Go's `time.ParseDuration` without signs, fractions and the units below a
microsecond, so that whatever is accepted here means the same to every Go program that reads it.
"""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DURATION_PATTERN = r"^([0-9]+(h|m|s|ms|us))+$"
_UNITS_US = {"h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}
_PART = re.compile(r"([0-9]+)(ms|us|h|m|s)")
# Longer is a mistake (a year in front of a unit), and bounds what the arithmetic must hold.
_LONGEST = timedelta(days=365)


def parse_duration(text: str) -> timedelta:
    """The length that `text` names.

    Raises `ValueError` with what to write instead when `text` is not a duration.
    """
    if len(text) > 32 or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text[:40]!r} is not a duration; write one like 250ms, 30s, 2m or 1h30m")
    microseconds = sum(int(n) * _UNITS_US[unit] for n, unit in _PART.findall(text))
    if microseconds > _LONGEST / timedelta(microseconds=1):
        raise ValueError(f"{text!r} is longer than a year; write a shorter duration")
    return timedelta(microseconds=microseconds)


def format_duration(length: timedelta) -> str:
    """`length` in the fewest units that lose nothing; `parse_duration` gives it back."""
    left = length // timedelta(microseconds=1)
    if left < 0:
        raise ValueError(f"a duration is never negative, this one is {length}")
    parts = []
    for unit, size in _UNITS_US.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _read(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is not a duration; write one like 250ms, 30s, 2m or 1h30m")


Duration = Annotated[
    timedelta,
    BeforeValidator(_read),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "maxLength": 32}),
]
"""A `timedelta` in Python, a string such as `30s` in JSON."""
