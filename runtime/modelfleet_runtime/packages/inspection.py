"""What a package is and needs, told without running any of it."""

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from modelfleet_contract import ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import source
from modelfleet_runtime.packages.package import Package

CODE = (ModelFormat.PYTHON, ModelFormat.SAGEMAKER, ModelFormat.AZUREML, ModelFormat.VERTEX)
_TORCH = (ModelFormat.TORCHSCRIPT, ModelFormat.PT2)
_LIBRARIES = {
    ModelFormat.SAGEMAKER: ("sagemaker_inference",),
    ModelFormat.AZUREML: ("azureml", "azureml_inference_server_http", "inference_schema"),
    ModelFormat.VERTEX: ("google",),
}
"""What the package's own server brings, and we in its stead."""
_BROUGHT = frozenset({
    "sagemaker-inference", "sagemaker-pytorch-inference", "azureml-defaults", "inference-schema",
    "azureml-inference-server-http", "azureml-contrib-services", "google-cloud-aiplatform",
})  # fmt: skip
_REQUIRED = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_ENVIRONMENTS = ("conda.yaml", "conda.yml", "environment.yaml", "environment.yml")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that stands in the way, or (`fatal` is false) may."""

    what: str
    fatal: bool


def findings(package: Package) -> Sequence[Finding]:
    """What this installation cannot do for the package."""
    if package.format in _TORCH and importlib.util.find_spec("torch") is None:
        return [
            Finding("needs torch, which this image does not have (the torch flavour has)", True)
        ]
    if package.format not in CODE:
        return []
    return [*_imports(package), *_requirements(package), *_environments(package)]


def _imports(package: Package) -> Sequence[Finding]:
    """Of the code and the modules beside it. A module may be imported where it is there only."""
    root = package.main.parent
    missing: dict[str, str] = {}
    for file in sorted(root.glob("*.py")):
        try:
            modules = source.read(file).modules
        except CannotServe as error:
            if file == package.main:
                return [Finding(error.failure.message, True)]
            continue
        for module in modules:
            if not _there(module, root, package):
                missing.setdefault(module, file.name)
    said = "imports {}, which this image does not have"
    return [
        Finding(f"{file} {said.format(module)}", file == package.main.name)
        for module, file in sorted(missing.items())
    ]


def _there(module: str, root: Path, package: Package) -> bool:
    if module in sys.stdlib_module_names or module in _LIBRARIES.get(package.format, ()):
        return True
    folders = (root, package.folder)
    if any((f / f"{module}.py").is_file() or (f / module).is_dir() for f in folders):
        return True
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _requirements(package: Package) -> Sequence[Finding]:
    """By name. A version that is another may do, or not: only its author knows."""
    file = package.main.parent / "requirements.txt"
    if not file.is_file():
        return []
    names = [m[1] for line in file.read_text(errors="replace").splitlines()
             if (m := _REQUIRED.match(line))]  # fmt: skip
    return [
        Finding(f"requirements.txt asks for {name}, which this image does not have; "
                "build an image from ours that has it", True)
        for name in names
        if name.lower().replace("_", "-") not in _BROUGHT and not _installed(name)
    ]  # fmt: skip


def _installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _environments(package: Package) -> Sequence[Finding]:
    there = [n for n in _ENVIRONMENTS if (package.folder / n).is_file()]
    return [Finding(f"{name} is not looked at: packages come from the image", False)
            for name in there]  # fmt: skip
