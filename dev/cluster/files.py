"""How are files written so that nobody ever sees half of one, and how do two starts take turns?"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dev.cluster.say import say


def write_whole(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write beside, then rename: a killed writer leaves the old file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None where there is none."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


@contextmanager
def locked(path: Path, waiting_for: str) -> Iterator[None]:
    """Hold the lock; the kernel drops it with the holder, so a kill -9 leaves none behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        if not try_lock(handle.fileno()):
            say(f"waiting: {waiting_for}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    try:
        with path.open("r+") as handle:
            return not try_lock(handle.fileno())
    except (FileNotFoundError, NotADirectoryError):
        return False
