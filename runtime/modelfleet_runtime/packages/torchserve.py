"""TorchServe: an archive `*.mar` (zip or tar.gz), or a folder that holds one, packed or unpacked.

    MAR-INF/MANIFEST.json   which handler, which files, which name and version
    model-config.yaml       (if the manifest names one) batches, workers, times, the handler's own

Nothing of the archive is run here. An archive is unpacked to a folder that goes away with the
process.
"""

import shutil
import tarfile
import tempfile
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import yaml

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.packages import requirements_file
from modelfleet_runtime.packages.package import Match, ModelArchive, NoMatch, Package, Wishes
from modelfleet_runtime.sources import archive

FORMAT = ModelFormat.TORCHSERVE
SUFFIX = ".mar"
INFO = "MAR-INF"
MANIFEST = f"{INFO}/MANIFEST.json"
BUILT_IN = frozenset({"base_handler", "image_classifier", "image_segmenter", "object_detector"})
"""Handlers that an archive names and does not hold."""
ENVELOPES = frozenset({"body", "json"})
RUN_SECONDS = 120.0
START_SECONDS = 120.0
"""What TorchServe grants where the archive does not say."""

_LARGEST_TEXT = 1 << 20
_NOT_YET = {
    "asyncCommunication": False,
    "continuousBatching": False,
    "sequenceBatching": False,
    "useVenv": False,
    "parallelType": "none",
    "torchrun": None,
}
"""Settings that are served only with the value that changes nothing."""


def detect(place: Path) -> Match | NoMatch:
    if place.is_file():
        if place.suffix.lower() == SUFFIX:
            return Match(place)
        return NoMatch(f"{place.name} is not named *{SUFFIX}")
    for folder in (place, place.parent):
        if (folder / MANIFEST).is_file() and (folder is place or place.name == INFO):
            return Match(folder / MANIFEST)
    found = sorted(p for p in place.iterdir() if p.suffix.lower() == SUFFIX)
    if len(found) == 1:
        return detect(found[0])
    if found:
        names = ", ".join(p.name for p in found[:4])
        return NoMatch(f"there are {len(found)} archives ({names}); one server serves one, name it")
    return NoMatch(f"there is no {MANIFEST} and no *{SUFFIX}")


