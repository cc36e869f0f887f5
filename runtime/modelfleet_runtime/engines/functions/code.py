"""Somebody's code in this process: where it finds its modules, and what its failures are called."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.packages.package import Package

T = TypeVar("T")

log = logging.getLogger("modelfleet.engine")

SHIMS = Path(__file__).parents[2] / "shims"
SHIMS_VARIABLE = "MODELFLEET_SHIMS"
"""`installed`: what the package imports of its own server comes from the libraries that the image
has, and not from ours, which know nothing but what packages need."""


def enter(package: Package) -> None:
    """Modules beside the code can be imported, files beside it opened, as on its own server."""
    folder = str(package.main.parent)
    shims = str(SHIMS / package.format.value)
    path = [] if os.environ.get(SHIMS_VARIABLE) == "installed" else [shims]
    root = os.environ.get("VERTEX_SOURCE", folder)
    sys.path[:0] = [*path, root, str(package.folder)]
    os.chdir(package.folder)


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """What is raised while `doing` (which goes before the reason) becomes a `CannotServe`."""
    try:
        yield
    except CannotServe:
        raise
    except MemoryError as error:
        raise CannotServe(
            FailureReason.OUT_OF_MEMORY, f"{doing}: there is not enough memory"
        ) from error
    except ModuleNotFoundError as error:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"{doing}: it imports {error.name}, which this image does not have",
        ) from error
    except BaseException as error:  # SystemExit too: it would end us without a word
        log.error("%s", doing, exc_info=error)
        raise CannotServe(
            FailureReason.MODEL_INVALID, f"{doing}: {type(error).__name__}: {one_line(error)}"
        ) from error


def found(module: Any, name: str) -> Callable[..., Any] | None:
    value = getattr(module, name, None)
    return value if callable(value) else None
