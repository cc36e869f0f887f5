"""A refusal in the original's shape: `{"code", "type", "message"}`, the type a class of its own."""

import json

from modelfleet_runtime.errors import (
    BadInput,
    BodyTimeout,
    DeadlinePassed,
    EngineCrashed,
    MethodNotAllowed,
    NotFound,
    NotReady,
    OutOfMemory,
    QueueFull,
    Refusal,
    TooLarge,
    UnsupportedEncoding,
)
from modelfleet_runtime.protocols.message import Answer, Headers

NO_CACHE: Headers = [
    (b"pragma", b"no-cache"),
    (b"cache-control", b"no-cache; no-store, must-revalidate, private"),
    (b"expires", b"Thu, 01 Jan 1970 00:00:00 UTC"),
]
JSON: Headers = [(b"content-type", b"application/json"), *NO_CACHE]

_TYPES: tuple[tuple[type[Refusal], str], ...] = (
    (NotFound, "ResourceNotFoundException"),
    (BadInput, "BadRequestException"),
    (MethodNotAllowed, "MethodNotAllowedException"),
    (BodyTimeout, "RequestTimeoutException"),
    (DeadlinePassed, "RequestTimeoutException"),
    (TooLarge, "TooLongFrameException"),
    (UnsupportedEncoding, "BadRequestException"),
    (NotReady, "ServiceUnavailableException"),
    (QueueFull, "ServiceUnavailableException"),
    (OutOfMemory, "ServiceUnavailableException"),
)


class ModelNotFound(NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"Model not found: {name[:200]}")


class VersionNotFound(NotFound):
    def __init__(self, name: str, version: str) -> None:
        super().__init__(f"Model version: {version[:80]} does not exist for model: {name[:200]}")


_OWN = {ModelNotFound: "ModelNotFoundException", VersionNotFound: "ModelVersionNotFoundException"}


def error(code: int, kind: str, message: str) -> Answer:
    return Answer(code, JSON, pretty({"code": code, "type": kind, "message": message}))


def failed(code: int, message: str) -> Answer:
    """What the handler's failure is answered with."""
    return error(code, "InternalServerException", message)


def no_worker(name: str, version: str | None) -> str:
    """What the original says of a queue that is full."""
    # The quote after the version is the original's own slip.
    of = f'Model "{name}"' + (f' Version {version}"' if version is not None else "")
    return (
        f"{of} has no worker to serve inference request. Please use scale workers API to add "
        "workers. If this is a sequence inference, please check if it is closed, or expired; or "
        "exceeds maxSequenceJobQueueSize"
    )


def refuse(refusal: Refusal, name: str = "", version: str | None = None) -> Answer:
    message = refusal.message
    if isinstance(refusal, EngineCrashed):
        message = "Worker died."
    elif isinstance(refusal, QueueFull) and name:
        message = no_worker(name, version)
    kind = _OWN.get(type(refusal))
    if kind is None:
        kind = next((k for of, k in _TYPES if isinstance(refusal, of)), "InternalServerException")
    return error(refusal.status, kind, message)


def pretty(value: object) -> bytes:
    """As the original writes JSON of its own."""
    return json.dumps(value, indent=2).encode() + b"\n"
