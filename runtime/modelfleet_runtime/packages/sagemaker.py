"""SageMaker: a folder with `code/inference.py`, as the inference toolkit unpacks a model.tar.gz.

`SAGEMAKER_PROGRAM` names another file in `code/`, as it does there.
"""

import os
from pathlib import Path

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import source
from modelfleet_runtime.packages.package import Match, NoMatch, Package

FORMAT = ModelFormat.SAGEMAKER
CODE = "code"
OWN_STEPS = ("input_fn", "predict_fn", "output_fn")


def detect(place: Path) -> Match | NoMatch:
    program = _program()
    main = place / CODE / program
    if place.is_dir() and main.is_file():
        return Match(main)
    return NoMatch(f"there is no file {CODE}/{program}")


def read(match: Match) -> Package:
    """Raises `CannotServe` for a file that is no Python, and for functions that exclude each
    other: the toolkit finds out at the first request, and then never answers."""
    found = source.read(match.main)
    both = [step for step in OWN_STEPS if step in found.functions]
    if "transform_fn" in found.functions and both:
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"{match.main.name} defines transform_fn and {both[0]}; transform_fn does the work of "
            f"{', '.join(OWN_STEPS)}: leave one of them out",
        )
    folder = match.main.parent.parent.absolute()
    return Package(
        FORMAT,
        match.main.absolute(),
        folder,
        environment={
            "SM_MODEL_DIR": str(folder),
            "SAGEMAKER_PROGRAM": match.main.name,
            "SAGEMAKER_SUBMIT_DIRECTORY": str(folder / CODE),
        },
    )


def _program() -> str:
    name = os.environ.get("SAGEMAKER_PROGRAM") or "inference.py"
    return name if name.endswith(".py") else f"{name}.py"
