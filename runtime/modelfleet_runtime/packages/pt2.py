"""torch.export: a file `*.pt2`, or a folder with `model.pt2` or one other.

Such a file is a zip archive that holds a program (`.../models/NAME.json`), or kernels that
AOTInductor has compiled (`.../data/aotinductor/NAME/`), or both.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import signature_file
from modelfleet_runtime.packages.package import Match, NoMatch, Package, one_file

FORMAT = ModelFormat.PT2

_LARGEST_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class Compiled:
    """Kernels in a `.pt2`, and for which machine they are."""

    name: str
    """The model's name in the archive."""
    device: str
    """cpu or cuda."""
    machine: str
    """As `platform.machine()` has it; empty where the file does not say."""
    cpu_isa: str
    """The vector instructions that were there, such as `AVX512 AVX512_VNNI`."""
    compute_capability: str
    """Of the GPU, such as 90; empty for the CPU."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a `.pt2` holds."""

    programs: tuple[str, ...]
    compiled: tuple[Compiled, ...]


def detect(place: Path) -> Match | NoMatch:
    return one_file(place, "model.pt2", (".pt2",))


def read(match: Match) -> Package:
    """Raises `CannotServe` for a file that holds neither."""
    contents(match.main)
    folder = match.main.parent
    return Package(FORMAT, match.main, folder, signature_file.read(folder))


def contents(file: Path) -> Contents:
    """Raises `CannotServe` with reason ModelInvalid."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            found = Contents(_programs(names), _compiled(archive, names))
    except (zipfile.BadZipFile, ValueError, KeyError) as error:
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"{file.name} is damaged or incomplete: it is not a whole zip archive",
        ) from error
    if not found.programs and not found.compiled:
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"{file.name} is incomplete, or holds no program; save the model with "
            "torch.export.save, or compile it with torch._inductor.aoti_compile_and_package",
        )
    return found


def _programs(names: list[str]) -> tuple[str, ...]:
    paths = [PurePosixPath(name) for name in names]
    return tuple(p.stem for p in paths if p.suffix == ".json" and p.parent.name == "models")


def _compiled(archive: zipfile.ZipFile, names: list[str]) -> tuple[Compiled, ...]:
    found: dict[str, Compiled] = {}
    for name in names:
        parts = PurePosixPath(name).parts
        if parts[-4:-2] != ("data", "aotinductor") or not name.endswith("wrapper_metadata.json"):
            continue
        if archive.getinfo(name).file_size > _LARGEST_METADATA:
            raise ValueError("the metadata is too large")
        told: dict[str, Any] = orjson.loads(archive.read(name))
        found[parts[-2]] = Compiled(
            parts[-2],
            str(told.get("AOTI_DEVICE_KEY", "cpu")),
            str(told.get("AOTI_MACHINE", "")),
            str(told.get("AOTI_CPU_ISA", "")),
            str(told.get("AOTI_COMPUTE_CAPABILITY", "")),
        )
    return tuple(found.values())
