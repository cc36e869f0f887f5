"""Which archives are kept? The last few of each image, by when they were last asked for."""

import os
import re
import time
from pathlib import Path

from dev.images.image import Image
from dev.images.recipe import Recipe

# Going back and forth between a branch and main should build nothing; more is only disk.
KEPT = 3
# Somebody who asked for an archive just now is about to read it.
_SPARED_S = 600.0
# dev/cluster keeps archives of its own in this folder: they are not ours to count.
_NAME = re.compile(
    r"(?P<name>operator|runtime)-(?P<tag>(?P<key>[0-9a-f]{12})(-(?P<flavor>[a-z]+))?)\.tar"
)


def image(folder: Path, recipe: Recipe, key: str) -> Image:
    """The image as it is called and where it lies, whether it is there or not."""
    return Image(recipe.reference(key), folder / f"{recipe.name}-{recipe.tag(key)}.tar")


def found(wanted: Image) -> bool:
    """Whether it is there; asking keeps it young."""
    try:
        os.utime(wanted.archive)
    except FileNotFoundError:
        return False
    return True


def kept(folder: Path) -> list[Image]:
    """All that are there, the youngest first."""
    aged = []
    for path in folder.glob("*.tar"):
        if match := _NAME.fullmatch(path.name):
            reference = Recipe(match["name"]).reference(match["tag"])
            aged.append((path.stat().st_mtime, Image(reference, path)))
    return [each for _, each in sorted(aged, key=lambda pair: (-pair[0], pair[1].reference))]


def prune(folder: Path, keep: int = KEPT) -> list[Image]:
    """Remove the oldest of each image and flavour beyond `keep`; answers what went."""
    young = time.time() - _SPARED_S
    counted: dict[tuple[str, str], int] = {}
    gone = []
    for each in kept(folder):
        match = _NAME.fullmatch(each.archive.name)
        assert match is not None
        kind = (match["name"], match["flavor"] or "")
        counted[kind] = counted.get(kind, 0) + 1
        if counted[kind] > keep and each.archive.stat().st_mtime < young:
            each.archive.unlink(missing_ok=True)
            gone.append(each)
    return gone
