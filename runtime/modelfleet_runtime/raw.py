"""A request as it came, and the answer as somebody's own code gives it: bytes, under headers.

Packages of other servers answer requests, not tensors. Their requests go through the same queue and
the same processes as tensors do, as two of them: a head in JSON, and the body.
"""

from dataclasses import dataclass

import numpy as np
import orjson

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.signature import Array, Tensors

_HEAD = "request or answer"
"""The name of the head's tensor; with a space, which no input that a model declares has."""
_BODY = "body"


@dataclass(frozen=True, slots=True)
class RawRequest:
    method: str
    path: str
    """Decoded, without a query."""
    query: str
    """As it came, without the question mark."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


@dataclass(frozen=True, slots=True)
class RawAnswer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def request_tensors(request: RawRequest) -> Tensors:
    head = [request.method, request.path, request.query, request.headers]
    return _tensors(head, request.body)


def request_of(tensors: Tensors) -> RawRequest:
    """Raises `BadInput` for tensors of a protocol that carries tensors."""
    if tensors.keys() != {_HEAD, _BODY}:
        raise BadInput("this model's package answers requests of its own protocol, not tensors")
    method, path, query, headers = orjson.loads(tensors[_HEAD].item())
    return RawRequest(method, path, query, headers, tensors[_BODY].tobytes())


def answer_tensors(answer: RawAnswer) -> Tensors:
    return _tensors([answer.status, answer.headers], answer.body)


def answer_of(tensors: Tensors) -> RawAnswer:
    status, headers = orjson.loads(tensors[_HEAD].item())
    pairs = tuple((name, value) for name, value in headers)
    return RawAnswer(status, pairs, tensors[_BODY].tobytes())


def _tensors(head: object, body: bytes) -> Tensors:
    told: Array = np.empty(1, dtype=object)
    told[0] = orjson.dumps(head)
    return {_HEAD: told, _BODY: np.frombuffer(body, np.uint8)}
