"""Bring a model from its address to a folder, once.

The folder appears whole or not at all: everything happens beside it, and one rename ends it. A
second call with the same address and digest finds it and does nothing, which makes the step safe
to repeat when a pod's container starts again: what the pod serves stays what it was. A folder that
outlives the process is another matter: without a digest nothing says that the address still holds
the same bytes, so `revalidate` asks it.
"""

import logging
import shutil
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import orjson

from modelfleet_contract import FailureReason, ModelSource
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.limits import ArchiveLimits
from modelfleet_runtime.sources import archive, digest
from modelfleet_runtime.sources.download import NotChanged, Patience, download

log = logging.getLogger("modelfleet.fetch")


def fetch(
    source: ModelSource,
    folder: Path,
    patience: Patience | None = None,
    limits: ArchiveLimits | None = None,
    revalidate: bool = False,
) -> None:
    """Fill `folder` with what `source` names: the unpacked archive, or the one file under its name.

    `revalidate` asks an address without a digest again, also where the folder is filled already:
    nothing is sent again when the server's ETag is still the same, else everything is.

    The digest is checked before anything is unpacked. Raises `CannotServe`, also for a disk that
    is full or may not be written.
    """
    try:
        _fetch(source, folder, patience, limits, revalidate)
    except OSError as error:
        raise CannotServe(
            FailureReason.MODEL_UNREACHABLE,
            f"{source.uri} cannot be stored at {folder}: {one_line(error)}",
        ) from error


def _fetch(
    source: ModelSource,
    folder: Path,
    patience: Patience | None,
    limits: ArchiveLimits | None,
    revalidate: bool,
) -> None:
    mark = folder.parent / f".{folder.name}.json"
    wanted = {"uri": source.uri, "digest": source.digest}
    there = _read(mark) if folder.is_dir() else {}
    filled = wanted.items() <= there.items()
    if filled and not (revalidate and source.digest is None):
        log.info("%s is already in %s", source.uri, folder)
        return
    if source.digest is None:
        log.warning("%s has no digest: whatever the address answers will be served", source.uri)
    work = folder.parent / f".{folder.name}.work"
    shutil.rmtree(work, ignore_errors=True)
    (work / "package").mkdir(parents=True)
    try:
        name = _name(source)
        received = work / "received"
        log.info("fetching %s", source.uri)
        try:
            etag = download(
                source.uri, received, patience, held=there.get("etag") if filled else None
            )
        except NotChanged:
            log.info("%s has not changed since it was fetched to %s", source.uri, folder)
            return
        size = received.stat().st_size
        found = digest.sha256_of(received)
        if source.digest is not None:
            digest.check(found, source.digest, source.uri)
        if archive.is_archive(name):
            archive.unpack(received, name, work / "package", limits)
        else:
            received.rename(work / "package" / name)
        mark.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        (work / "package").rename(folder)
        mark.write_bytes(orjson.dumps(wanted | ({"etag": etag} if etag else {})))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    log.info("fetched %s: %d bytes, %s", source.uri, size, found)


def _read(mark: Path) -> dict[str, Any]:
    """What the folder was filled with; empty where nobody can tell."""
    try:
        found = orjson.loads(mark.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _name(source: ModelSource) -> str:
    name = PurePosixPath(unquote(source.path)).name
    return name if name and "/" not in name and name not in (".", "..") else "model"
