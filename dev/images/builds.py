"""How does an image come to be? Only if nothing equal is there, and never half."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dev.images import base, recipe, shelf
from dev.images.buildah import Buildah, empty_work_folder
from dev.images.docker import Docker
from dev.images.errors import Refused
from dev.images.folders import REPOSITORY, building, images_folder, made
from dev.images.image import Image, Images
from dev.images.recipe import Recipe
from dev.images.say import say, step

_USUALLY = {
    "operator": "10 s after a change of code, 40 s the first time",
    "router": "30 s the first time",
    "runtime": "10 s after a change of code, 40 s the first time; with torch, minutes",
}


class Builder(Protocol):
    """Docker or buildah."""

    def build(
        self, recipe: Recipe, base: str, context: Path, reference: str, archive: Path, log: Path
    ) -> None: ...

    def push(self, image: Image, target: str, insecure: bool, log: Path) -> None: ...


def build(flavor: str = "onnx", base: str = "", torch_index: str = "") -> Images:
    """All images as archives. Answers at once where nothing has changed since the last time."""
    operator, router, runtime = build_all(
        [recipe.operator(), recipe.router(), recipe.runtime(flavor, torch_index)], base=base
    )
    return Images(operator, runtime, router)


def build_all(recipes: Sequence[Recipe], base: str = "") -> list[Image]:
    """One image for each recipe. `base` is the reference of an image; empty: the usual one."""
    with_docker = Docker.answers()
    there = _all_there(recipes, _known_identity(with_docker, base))
    if there is not None:
        return there
    with building():
        empty_work_folder()
        builder, reference, identity = _prepared(with_docker, base)
        images = [_built(builder, each, reference, identity) for each in recipes]
        for gone in shelf.prune(images_folder()):
            say(f"removed {gone.reference}, which was not asked for lately")
    return images


def push(images: Sequence[Image], registry: str, insecure: bool = False) -> list[str]:
    """Copy them to a registry; answers what they are called there."""
    builder: Builder = Docker() if Docker.answers() else Buildah()
    pushed = []
    with building():
        for image in images:
            name = image.reference.removeprefix("localhost/modelfleet/")
            target = f"{registry.removesuffix('/')}/{name}"
            with step(f"pushing {target}", "20 s for each 100 MB"):
                log = images_folder() / "logs" / "push.log"
                builder.push(image, target, insecure, log)
            pushed.append(target)
    return pushed


def _prepared(with_docker: bool, wanted: str) -> tuple[Builder, str, str]:
    """Who builds, on which base, and what says that the base is another."""
    if with_docker:
        return Docker(), wanted, wanted
    buildah = Buildah()
    if wanted:
        return buildah, wanted, wanted
    ours = base.ready(buildah)
    return buildah, ours.reference, ours.identity


def _known_identity(with_docker: bool, wanted: str) -> str | None:
    """What the base is, as far as it can be told without making one."""
    if with_docker or wanted:
        return wanted
    made_before = base.recorded()
    return None if made_before is None else made_before.identity


def _all_there(recipes: Sequence[Recipe], identity: str | None) -> list[Image] | None:
    if identity is None:
        return None
    images = [_image(REPOSITORY, each, identity) for each in recipes]
    missing = [image for image in images if not shelf.found(image)]
    return None if missing else images


def _image(tree: Path, each: Recipe, identity: str) -> Image:
    return shelf.image(images_folder(), each, recipe.content_key(tree, each, identity))


def _built(builder: Builder, each: Recipe, base_reference: str, identity: str) -> Image:
    with tempfile.TemporaryDirectory(dir=made(images_folder() / "tmp")) as temporary:
        context = Path(temporary) / "context"
        recipe.snapshot(REPOSITORY, each, context)
        image = _image(context, each, identity)
        if shelf.found(image):
            return image
        log = images_folder() / "logs" / f"{each.name}{each.flavor}.log"
        unfinished = Path(temporary) / "archive.tar"
        with step(f"building the image of the {each.title}", _USUALLY[each.name]):
            builder.build(each, base_reference, context, image.reference, unfinished, log)
        unfinished.replace(image.archive)
    return image


def make_base(again: bool) -> str:
    """Make the base image now, so that the next build does not have to."""
    if Docker.answers():
        raise Refused(
            "a Docker engine answers, and builds on the public image that the Dockerfiles name: "
            "there is no base to make. --base REFERENCE gives another to `build`."
        )
    with building():
        empty_work_folder()
        return base.ready(Buildah(), again).reference
