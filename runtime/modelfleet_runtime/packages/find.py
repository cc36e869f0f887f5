"""Which format is this place? Every format is asked; exactly one has to say yes."""

from pathlib import Path
from types import ModuleType

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import onnx_file, pt2, python_class, torchscript, torchserve
from modelfleet_runtime.packages.package import Match, NoMatch, Package

# A class that loads a .onnx or .pt file beside it is a Python model, so that format is asked before
# those. An archive of TorchServe may hold any of them.
FORMATS: tuple[ModuleType, ...] = (torchserve, python_class, onnx_file, pt2, torchscript)


def find(place: Path, wanted: ModelFormat = ModelFormat.AUTO) -> Package:
    """The package at `place`, a file or a folder.

    Raises `CannotServe`: ModelNotFound where there is nothing, ModelInvalid where no format (or
    not the wanted one) fits, with what each format missed.
    """
    place = _descend(existing(place))
    misses = []
    for fmt in FORMATS:
        if wanted not in (ModelFormat.AUTO, fmt.FORMAT):
            continue
        verdict: Match | NoMatch = fmt.detect(place)
        if isinstance(verdict, Match):
            package: Package = fmt.read(verdict)
            return package
        misses.append(f"not {fmt.FORMAT} ({verdict.why})")
    raise CannotServe(
        FailureReason.MODEL_INVALID,
        f"{_shown(place)} holds no model that is known: {'; '.join(misses)}",
    )


def _shown(place: Path) -> str:
    """The place, and the first few things in it: what is there helps as much as what is missing."""
    if not place.is_dir():
        return str(place)
    inside = sorted(p.name for p in place.iterdir())
    more = f" and {len(inside) - 5} more" if len(inside) > 5 else ""
    return f"{place} (with {', '.join(inside[:5])}{more})"


def look(place: Path) -> list[tuple[ModelFormat, Match | NoMatch]]:
    """What every format says of the place, for `modelfleet-runtime inspect`."""
    place = _descend(existing(place))
    return [(fmt.FORMAT, fmt.detect(place)) for fmt in FORMATS]


def existing(place: Path) -> Path:
    """Raises `CannotServe` where nothing is there, or it cannot be read."""
    try:
        if place.is_dir():
            if not any(place.iterdir()):
                raise CannotServe(FailureReason.MODEL_NOT_FOUND, f"the folder {place} is empty")
        elif place.is_file():
            place.open("rb").close()
        else:
            raise CannotServe(
                FailureReason.MODEL_NOT_FOUND, f"there is no file or folder at {place}"
            )
    except OSError as error:
        raise CannotServe(
            FailureReason.MODEL_NOT_FOUND, f"{place} cannot be read: {error.strerror}"
        ) from error
    return place


def _descend(place: Path) -> Path:
    """An archive often holds one folder with everything in it, sometimes a folder in a folder."""
    for _ in range(4):
        if not place.is_dir():
            break
        inside = [p for p in place.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX"]
        if len(inside) != 1 or not inside[0].is_dir():
            break
        place = inside[0]
    return place
