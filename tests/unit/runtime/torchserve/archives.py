"""Archives as torch-model-archiver makes them, without it."""

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HANDLERS = Path(__file__).parent / "handlers"


def contents(
    source: str | None = None,
    /,
    config: str | None = None,
    files: Mapping[str, bytes | str] | None = None,
    **model: Any,
) -> dict[str, bytes]:
    """The archive's files: `source` is that of `handler.py`, `model` for the manifest."""
    made = {
        name: data if isinstance(data, bytes) else data.encode()
        for name, data in (files or {}).items()
    }
    told: dict[str, Any] = {"modelName": "m", "modelVersion": "1.0", "handler": "handler.py"}
    if source is not None:
        made["handler.py"] = source.encode()
    if config is not None:
        made["model-config.yaml"] = config.encode()
        told["configFile"] = "model-config.yaml"
    manifest = {"runtime": "python", "archiverVersion": "0.12.0", "model": told | model}
    made["MAR-INF/MANIFEST.json"] = json.dumps(manifest).encode()
    return made


def probe() -> dict[str, bytes]:
    """The handler that the recorded cases speak to."""
    return contents(
        (HANDLERS / "probe.py").read_text(),
        (HANDLERS / "probe.yaml").read_text(),
        modelName="probe",
    )


def zipped(file: Path, made: Mapping[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in made.items():
            archive.writestr(name, data)
    return file


def tarred(file: Path, made: Mapping[str, bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w:gz") as archive:
        for name, data in made.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file


def unpacked(folder: Path, made: Mapping[str, bytes]) -> Path:
    for name, data in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
