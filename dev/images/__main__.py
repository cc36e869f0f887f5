"""`python3 -m dev.images`: the images of the operator, the router and the runtime."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from dev.images import builds, recipe, shelf
from dev.images.errors import Refused
from dev.images.folders import images_folder
from dev.images.recipe import Recipe

_ABOUT = """\
Builds the images of modelfleet and keeps them as OCI archives, which a containerd without
a registry imports: ctr --namespace k8s.io images import ARCHIVE

The tag of an image is made from what is in it. An unchanged tree builds nothing, and a changed
source file rebuilds the last layer. A Docker engine builds if one answers; else buildah does,
on a Debian made with debootstrap (root on Debian; both are installed if they are missing).
"""
_EXAMPLES = """\
examples:
  python3 -m dev.images build                          all images, the runtime without torch
  python3 -m dev.images build --flavor torch           the same with torch (CUDA, 5 GB)
  python3 -m dev.images build --base my.registry/python:3.13
  python3 -m dev.images push --registry my.registry/team --flavor torch
  python3 -m dev.images list                           what is there: reference, size, age, archive

Everything lies below $XDG_CACHE_HOME/modelfleet/images (or ~/.cache/modelfleet/images).
SSL_CERT_FILE (a proxy's CA), HTTP_PROXY and its like, UV_DEFAULT_INDEX or PIP_INDEX_URL are
handed to the build and stay out of the images. MODELFLEET_DEBIAN_MIRROR replaces Debian's mirror.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    wish = parser.parse_args(arguments)
    try:
        code: int = wish.run(wish)
    except Refused as refused:
        print(f"dev.images: {refused}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dev.images: interrupted; nothing half-built was kept", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m dev.images",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    base = verbs.add_parser("base", help="make the base image that buildah builds on")
    base.add_argument(
        "--again", action="store_true", help="make it anew, for Debian's security updates"
    )
    base.set_defaults(run=_base)

    building = verbs.add_parser("build", help="build what has changed; prints the references")
    _add_choice(building)
    building.set_defaults(run=_build)

    pushing = verbs.add_parser("push", help="build, then copy to a registry; prints the references")
    _add_choice(pushing)
    pushing.add_argument(
        "--registry", required=True, metavar="R", help="host and path, as in my.registry/team"
    )
    pushing.add_argument(
        "--insecure", action="store_true", help="the registry speaks HTTP, or its CA is unknown"
    )
    pushing.set_defaults(run=_push)

    listing = verbs.add_parser("list", help="what is there, the youngest first")
    listing.set_defaults(run=_list)
    return parser


def _add_choice(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--flavor",
        choices=recipe.FLAVORS,
        default="onnx",
        help="of the runtime: onnx (the default; small), or torch as well",
    )
    verb.add_argument(
        "--only", choices=("operator", "router", "runtime"), help="one image instead of all"
    )
    verb.add_argument(
        "--base",
        metavar="REFERENCE",
        default=os.environ.get("MODELFLEET_BASE", ""),
        help="build on this image: python3 >= 3.11 with venv, and CA certificates "
        "(default: $MODELFLEET_BASE, or what the Dockerfiles name, or a Debian made here)",
    )
    verb.add_argument(
        "--torch-index",
        metavar="URL",
        default="",
        help="where torch comes from; https://download.pytorch.org/whl/cpu has one without CUDA",
    )


def _chosen(wish: argparse.Namespace) -> list[Recipe]:
    every = [recipe.operator(), recipe.router(), recipe.runtime(wish.flavor, wish.torch_index)]
    return [each for each in every if wish.only in (None, each.name)]


def _base(wish: argparse.Namespace) -> int:
    print(builds.make_base(wish.again))
    return 0


def _build(wish: argparse.Namespace) -> int:
    for image in builds.build_all(_chosen(wish), wish.base):
        print(image.reference)
    return 0


def _push(wish: argparse.Namespace) -> int:
    for reference in builds.push(
        builds.build_all(_chosen(wish), wish.base), wish.registry, wish.insecure
    ):
        print(reference)
    return 0


def _list(_: argparse.Namespace) -> int:
    for image in shelf.kept(images_folder()):
        facts = image.archive.stat()
        minutes = (time.time() - facts.st_mtime) / 60
        print(
            f"{image.reference}\t{facts.st_size / 1e6:.0f} MB\t{minutes:.0f} min\t{image.archive}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
