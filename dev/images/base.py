"""What do images stand on where no registry can be reached? On a small Debian with Python."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dev.images.buildah import Buildah
from dev.images.errors import Refused
from dev.images.folders import images_folder, made
from dev.images.packages import need
from dev.images.run import logged
from dev.images.say import step

SUITE = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
_MIRROR = "http://deb.debian.org/debian"
# Nothing that runs reads these; licences (usr/share/doc/*/copyright) stay.
_DROPPED = (
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
)


@dataclass(frozen=True)
class Base:
    """An image to build on, and what says that its content is another."""

    reference: str
    identity: str


def recorded() -> Base | None:
    """The base made before, if today's recipe would make the same."""
    try:
        record = json.loads(_record().read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    base = Base(record["reference"], record["identity"])
    return base if base.reference == _reference() else None


def ready(buildah: Buildah, again: bool = False) -> Base:
    """The base, made if it has to be. The caller holds the lock of `folders.building`."""
    base = recorded()
    if base is not None and not again and buildah.holds(base.reference):
        return base
    if os.geteuid() != 0:
        raise Refused(
            "debootstrap, which makes the base image, needs root: start Docker, use sudo, or name "
            "a base of your own with --base REFERENCE."
        )
    need("debootstrap")
    with (
        step(f"making the base image, Debian {SUITE} with Python", "100 s, once"),
        tempfile.TemporaryDirectory(dir=made(images_folder() / "tmp")) as temporary,
    ):
        root = Path(temporary) / "root"
        _debootstrap(root)
        identity = buildah.image_from(root, _reference())
    base = Base(_reference(), identity)
    fresh = _record().with_suffix(".new")
    fresh.write_text(json.dumps({"reference": base.reference, "identity": base.identity}))
    fresh.replace(_record())
    return base


def _debootstrap(root: Path) -> None:
    mirror = os.environ.get("MODELFLEET_DEBIAN_MIRROR", _MIRROR)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    logged([*command, SUITE, str(root), mirror], images_folder() / "logs" / "base.log")
    slim(root)


def slim(root: Path, dropped: Iterable[str] = _DROPPED) -> None:
    """Empty the folders that only a person at a terminal would read."""
    for name in dropped:
        folder = root / name
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.mkdir()
    for path in (root / "usr/share/doc").rglob("*"):
        if path.name != "copyright" and (path.is_symlink() or path.is_file()):
            path.unlink()


def _reference() -> str:
    recipe = " ".join((SUITE, *PACKAGES, "without", *_DROPPED))
    return f"localhost/modelfleet/base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def _record() -> Path:
    return images_folder() / "base.json"
