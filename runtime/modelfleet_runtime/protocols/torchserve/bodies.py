"""A request's body as the fields that a handler sees."""

from typing import Any
from urllib.parse import parse_qsl

import python_multipart
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.whole import Field

MOST_FIELDS = 1000


def fields_of(content_type: str, body: bytes) -> tuple[Field, ...]:
    """A field for each part of a form; anything else is the one field `body`. Raises `BadInput`."""
    kind, options = parse_options_header(content_type)
    if kind == b"multipart/form-data":
        return _parts(options.get(b"boundary", b""), body)
    if kind == b"application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
            )
        except ValueError as error:
            raise BadInput(
                "the body is no form: it is not UTF-8, or has too many fields"
            ) from error
        if b"=" not in body:
            return ()
        return tuple(Field(name, "", value.encode()) for name, value in pairs)
    return (Field("body", content_type, body),)


def _parts(boundary: bytes, body: bytes) -> tuple[Field, ...]:
    if not boundary:
        raise BadInput("the body's Content-Type is multipart/form-data without a boundary")
    reader = _Reader()
    try:
        parser = python_multipart.MultipartParser(boundary, reader.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise BadInput("the body is no multipart/form-data with its boundary") from error
    if not reader.ended:
        raise BadInput("the multipart body is cut off: its last boundary is missing")
    return tuple(reader.fields)


class _Reader:
    """Gathers parts as the parser finds them."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.ended = False
        self._headers: dict[bytes, bytes] = {}
        self._name = b""
        self._value = b""
        self._data: list[bytes] = []

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_part_data": lambda data, start, end: self._data.append(data[start:end]),
            "on_part_end": self._end,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_end": self._all,
        }

    def _begin(self) -> None:
        if len(self.fields) >= MOST_FIELDS:
            raise BadInput(f"the body has more than {MOST_FIELDS} parts")
        self._headers, self._data, self._name, self._value = {}, [], b"", b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name")
        if name is None:
            raise BadInput("a part of the multipart body has no name in its Content-Disposition")
        # The original reads the type of a part with a file name only.
        named = b"filename" in options
        kind = self._headers.get(b"content-type", b"").decode("latin-1") if named else ""
        self.fields.append(Field(name.decode(errors="replace"), kind, b"".join(self._data)))

    def _all(self) -> None:
        self.ended = True
