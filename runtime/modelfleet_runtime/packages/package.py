"""What the formats say about a place, and the package that one of them makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

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
class Wishes:
    """How a package itself says that it is to be run, as far as it says so."""

    batch_rows: int | None = None
    """The most rows in one batch."""
    batch_delay: timedelta | None = None
    """The longest that a batch may wait for more."""
    queue_size: int | None = None
    """The most requests that wait."""
    workers: int | None = None
    """Processes that run the model."""
    start_seconds: float | None = None
    """How long a process may take to load the model."""
    run_seconds: float | None = None
    """How long a process may take for one batch."""


@dataclass(frozen=True, slots=True)
class ModelArchive:
    """What an unpacked archive of TorchServe says of itself."""

    folder: Path
    file: str
    """The archive's own name, or its folder's."""
    manifest: dict[str, Any]
    """As it stands in the file; handlers read it."""
    name: str
    version: str
    handler: str
    """A file of the archive without folders, or the name of one that is built in."""
    built_in: bool
    entry: str | None
    """The handler's function, where one is named."""
    envelope: str | None
    config: dict[str, Any]
    """model-config.yaml, with keys of the handler's own."""


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
    wishes: Wishes = field(default_factory=Wishes)
    archive: ModelArchive | None = None
    """What an archive of TorchServe says of itself."""
    unpacked: Path | None = None
    """A folder made for this process, which goes away with it."""


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
