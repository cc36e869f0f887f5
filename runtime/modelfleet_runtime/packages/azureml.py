"""Azure ML: a folder with a `score.py` that has `init` and `run`.

`AZUREML_ENTRY_SCRIPT` names another file, as it does there; without it a `main.py` that has both,
or the only other file at the top that has both, is taken too. Models lie in `azureml-models/NAME/
VERSION`, as Azure ML mounts them, or beside the script; `AZUREML_MODEL_DIR` says where.
"""

import os
from pathlib import Path

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import source
from modelfleet_runtime.packages.package import Match, NoMatch, Package

FORMAT = ModelFormat.AZUREML
SCRIPT = "score.py"
MODELS = "azureml-models"
FOLDERS = ("", "code", "src", "onlinescoring")
"""Where in a package the script lies, as the examples of Azure ML have it."""


def detect(place: Path) -> Match | NoMatch:
    if place.is_file():
        return Match(place) if place.name == SCRIPT else NoMatch(f"{place.name} is not {SCRIPT}")
    if (named := os.environ.get("AZUREML_ENTRY_SCRIPT")) is not None:
        main = place / named
        return Match(main) if main.is_file() else NoMatch(f"there is no file {named}")
    for folder in FOLDERS:
        if (place / folder / SCRIPT).is_file():
            return Match(place / folder / SCRIPT)
    others = [p for p in sorted(place.glob("*.py")) if source.defines(p, "init", "run")]
    if len(others) == 1:
        return Match(others[0])
    if others:
        names = ", ".join(p.name for p in others[:4])
        return NoMatch(f"there is no file {SCRIPT}, and {names} all have init and run")
    return NoMatch(f"there is no file {SCRIPT}, and no other with init and run")


def read(match: Match) -> Package:
    """Raises `CannotServe` where the script is no Python, or lacks one of the two functions."""
    found = source.read(match.main)
    for name in ("init", "run"):
        if not found.may_define(name):
            raise CannotServe(
                FailureReason.MODEL_INVALID,
                f"{match.main.name} does not define {name}(); an entry script has init() and run()",
            )
    main = match.main.absolute()
    folder = main.parent.parent if main.parent.name in FOLDERS[1:] else main.parent
    models = os.environ.get("AZUREML_MODEL_DIR") or str(_models(folder))
    return Package(
        FORMAT,
        main,
        folder,
        environment={
            "AZUREML_MODEL_DIR": models,
            "AML_APP_ROOT": str(folder),
            "AZUREML_ENTRY_SCRIPT": str(main.relative_to(folder)),
        },
    )


def _models(folder: Path) -> Path:
    """The one version of the one model there, or the folder of all, as Azure ML itself says it."""
    mounted = folder / MODELS
    if not mounted.is_dir():
        return folder
    versions = sorted(p for p in mounted.glob("*/*") if p.is_dir())
    return versions[0] if len(versions) == 1 else mounted
