"""Artifacts where the predictor reads them."""

import shutil
from pathlib import Path


def download_model_artifacts(artifact_uri: str) -> None:
    """What lies at the address into the working folder, unless it is that folder."""
    if "://" in artifact_uri:
        raise ValueError(f"{artifact_uri} cannot be read here; give the artifacts in a folder")
    source = Path(artifact_uri).resolve()
    if source != Path.cwd().resolve():
        shutil.copytree(source, Path.cwd(), dirs_exist_ok=True)
