"""Python: a folder with `model.py`, which defines one class with a method `predict`."""

import ast
from pathlib import Path

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import signature_file
from modelfleet_runtime.packages.package import Match, NoMatch, Package

FORMAT = ModelFormat.PYTHON
FILE = "model.py"


def detect(place: Path) -> Match | NoMatch:
    if place.is_file():
        return Match(place) if place.name == FILE else NoMatch(f"{place.name} is not {FILE}")
    if (place / FILE).is_file():
        return Match(place / FILE)
    return NoMatch(f"there is no file {FILE}")


def read(match: Match) -> Package:
    """Looks at the source without running it. Raises `CannotServe` where it is no Python, or
    defines no class."""
    try:
        tree = ast.parse(match.main.read_bytes(), FILE)
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise CannotServe(
            FailureReason.MODEL_INVALID, f"{FILE} is not valid Python{line}: {reason}"
        ) from error
    if not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree)):
        raise CannotServe(
            FailureReason.MODEL_INVALID, f"{FILE} defines no class with a method predict"
        )
    folder = match.main.parent
    return Package(FORMAT, match.main, folder, signature_file.read(folder))
