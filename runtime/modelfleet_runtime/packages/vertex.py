"""Vertex AI: a custom prediction routine, a folder with a `predictor.py` and what it loads.

The class that has `load` and `predict` is the predictor; a `handler.py` beside it may bring a
handler. PREDICTOR_MODULE and its kin name others, and the AIP variables the routes and where the
artifacts lie, as in Vertex AI itself.
"""

import os
from pathlib import Path

from modelfleet_contract import (
    LIVE_PATH,
    METRICS_PATH,
    READY_PATH,
    FailureReason,
    ModelFormat,
)
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import source
from modelfleet_runtime.packages.package import Match, NoMatch, Package

FORMAT = ModelFormat.VERTEX
FILE = "predictor.py"
HANDLER_FILE = "handler.py"
DEFAULT_HANDLER = ("google.cloud.aiplatform.prediction.handler", "PredictionHandler")
ROUTES = {"AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"}
_HANDLERS = frozenset({"Handler", "PredictionHandler"})


def detect(place: Path) -> Match | NoMatch:
    if place.is_file():
        return NoMatch(f"{place.name} is a file; a predictor lies in a folder")
    module = os.environ.get("PREDICTOR_MODULE") or os.environ.get("HANDLER_MODULE")
    wanted = f"{module.replace('.', '/')}.py" if module else FILE
    for folder in (place, place / "src"):
        if (folder / wanted).is_file():
            return Match(folder / wanted)
        if not module and _named(folder / HANDLER_FILE, _HANDLERS):
            return Match(folder / HANDLER_FILE)
    return NoMatch(f"there is no file {wanted}")


def read(match: Match) -> Package:
    """Raises `CannotServe` where there is no class to take, or a route cannot be."""
    main = match.main.absolute()
    env = dict(os.environ)
    root = main.parent
    for _ in range((env.get("PREDICTOR_MODULE") or "").count(".")):
        root = root.parent
    folder = root.parent if root.name == "src" else root
    given: dict[str, str] = {
        "AIP_HTTP_PORT": env.get("AIP_HTTP_PORT") or "8080",
        "AIP_STORAGE_URI": env.get("AIP_STORAGE_URI") or str(folder),
        "VERTEX_SOURCE": str(root),
    }
    for name, default in ROUTES.items():
        given[name] = _route(name, env.get(name) or default)
    if given["AIP_HEALTH_ROUTE"] == given["AIP_PREDICT_ROUTE"]:
        raise _invalid("AIP_HEALTH_ROUTE and AIP_PREDICT_ROUTE are the same; write two routes")
    given |= _handler(root, env) | _predictor(root, main, env)
    if "://" in given["AIP_STORAGE_URI"]:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"AIP_STORAGE_URI is {given['AIP_STORAGE_URI'][:200]}: artifacts are read from a "
            "folder; put them beside the predictor, or on a volume",
        )
    return Package(FORMAT, main, folder, environment=given)


def _handler(root: Path, env: dict[str, str]) -> dict[str, str]:
    module, name = env.get("HANDLER_MODULE"), env.get("HANDLER_CLASS")
    if module and name:
        return {"HANDLER_MODULE": module, "HANDLER_CLASS": name}
    if module or name:
        raise _invalid("HANDLER_MODULE and HANDLER_CLASS are written together, or neither")
    found = _named(root / HANDLER_FILE, _HANDLERS)
    module, name = ("handler", found) if found else DEFAULT_HANDLER
    return {"HANDLER_MODULE": module, "HANDLER_CLASS": name}


def _predictor(root: Path, main: Path, env: dict[str, str]) -> dict[str, str]:
    module, name = env.get("PREDICTOR_MODULE"), env.get("PREDICTOR_CLASS")
    if module and name:
        return {"PREDICTOR_MODULE": module, "PREDICTOR_CLASS": name}
    if module or name:
        raise _invalid("PREDICTOR_MODULE and PREDICTOR_CLASS are written together, or neither")
    if main.name != FILE:  # a handler that needs no predictor
        return {}
    classes = source.read(root / FILE).classes
    found = [c for c, bases in classes.items() if any(b.endswith("Predictor") for b in bases)]
    if len(found) != 1:
        what = "several classes" if found else "no class"
        raise _invalid(
            f"{FILE} defines {what} of the kind Predictor; "
            "PREDICTOR_MODULE and PREDICTOR_CLASS name the one to take"
        )
    return {"PREDICTOR_MODULE": "predictor", "PREDICTOR_CLASS": found[0]}


def _named(file: Path, bases: frozenset[str]) -> str | None:
    """The one class in the file with one of these bases."""
    if not file.is_file():
        return None
    try:
        classes = source.read(file).classes
    except CannotServe:
        return None
    found = [name for name, its in classes.items() if bases.intersection(its)]
    return found[0] if len(found) == 1 else None


def _route(name: str, path: str) -> str:
    kept = (LIVE_PATH, READY_PATH, METRICS_PATH)
    if not path.startswith("/") or "?" in path or path in kept:
        raise _invalid(
            f"{name} is {path[:80]!r}; write a path that begins with / and is none of "
            f"{', '.join(kept)}"
        )
    return path


def _invalid(message: str) -> CannotServe:
    return CannotServe(FailureReason.MODEL_INVALID, message)
