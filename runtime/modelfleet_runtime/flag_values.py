"""What the value of each flag may be, in one sentence where it may not: what it is, what to write.

The bounds are those of the document and of the environment's variables. They are looked at before
anything else is done, and all end with the same reason, DocumentInvalid.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta

from annotated_types import Ge, Le
from pydantic import BaseModel

from modelfleet_contract import (
    DIGEST_PATTERN,
    VALUE_NAME_PATTERN,
    FailureReason,
    Reduce,
    ServeDocument,
    format_duration,
    parse_byte_size,
    parse_duration,
)
from modelfleet_runtime.errors import CannotServe

LONGEST_TIMEOUT = timedelta(hours=1)
"""The resource's own bound."""


def refused(flag: str, value: str, wanted: str) -> CannotServe:
    shown = value if re.fullmatch(r"[\w.+-]{1,40}", value) else repr(value[:40])
    return CannotServe(FailureReason.DOCUMENT_INVALID, f"{flag} is {shown}; write {wanted}")


def number(flag: str, least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text[:20]) <= most:
            raise refused(flag, text, f"{least} to {most}")
        return int(text)

    return read


def number_of(flag: str, model: type[BaseModel], field: str) -> Callable[[str], int]:
    """A number within the bounds of the document's field."""
    return number(flag, *bounds(model, field))


def bounds(model: type[BaseModel], field: str) -> tuple[int, int]:
    told = model.model_fields[field].metadata
    (least,) = (rule.ge for rule in told if isinstance(rule, Ge))
    (most,) = (rule.le for rule in told if isinstance(rule, Le))
    assert isinstance(least, int)
    assert isinstance(most, int)
    return least, most


def port_or_off(flag: str) -> Callable[[str], tuple[int | None]]:
    """In a tuple, because None is one of the ports: none."""

    def read(text: str) -> tuple[int | None]:
        if text == "off":
            return (None,)
        try:
            return (number(flag, 0, 65535)(text),)
        except CannotServe as error:
            raise refused(flag, text, "0 to 65535, or off") from error

    return read


def choice(flag: str, allowed: Iterable[str]) -> Callable[[str], str]:
    known = tuple(allowed)

    def read(text: str) -> str:
        if text not in known:
            raise refused(flag, text, "one of " + ", ".join(known))
        return text

    return read


def duration(flag: str) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        try:
            return parse_duration(text)
        except ValueError as error:
            raise refused(flag, text, _instead(error)) from error

    return read


def timeout(flag: str) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        length = duration(flag)(text)
        if not timedelta(0) < length <= LONGEST_TIMEOUT:
            raise refused(flag, text, "more than 0s and up to 1h, like 30s")
        return length

    return read


def byte_size(flag: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            size = parse_byte_size(text)
        except ValueError as error:
            raise refused(flag, text, _instead(error)) from error
        if size == 0:
            raise refused(flag, text, "more than 0 bytes, like 64Mi")
        return size

    return read


def sizes(flag: str, least: int, most: int) -> Callable[[str], list[int]]:
    def read(text: str) -> list[int]:
        try:
            found = [number(flag, least, most)(size.strip()) for size in text.split(",")]
        except CannotServe as error:
            wanted = f"numbers of rows from {least} to {most}, like 8,16"
            raise refused(flag, text, wanted) from error
        if len(found) > 16:
            raise refused(flag, text, "16 numbers at most")
        return found

    return read


def padding(flag: str) -> Callable[[str], dict[str, object]]:
    def read(text: str) -> dict[str, object]:
        name, equals, value = text.partition("=")
        try:
            added = int(value) if equals else 0
        except ValueError as error:
            raise refused(flag, text, "INPUT, or INPUT=VALUE with a whole number") from error
        if not 0 < len(name) <= 253:
            raise refused(flag, text, "an input's name before the =")
        return {"input": name, "value": added}

    return read


def value(flag: str) -> Callable[[str], dict[str, object]]:
    def read(text: str) -> dict[str, object]:
        name, equals, output = text.partition("=")
        reduce, colon, rest = output.partition(":")
        known = [str(one) for one in Reduce]
        if colon and reduce in known:  # an output's own name may have a colon
            output = rest
        else:
            reduce = str(Reduce.MEAN)
        if not equals or not 0 < len(output) <= 253:
            raise refused(flag, text, f"NAME=OUTPUT or NAME=REDUCE:OUTPUT, {'|'.join(known)}")
        return {"name": value_name(flag)(name), "output": output, "reduce": reduce}

    return read


def value_name(flag: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if len(text) > 63 or not re.fullmatch(VALUE_NAME_PATTERN, text):
            raise refused(
                flag, text, "a name of letters, digits, _ and -, not beginning with a digit or -"
            )
        return text

    return read


def digest(flag: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(DIGEST_PATTERN, text):
            raise refused(flag, text, "sha256: and 64 hexadecimal digits in lower case")
        return text

    return read


def label(flag: str, longest: int) -> Callable[[str], str]:
    """Part of an address."""

    def read(text: str) -> str:
        if not 0 < len(text) <= longest or "/" in text:
            raise refused(
                flag, text, f"1 to {longest} characters without a slash; it is part of addresses"
            )
        return text

    return read


def check_preferred(sizes: list[int], most: int) -> None:
    for size in sizes:
        if size > most:
            raise refused(
                "--preferred-sizes", str(size), f"no more than --max-batch-size, which is {most}"
            )


def check_together(document: ServeDocument) -> None:
    """What each flag may be and all of them may not: the resource's rules, by the flags' names."""
    batching, longest = document.batching, document.timeout
    for flag, length in (
        ("--queue-timeout", batching.queue_timeout),
        ("--max-delay", batching.max_delay or None),
    ):
        if length is not None and length >= longest:
            raise refused(
                flag,
                format_duration(length),
                f"less than --timeout, which is {format_duration(longest)}",
            )
    if batching.queue_timeout == timedelta(0):
        raise refused("--queue-timeout", "0s", "more than 0s: no request could wait at all")
    if batching.max_size == 1 and (batching.max_delay or batching.padding):
        flag = "--max-delay" if batching.max_delay else "--pad"
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"{flag} has no effect while --max-batch-size is 1 (no batching); "
            "write more rows, or leave it out",
        )
    inputs = [pad.input for pad in batching.padding]
    for name in inputs:
        if inputs.count(name) > 1:
            raise refused("--pad", name, "each input once")


def _instead(error: ValueError) -> str:
    """What the contract says to write, without its own "... is not a duration"."""
    return str(error).rpartition("; write ")[2]
