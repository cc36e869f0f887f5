"""What makes an image another image? What is in it, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.images import recipe
from dev.images.folders import REPOSITORY
from dev.images.recipe import Recipe, content_key, copied, snapshot, sources

BASE = "debian"
DOCKERFILE = """\
ARG BASE=x
FROM ${BASE} AS project
COPY pyproject.toml ./
COPY --chown=1:1 runtime/a runtime/a
FROM ${BASE}
COPY --from=project /project /opt
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "Dockerfile.runtime": DOCKERFILE,
        "Dockerfile.operator": "FROM scratch\n",
        "pyproject.toml": "[project]\n",
        "README.md": "words\n",
        "runtime/a/code.py": "answer = 42\n",
        "runtime/a/deep/more.py": "",
        "runtime/a/__pycache__/code.cpython-311.pyc": "1",
        "operator/b/code.py": "",
        "tests/test_code.py": "",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def _append(name: str) -> Callable[[Path], object]:
    def change(tree: Path) -> None:
        with (tree / name).open("a") as file:
            file.write("# changed\n")

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_append("runtime/a/code.py"), id="a source file"),
        pytest.param(_append("pyproject.toml"), id="a single copied file"),
        pytest.param(_append("Dockerfile.runtime"), id="the Dockerfile"),
        pytest.param(lambda tree: (tree / "runtime/a/new.py").touch(), id="a new, empty file"),
        pytest.param(lambda tree: (tree / "runtime/a/deep/more.py").unlink(), id="a file less"),
        pytest.param(
            lambda tree: (tree / "runtime/a/code.py").rename(tree / "runtime/a/other.py"),
            id="another name",
        ),
        pytest.param(lambda tree: (tree / "runtime/a/code.py").chmod(0o755), id="executable"),
    ],
)
def test_key_changes_with_what_goes_in(tree: Path, change: Callable[[Path], object]) -> None:
    before = content_key(tree, recipe.runtime(), BASE)
    change(tree)
    assert content_key(tree, recipe.runtime(), BASE) != before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_append("README.md"), id="a document"),
        pytest.param(_append("tests/test_code.py"), id="a test"),
        pytest.param(_append("operator/b/code.py"), id="the other image's code"),
        pytest.param(_append("Dockerfile.operator"), id="the other Dockerfile"),
        pytest.param(_append("runtime/a/__pycache__/code.cpython-311.pyc"), id="bytecode"),
        pytest.param(lambda tree: (tree / "runtime/a/code.py").touch(), id="only the time"),
    ],
)
def test_key_stays_with_what_does_not(tree: Path, change: Callable[[Path], object]) -> None:
    before = content_key(tree, recipe.runtime(), BASE)
    change(tree)
    assert content_key(tree, recipe.runtime(), BASE) == before


def test_key_changes_with_the_base_and_the_arguments(tree: Path) -> None:
    cpu = recipe.runtime("torch", "https://index.example/cpu")
    keys = {
        content_key(tree, recipe.runtime(), BASE),
        content_key(tree, recipe.runtime(), "another base"),
        content_key(tree, recipe.runtime("torch"), BASE),
        content_key(tree, cpu, BASE),
    }
    assert len(keys) == 4


def test_an_index_for_torch_means_nothing_without_torch() -> None:
    assert recipe.runtime("onnx", "https://index.example/cpu") == recipe.runtime("onnx")


def test_key_is_twelve_hex_digits(tree: Path) -> None:
    key = content_key(tree, recipe.runtime(), BASE)
    assert len(key) == 12
    assert set(key) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("made", "reference"),
    [
        (recipe.operator(), "localhost/modelfleet/operator:0123456789ab"),
        (recipe.runtime(), "localhost/modelfleet/runtime:0123456789ab-onnx"),
        (recipe.runtime("torch"), "localhost/modelfleet/runtime:0123456789ab-torch"),
    ],
)
def test_references(made: Recipe, reference: str) -> None:
    assert made.reference("0123456789ab") == reference


def test_copied_are_the_files_of_the_tree_and_not_of_another_stage() -> None:
    assert copied(DOCKERFILE) == ["pyproject.toml", "runtime/a"]


def test_snapshot_has_the_same_key(tree: Path, tmp_path: Path) -> None:
    made = recipe.runtime()
    into = tmp_path / "context"
    snapshot(tree, made, into)
    assert content_key(into, made, BASE) == content_key(tree, made, BASE)
    assert not (into / "README.md").exists()


@pytest.mark.parametrize("made", [recipe.operator(), recipe.runtime()])
def test_every_file_of_the_real_images_is_found(made: Recipe) -> None:
    names = {path.relative_to(REPOSITORY).as_posix() for path in sources(REPOSITORY, made)}
    other = {"operator": "runtime/modelfleet_runtime", "runtime": "operator"}[made.name]
    assert {made.dockerfile, "pyproject.toml", "uv.lock", "LICENSE"} <= names
    assert "runtime/modelfleet_contract/document.py" in names
    assert not any(name.startswith(other) for name in names)
