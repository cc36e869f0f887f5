"""What the formats say about a place, and the package that one of them makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelfleet_contract import ModelFormat
from modelfleet_runtime.signature import Signature


@dataclass(frozen=True, slots=True)
class Match:
    """The place is of this format."""

    main: Path
    """The file to load: the model, or the module with the class."""


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The place is not of this format; `why` ends the sentence "it is not ..., because"."""

    why: str


@dataclass(frozen=True, slots=True)
class Package:
    """A model that an engine can load."""

    format: ModelFormat
    main: Path
    folder: Path
    """What belongs to the model lies here: weights beside the graph, modules beside the class."""
    signature: Signature | None = None
    """What a `signature.json` in the folder says, where the model itself cannot say it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that the package's code reads, beside those that are there."""


def one_file(place: Path, name: str, suffixes: tuple[str, ...]) -> Match | NoMatch:
    """The file itself, or the folder's file `name`, or the folder's only file with a suffix."""
    kinds = " or ".join(f"*{s}" for s in suffixes)
    if place.is_file():
        if place.suffix.lower() in suffixes:
            return Match(place)
        return NoMatch(f"{place.name} is not named {kinds}")
    if (place / name).is_file():
        return Match(place / name)
    found = sorted(p for p in place.iterdir() if p.suffix.lower() in suffixes and p.is_file())
    if len(found) == 1:
        return Match(found[0])
    if found:
        names = ", ".join(p.name for p in found[:4])
        return NoMatch(f"there are {len(found)} files {kinds} ({names}) and none is named {name}")
    return NoMatch(f"there is no file {name} and no other {kinds}")
