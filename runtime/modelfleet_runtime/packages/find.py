"""Which format is this place? Every format is asked; exactly one has to say yes."""

from pathlib import Path
from types import ModuleType

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import (
    azureml,
    onnx_file,
    pt2,
    python_class,
    sagemaker,
    torchscript,
    torchserve,
    vertex,
)
from modelfleet_runtime.packages.package import Match, NoMatch, Package

# Code that loads a .onnx or .pt file beside it is the model, so these formats are asked first. Two
# of them at once are a question that only its owner can answer.
CODE: tuple[ModuleType, ...] = (torchserve, python_class, sagemaker, azureml, vertex)
FORMATS: tuple[ModuleType, ...] = (*CODE, onnx_file, pt2, torchscript)


def find(place: Path, wanted: ModelFormat = ModelFormat.AUTO) -> Package:
    """The package at `place`, a file or a folder.

    Raises `CannotServe`: ModelNotFound where there is nothing, ModelInvalid where no format (or
    not the wanted one) fits, with what each format missed.
    """
    place = _descend(existing(place))
    if wanted is ModelFormat.AUTO:
        _check_is_one(place)
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


def _check_is_one(place: Path) -> None:
    if isinstance(torchserve.detect(place), Match):
        return  # its manifest says what it is, and a model.py is what such archives hold
    candidates = {f.FORMAT: v.main for f in CODE if isinstance(v := f.detect(place), Match)}
    if len(candidates) > 1:
        told = " or ".join(
            f"{fmt} ({main.relative_to(place) if main != place else main.name})"
            for fmt, main in candidates.items()
        )
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"{_shown(place)} may be {told}; name its format (--format, spec.model.format)",
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
        # `code/inference.py` may be all that there is.
        if not place.is_dir() or any(isinstance(f.detect(place), Match) for f in CODE):
            break
        inside = [p for p in place.iterdir() if not p.name.startswith(".") and p.name != "__MACOSX"]
        if len(inside) != 1 or not inside[0].is_dir():
            break
        place = inside[0]
    return place
