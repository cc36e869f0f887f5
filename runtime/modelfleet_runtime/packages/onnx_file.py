"""ONNX: a file `*.onnx`, or a folder with `model.onnx` or one other; weights may lie beside it."""

from pathlib import Path

from modelfleet_contract import ModelFormat
from modelfleet_runtime.packages.package import Match, NoMatch, Package, one_file

FORMAT = ModelFormat.ONNX


def detect(place: Path) -> Match | NoMatch:
    return one_file(place, "model.onnx", (".onnx",))


def read(match: Match) -> Package:
    return Package(FORMAT, match.main, match.main.parent)
