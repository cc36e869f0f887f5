"""Protocols whose requests go to a package's own functions as they came.

Each says its routes (`Dialect`); what the functions answer is sent as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelfleet_runtime import raw
from modelfleet_runtime.protocols.message import Answer, Endpoint, Incoming, Question, Refuse
from modelfleet_runtime.raw import RawRequest
from modelfleet_runtime.signature import Tensors

Page = Callable[[bool, dict[bytes, bytes]], Answer]
"""An answer of the server itself: whether it is ready, and the request's headers."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The routes of one package's own server."""

    asked: Mapping[str, tuple[str, ...]]
    """Each route that the functions answer, with its methods."""
    pages: Mapping[str, Page]
    """Routes that the server answers without them; GET and HEAD."""
    refuse: Refuse
    endpoint: Endpoint
    inflates: bool = False
    """Whether that server undoes a body's Content-Encoding; else the functions see it as it is."""


def ask(request: Incoming) -> Question:
    """The request, as the functions' question."""
    headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in request.headers.items()}
    asked = RawRequest(request.method, request.path, request.query, headers, request.body)
    return Question(raw.request_tensors(asked), finish)


def finish(outputs: Tensors) -> Answer:
    answer = raw.answer_of(outputs)
    headers = [
        (name.lower().encode("latin-1", "replace"), _one_line(value).encode("latin-1", "replace"))
        for name, value in answer.headers
    ]
    return Answer(answer.status, headers, answer.body)


def _one_line(value: str) -> str:
    """A line break in a header would let a function's value begin another header."""
    return " ".join(value.splitlines())
