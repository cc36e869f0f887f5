"""TorchScript: a file `*.pt` or `*.ts`, or a folder with `model.pt` or one other."""

import zipfile
from pathlib import Path

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import signature_file
from modelfleet_runtime.packages.package import Match, NoMatch, Package, one_file

FORMAT = ModelFormat.TORCHSCRIPT


def detect(place: Path) -> Match | NoMatch:
    return one_file(place, "model.pt", (".pt", ".ts"))


def read(match: Match) -> Package:
    """Raises `CannotServe` for a file that holds weights only, which loads as nothing callable."""
    _check_is_a_program(match.main)
    folder = match.main.parent
    return Package(FORMAT, match.main, folder, signature_file.read(folder))


def _check_is_a_program(file: Path) -> None:
    if not zipfile.is_zipfile(file):
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"{file.name} is damaged, incomplete, or not TorchScript: it is not a zip archive",
        )
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    if not any(name.endswith("/constants.pkl") for name in names):
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"{file.name} holds weights without a program; save the model with "
            "torch.jit.script(model).save(path)",
        )
