"""The folder `operator/` must never hide the standard library's module of that name."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_import_operator_is_the_standard_librarys_from_the_repositorys_root() -> None:
    code = "import operator; print(operator.__file__); print(operator.itemgetter(0)([7]))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    file, value = done.stdout.split()
    assert not Path(file).is_relative_to(ROOT / "operator")
    assert value == "7"


def test_the_folder_is_no_package() -> None:
    assert (ROOT / "operator").is_dir()
    assert not (ROOT / "operator" / "__init__.py").exists()
