"""`/score`, `/swagger.json` and `/`, and the ids that requests and answers carry."""

import os
import uuid
from dataclasses import replace

import orjson

from modelfleet_runtime.errors import MethodNotAllowed, Refusal
from modelfleet_runtime.protocols import raw
from modelfleet_runtime.protocols.message import (
    JSON_HEADERS,
    Answer,
    Headers,
    Incoming,
    Question,
)
from modelfleet_runtime.protocols.raw import Dialect
from modelfleet_runtime.signature import Tensors

SCORE = "/score"
SWAGGER = "/swagger.json"
HEALTH = "/"
LONGEST_ID = 100
"""Characters."""
_ID, _OURS, _CLIENTS = b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id"
_METHOD = "The method is not allowed for the requested URL."


class HeaderTooLong(Refusal):
    status = 431


def dialect() -> Dialect:
    return Dialect(
        {SCORE: ("GET", "POST", "OPTIONS"), SWAGGER: ("GET", "HEAD")}, {HEALTH: health}, refuse, ask
    )


def ask(request: Incoming) -> Question:
    """Raises `HeaderTooLong`."""
    headers = ids(request.headers)
    question = raw.ask(request)

    def finish(outputs: Tensors) -> Answer:
        answer = question.finish(outputs)
        mine = {name for name, _ in headers}
        kept = [(name, value) for name, value in answer.headers if name not in mine]
        return replace(answer, headers=[*kept, *headers])

    return replace(question, finish=finish)


def health(ready: bool, given: dict[bytes, bytes]) -> Answer:
    try:
        headers = ids(given)
    except HeaderTooLong as refusal:
        return refuse(refusal)
    text = b"Healthy" if ready else b"the model is not ready"
    kind = (b"content-type", b"text/html; charset=utf-8")
    return Answer(200 if ready else 503, [kind, *headers], text)


def ids(headers: dict[bytes, bytes]) -> Headers:
    """What the answer carries. `x-ms-request-id` was once the client's id, and stands for it where
    `x-ms-client-request-id` is missing.

    Raises `HeaderTooLong`.
    """
    own = headers.get(_ID) or str(uuid.uuid4()).encode()
    if len(own) > LONGEST_ID:
        raise HeaderTooLong(f"x-request-id must not exceed {LONGEST_ID} characters")
    older, client = headers.get(_OURS, b""), headers.get(_CLIENTS, b"")
    client, older = client or older, older or client or own
    if len(client) > LONGEST_ID or len(older) > LONGEST_ID:
        raise HeaderTooLong(
            f"x-ms-request-id and x-ms-client-request-id must not exceed {LONGEST_ID} characters"
        )
    told = [(_ID, own), (_OURS, older), (_CLIENTS, client)]
    version = os.environ.get("HTTP_X_MS_SERVER_VERSION", "").encode()
    told += [(b"x-ms-server-version", version), (b"traceid", headers.get(b"traceid", b""))]
    return [(name, value) for name, value in told if value]


def refuse(refusal: Refusal) -> Answer:
    told = _METHOD if isinstance(refusal, MethodNotAllowed) else refusal.message
    failed = (b"x-ms-run-function-failed", b"False")
    body = orjson.dumps({"message": told})
    return Answer(refusal.status, [*JSON_HEADERS, failed], body)
