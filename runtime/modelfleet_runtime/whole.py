"""A whole request as one row, and its whole answer as another: for models that take requests, not
tensors.

Some packages bring code that is given the client's request as it came. To the batcher each is one
row of a BYTES tensor, so it waits, is batched and is parted like any other row.

A row is a length, a head in JSON of that length, and bytes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.signature import Array, DType, Signature, Tensors, TensorSpec

REQUEST, ANSWER = "request", "answer"
SIGNATURE = Signature(
    (TensorSpec(REQUEST, DType.BYTES, (-1,)),), (TensorSpec(ANSWER, DType.BYTES, (-1,)),), True
)

_LENGTH = struct.Struct("<4sI")
_MARK = b"\xf7mf1"


@dataclass(frozen=True, slots=True)
class Field:
    """One part of a request's body."""

    name: str
    content_type: str
    value: bytes


@dataclass(frozen=True, slots=True)
class WholeRequest:
    id: str
    headers: dict[str, str]
    """Names in lower case."""
    fields: tuple[Field, ...]

    def row(self) -> bytes:
        about = [(one.name, one.content_type, len(one.value)) for one in self.fields]
        head = {"id": self.id, "headers": self.headers, "fields": about}
        return _joined(head, [one.value for one in self.fields])


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a metric of the model's own code."""

    name: str
    kind: str
    """counter, gauge or histogram."""
    value: float
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    failure: str = ""
    """Why there is no answer of the model's; the body is empty then."""
    measures: tuple[Measure, ...] = field(default=())

    def row(self) -> bytes:
        head = {
            "status": self.status,
            "headers": self.headers,
            "failure": self.failure,
            "measures": [(one.name, one.kind, one.value, one.labels) for one in self.measures],
        }
        return _joined(head, [self.body])


def request_of(row: bytes) -> WholeRequest:
    """Raises `BadInput` for a row that another protocol has sent."""
    head, start = _head(row)
    fields = []
    for name, content_type, length in head["fields"]:
        fields.append(Field(name, content_type, row[start : start + length]))
        start += length
    return WholeRequest(head["id"], head["headers"], tuple(fields))


def answer_of(row: bytes) -> WholeAnswer:
    head, start = _head(row)
    return WholeAnswer(
        head["status"],
        tuple((name, value) for name, value in head["headers"]),
        row[start:],
        head["failure"],
        tuple(
            Measure(name, kind, value, tuple((key, said) for key, said in labels))
            for name, kind, value, labels in head["measures"]
        ),
    )


def column(name: str, rows: Sequence[bytes]) -> Tensors:
    """Rows below one another, as a tensor of that name."""
    made: Array = np.empty(len(rows), dtype=object)
    made[:] = rows
    return {name: made}


def _joined(head: dict[str, Any], parts: list[bytes]) -> bytes:
    told = orjson.dumps(head)
    return b"".join((_LENGTH.pack(_MARK, len(told)), told, *parts))


def _head(row: bytes) -> tuple[dict[str, Any], int]:
    try:
        mark, length = _LENGTH.unpack_from(row)
        if mark != _MARK:
            raise ValueError
        start = _LENGTH.size + length
        head: dict[str, Any] = orjson.loads(row[_LENGTH.size : start])
    except (struct.error, ValueError) as error:
        raise BadInput(
            "this model's handler takes whole requests, not tensors; POST to /predictions/NAME"
        ) from error
    return head, start
