"""Where does everything lie? Below one folder, so that removing it removes all of it.

$XDG_CACHE_HOME/modelfleet/images/
  NAME-KEY[-FLAVOR].tar   the images; KEY says from what each was made
  base.json               which base image buildah builds on
  storage/                buildah's own storage, apart from the host's
  logs/                   what the last builds said
  tmp/                    work in progress; whatever lies here while nobody builds is rubbish
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.images.say import say

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def images_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home).absolute() / "modelfleet" / "images"


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def building() -> Iterator[None]:
    """One build at a time; the lock goes with the process, however it ends."""
    with open(made(images_folder()) / ".build.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build of images is running: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
