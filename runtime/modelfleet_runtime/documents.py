"""What to serve: the document that the operator wrote, or the one that the flags make."""

import argparse
import hashlib
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from modelfleet_contract import (
    DOCUMENT_ENV,
    URI_PATTERN,
    Batching,
    EngineSettings,
    FailureReason,
    ModelSource,
    ServeDocument,
)
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.flag_values import check_preferred, check_together
from modelfleet_runtime.settings import Settings


def read_document() -> ServeDocument:
    text = os.environ.get(DOCUMENT_ENV, "")
    if not text:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"there is nothing to serve: give a PATH, or a document in {DOCUMENT_ENV}",
        )
    try:
        return ServeDocument.from_json(text)
    except ValidationError as error:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID, f"the document in {DOCUMENT_ENV}: {_first(error)}"
        ) from error


def document_of_env(options: argparse.Namespace) -> ServeDocument:
    given = [flag for flag, name in _FLAGS.items() if getattr(options, name) is not None]
    if given:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"{', '.join(given)} needs a PATH: without one {DOCUMENT_ENV} says what to serve",
        )
    return read_document()


def document_of_flags(
    options: argparse.Namespace, settings: Settings
) -> tuple[ServeDocument, Path]:
    """The document of the flags, and where its model lies (or will, once fetched).

    Raises `CannotServe`.
    """
    scheme = scheme_of(options.path)
    if scheme in ("http", "https"):
        if len(options.path) > 2048 or not re.fullmatch(URI_PATTERN, options.path):
            raise CannotServe(
                FailureReason.DOCUMENT_INVALID,
                f"{options.path[:200]} cannot be fetched; write http(s)://host/path, without "
                "spaces, ? and #, and with 2048 characters at most",
            )
        uri, name = options.path, Path(urlsplit(options.path).path).name.partition(".")[0]
        key = hashlib.sha256(f"{uri} {options.digest}".encode()).hexdigest()[:24]
        location = settings.cache.expanduser() / key / "package"
    elif scheme == "pvc":
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID, "a pvc:// address is of a cluster; give the path"
        )
    elif scheme not in (None, "file"):
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"{scheme}:// is not supported here; use a path, file:// or http(s)://",
        )
    else:
        location = Path(options.path.removeprefix("file://")).expanduser().absolute()
        uri, name = f"file://{quote(str(location))}", location.name.partition(".")[0]
        if name in ("model", "") and location.parent.name:
            name = location.parent.name
    check_preferred(options.preferred_sizes or [], options.max_batch_size or Batching().max_size)
    try:
        batching: dict[str, Any] = {
            "max_size": options.max_batch_size,
            "max_delay": options.max_delay,
            "queue_size": options.queue_size,
            "queue_bytes": options.queue_bytes,
            "queue_timeout": options.queue_timeout,
            "preferred_sizes": options.preferred_sizes,
            "oversize": options.oversize,
            "padding": options.pad,
        }
        engine: dict[str, Any] = {
            "device": options.device,
            "precision": options.precision,
            "compile": options.compile,
            "workers": options.workers,
        }
        source: dict[str, Any] = {
            "uri": uri,
            "digest": options.digest,
            "format": options.format,
            "version": options.version,
        }
        document: dict[str, Any] = {
            "name": options.name or name or "model",
            "model": ModelSource(**_given(source)),
            "batching": Batching(**_given(batching)),
            "engine": EngineSettings(**_given(engine)),
            "timeout": options.timeout,
            "values": options.value,
            "feedback": options.feedback,
        }
        made = ServeDocument(**_given(document))
    except ValidationError as error:
        raise CannotServe(FailureReason.DOCUMENT_INVALID, _first(error)) from error
    check_together(made)
    return made, location


def scheme_of(path: str) -> str | None:
    """None for a plain path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", path)
    return None if found is None else found[1].lower()


# Flags that say what to serve, which the document says where there is one.
_FLAGS = {
    "--name": "name",
    "--version": "version",
    "--format": "format",
    "--digest": "digest",
    "--max-batch-size": "max_batch_size",
    "--max-delay": "max_delay",
    "--queue-size": "queue_size",
    "--queue-bytes": "queue_bytes",
    "--queue-timeout": "queue_timeout",
    "--preferred-sizes": "preferred_sizes",
    "--oversize": "oversize",
    "--pad": "pad",
    "--value": "value",
    "--feedback": "feedback",
    "--timeout": "timeout",
    "--device": "device",
    "--precision": "precision",
    "--compile": "compile",
    "--workers": "workers",
}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")  # pydantic's word before ours
    return f"{where + ': ' if where else ''}{said}"