def read(match: Match) -> Package:
    """Raises `CannotServe`: ModelInvalid, or Unsupported for what is not served yet."""
    if match.main.name == "MANIFEST.json":
        folder = match.main.parent.parent
        return _package(folder, folder.name, None)
    folder = Path(tempfile.mkdtemp(prefix="modelfleet-mar-"))
    try:
        archive.unpack(match.main, match.main.name, folder, is_zip=_is_zip(match.main))
        return _package(folder, match.main.name, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def read_archive(folder: Path, name: str = "") -> ModelArchive:
    """What the unpacked archive in `folder`, whose file was `name`, says. Raises `CannotServe`."""
    manifest = _manifest(folder)
    if not isinstance(model := manifest.get("model"), dict):
        raise _invalid(f'{MANIFEST} has no "model"')
    runtime = str(manifest.get("runtime", "python"))
    if not runtime.startswith("python"):
        raise _unsupported(f"{MANIFEST} asks for the runtime {runtime[:40]!r}; python is served")
    texts = {key: _text(model, key) for key in _TEXTS}
    model_name, handler = texts["modelName"], texts["handler"]
    if model_name is None:
        raise _invalid(f"{MANIFEST} has no modelName")
    if handler is None:
        raise _invalid(f"{MANIFEST} has no handler")
    for key in ("serializedFile", "modelFile", "configFile", "requirementsFile"):
        _check_file(folder, texts[key], key)
    if texts["requirementsFile"] is not None:
        requirements_file.check(folder / texts["requirementsFile"])
    config = _config(folder, texts["configFile"])
    file, _, entry = handler.partition(":")
    file = _handler_file(folder, file)
    envelope = texts["envelope"]
    if envelope is not None and envelope not in ENVELOPES:
        raise _unsupported(
            f"the archive asks for the service envelope {envelope[:40]!r}; "
            f"{' and '.join(sorted(ENVELOPES))} are served"
        )
    return ModelArchive(
        folder,
        name or folder.name,
        manifest,
        model_name,
        texts["modelVersion"] or "1.0",
        file,
        file in BUILT_IN,
        entry or None,
        envelope,
        config,
    )


_TEXTS = (
    "modelName", "modelVersion", "handler", "serializedFile", "modelFile", "configFile",
    "requirementsFile", "envelope",
)  # fmt: skip


def _package(folder: Path, name: str, unpacked: Path | None) -> Package:
    found = read_archive(folder, name)
    config = found.config
    delay = _number(config, "maxBatchDelay", 3_600_000, least=0)
    wishes = Wishes(
        batch_rows=batch_size(found),
        batch_delay=None if delay is None else timedelta(milliseconds=delay),
        queue_size=_number(config, "jobQueueSize", 65536),
        workers=_number(config, "minWorkers", 64),
        start_seconds=float(_number(config, "startupTimeout", 86_400) or START_SECONDS),
        run_seconds=float(_number(config, "responseTimeout", 86_400) or RUN_SECONDS),
    )
    return Package(
        FORMAT, folder / MANIFEST, folder, wishes=wishes, archive=found, unpacked=unpacked
    )


def batch_size(found: ModelArchive) -> int:
    """One, as TorchServe has it, where the archive does not say more: its handler may not know
    batches. Raises `CannotServe`."""
    return _number(found.config, "batchSize", 4096) or 1


def _is_zip(file: Path) -> bool:
    """By the first bytes: both are named alike. Raises `CannotServe` for anything else."""
    if zipfile.is_zipfile(file):
        return True
    if tarfile.is_tarfile(file):
        return False
    raise _invalid(f"{file.name} is damaged or incomplete: it is no zip archive and no tar.gz")


def _manifest(folder: Path) -> dict[str, Any]:
    file = folder / MANIFEST
    if not file.is_file():
        raise _invalid(f"the archive has no {MANIFEST}; make it with torch-model-archiver")
    try:
        made = orjson.loads(_bytes(file))
    except orjson.JSONDecodeError as error:
        raise _invalid(f"{MANIFEST} is not JSON: {one_line(error)}") from error
    if not isinstance(made, dict):
        raise _invalid(f"{MANIFEST} is not an object")
    return made


def _config(folder: Path, name: str | None) -> dict[str, Any]:
    if name is None:
        return {}
    try:
        made = yaml.safe_load(_bytes(folder / name))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _invalid(f"{name} is not YAML: {one_line(error)}") from error
    if made is None:
        return {}
    if not isinstance(made, dict):
        raise _invalid(f"{name} is not a mapping of settings")
    for key, nothing in _NOT_YET.items():
        if key in made and made[key] not in (nothing, None):
            raise _unsupported(f"{name} sets {key}, which is not served yet; take it away")
    return made


def _bytes(file: Path) -> bytes:
    if file.stat().st_size > _LARGEST_TEXT:
        raise _invalid(f"{file.name} is larger than {_LARGEST_TEXT} bytes")
    return file.read_bytes()


def _text(model: dict[str, Any], key: str) -> str | None:
    value = model.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _invalid(f"{MANIFEST}: {key} is {str(value)[:40]}, not text")
    return value


def _number(config: dict[str, Any], key: str, most: int, least: int = 1) -> int | None:
    value = config.get(key)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        # A few lines of YAML can be a list of billions: only what is small is shown.
        small = isinstance(value, (int, float, str))
        shown = str(value)[:40] if small else f"a {type(value).__name__}"
        raise _invalid(f"the archive's {key} is {shown}; write {least} to {most}")
    return value


def _check_file(folder: Path, name: str | None, key: str) -> None:
    if name is None:
        return
    path = folder / archive.inside(name)
    if not path.is_file():
        raise _invalid(
            f"{MANIFEST} names the {key} {name[:120]!r}, which the archive does not hold"
        )


def _handler_file(folder: Path, name: str) -> str:
    """Beside the manifest's folder a handler's file lies without its folders, as the archiver puts
    it there."""
    if name in BUILT_IN:
        return name
    file = name.rpartition("/")[2]
    if not file.endswith(".py"):
        file += ".py"
    if (folder / archive.inside(file)).is_file():
        return file
    if name == "text_classifier":
        raise _unsupported("the handler text_classifier needs torchtext, which has ended")
    raise _invalid(
        f"{MANIFEST} names the handler {name[:120]!r}, which the archive does not hold; built in "
        f"are {', '.join(sorted(BUILT_IN))}"
    )


def _invalid(message: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_INVALID, message)


def _unsupported(message: str) -> CannotServe:
    return CannotServe(FailureReason.UNSUPPORTED, message)
