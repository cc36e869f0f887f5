"""A model that lies in an archive on this machine."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.sources import archive, digest

log = logging.getLogger("modelfleet.fetch")


def opened(location: Path, cache: Path, wanted: str | None = None) -> Path:
    """The folder of what is in the archive at `location`; any other location as it is.

    It is unpacked once, below `cache`, or the folder of temporary files where that cannot be
    written. `wanted` is the archive's digest. Raises `CannotServe`.
    """
    if not location.is_file() or not archive.is_archive(location.name):
        return location
    found = digest.sha256_of(location)
    if wanted is not None:
        digest.check(found, wanted, str(location))
    for base in (cache.expanduser(), Path(tempfile.gettempdir()) / "modelfleet"):
        folder = base / found.removeprefix("sha256:")[:24] / "package"
        try:
            _fill(folder, location)
        except OSError as error:
            log.info("%s cannot be unpacked to %s: %s", location, folder, one_line(error))
            continue
        return folder
    raise CannotServe(
        FailureReason.MODEL_UNREACHABLE,
        f"{location} cannot be unpacked: there is no folder that can be written",
    )


def _fill(folder: Path, location: Path) -> None:
    """It appears whole or not at all."""
    if folder.is_dir():
        return
    work = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        archive.unpack(location, location.name, work)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was sooner
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
