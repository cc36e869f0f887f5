"""`/predictions/NAME[/VERSION[/...]]` and `/explanations/NAME[/VERSION]`."""

import re
import time
from dataclasses import dataclass
from functools import partial

from modelfleet_runtime import whole
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import NotFound, Refusal
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.protocols.message import (
    Answer,
    Endpoint,
    Headers,
    Incoming,
    Question,
    Refuse,
)
from modelfleet_runtime.protocols.torchserve import errors
from modelfleet_runtime.protocols.torchserve.bodies import fields_of
from modelfleet_runtime.protocols.torchserve.errors import ModelNotFound, VersionNotFound
from modelfleet_runtime.protocols.torchserve.figures import Figures
from modelfleet_runtime.signature import Tensors

PREFIXES = ("/predictions", "/explanations")
METHODS = ("POST", "PUT", "GET")

_PATH = re.compile(r"/(predictions|explanations)(?:/([^/]*))?(?:/([^/]+))?(?:/(.*))?", re.DOTALL)
_OURS = frozenset(
    {b"connection", b"content-length", b"date", b"keep-alive", b"transfer-encoding", b"upgrade",
     b"x-request-id"}
)  # fmt: skip
"""Headers of an answer that the server writes, whatever a handler sets."""
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Call:
    """What one path asks."""

    endpoint: Endpoint
    refuse: Refuse


class TorchServeRoutes:
    """The endpoints of one model."""

    def __init__(self, name: str, version: str, metrics: Metrics) -> None:
        self._name = name
        self._version = version
        self.figures = Figures(name, metrics)

    def call(self, path: str) -> Call | None:
        """None for a path that is none of these."""
        found = _PATH.fullmatch(path)
        if found is None:
            return None
        verb, name, version, more = found.groups()
        if not name:
            return Call(_nowhere, errors.refuse)
        ask = partial(
            self._predict,
            name,
            version,
            more or None,
            "True" if verb == "explanations" else "False",
        )
        return Call(ask, partial(errors.refuse, name=name, version=version))

    def check(self, served: Served, name: str, version: str | None) -> None:
        """Raises `ModelNotFound` or `VersionNotFound`. The model is known by the name that it is
        served under, and by the archive's own."""
        archive = served.archive
        assert archive is not None
        if name not in (self._name, archive.name):
            raise ModelNotFound(name)
        if version is not None and version not in (self._version, archive.version):
            raise VersionNotFound(name, version)

    def _predict(
        self, name: str, version: str | None, more: str | None, explain: str, request: Incoming
    ) -> Question:
        served = request.served
        if served.archive is None:
            raise NotFound("this model is no archive of TorchServe")
        self.check(served, name, version)
        began = time.monotonic()
        headers = {
            key.decode("latin-1"): value.decode("latin-1") for key, value in request.headers.items()
        }
        fields = fields_of(headers.get("content-type", ""), request.body)
        headers["explain"] = explain
        if more is not None:
            headers["url_path"] = more
        asked = whole.WholeRequest(request.request_id.decode("latin-1"), headers, fields)
        said = version or "default"
        self.figures.asked(said)
        return Question(
            whole.column(whole.REQUEST, [asked.row()]), partial(self._finish, said, began)
        )

    def _finish(self, version: str, began: float, outputs: Tensors) -> Answer:
        (row,) = outputs[whole.ANSWER].tolist()
        answer = whole.answer_of(row)
        self.figures.answered(version, time.monotonic() - began)
        self.figures.note(answer.measures)
        if answer.failure:
            return errors.failed(answer.status, answer.failure)
        body = b"" if answer.status in (204, 304) else answer.body
        return Answer(answer.status, [*_headers(answer), *errors.NO_CACHE], body)


def _headers(answer: whole.WholeAnswer) -> Headers:
    """What the handler set, but for what HTTP could not carry or the server says itself."""
    made: Headers = []
    for name, value in answer.headers:
        key, said = name.lower().encode("utf-8"), value.encode("utf-8")
        if key in _OURS or _NAME.fullmatch(key) is None or re.search(rb"[\r\n\0]", said):
            continue
        made.append((key, said))
    return made


def _nowhere(_: Incoming) -> Question:
    raise NotFound("Requested resource is not found, please refer to API document.")


def refuse(refusal: Refusal) -> Answer:
    return errors.refuse(refusal)
