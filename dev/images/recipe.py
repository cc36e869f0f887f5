"""Which images are there, what goes into each, and when is one the same as before?

The Dockerfile itself says what goes in: the files that its COPY lines name. The key is made
from exactly these, so that a change of a document, a test or the other image builds nothing.
"""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FLAVORS = ("onnx", "torch")
_NEVER_COPIED = ("__pycache__",)


@dataclass(frozen=True)
class Recipe:
    """One image as it is to be built."""

    name: str
    flavor: str = ""  # only the runtime comes in flavours
    torch_index: str = ""

    @property
    def title(self) -> str:
        return f"{self.name} ({self.flavor})" if self.flavor else self.name

    @property
    def dockerfile(self) -> str:
        return f"Dockerfile.{self.name}"

    @property
    def arguments(self) -> Mapping[str, str]:
        """The build arguments, beside the base."""
        given = {"FLAVOR": self.flavor, "TORCH_INDEX": self.torch_index}
        return {name: value for name, value in given.items() if value}

    def tag(self, key: str) -> str:
        return f"{key}-{self.flavor}" if self.flavor else key

    def reference(self, key: str) -> str:
        return f"localhost/modelfleet/{self.name}:{self.tag(key)}"


def operator() -> Recipe:
    return Recipe("operator")


def router() -> Recipe:
    return Recipe("router")


def runtime(flavor: str = "onnx", torch_index: str = "") -> Recipe:
    return Recipe("runtime", flavor, torch_index if flavor == "torch" else "")


def content_key(tree: Path, recipe: Recipe, base: str) -> str:
    """12 hex digits that change with whatever changes the image. `base` names its content."""
    digest = hashlib.sha256()
    for part in (base, *(f"{name}={value}" for name, value in sorted(recipe.arguments.items()))):
        digest.update(part.encode() + b"\0")
    for path in sources(tree, recipe):
        content = path.read_bytes()
        executable = path.stat().st_mode & 0o100
        name = path.relative_to(tree).as_posix()
        digest.update(f"{name}\0{executable}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


def sources(tree: Path, recipe: Recipe) -> list[Path]:
    """The Dockerfile and every file that it copies, in a fixed order."""
    dockerfile = tree / recipe.dockerfile
    found = {dockerfile}
    for name in copied(dockerfile.read_text()):
        found.update(_files(tree / name))
    return sorted(found)


def copied(dockerfile: str) -> list[str]:
    """What the COPY lines take from the working tree (and not from another stage)."""
    names: list[str] = []
    for line in dockerfile.splitlines():
        words = line.split()
        if words[:1] == ["COPY"] and not any(word.startswith("--from") for word in words):
            names += [word for word in words[1:-1] if not word.startswith("--")]
    return names


def snapshot(tree: Path, recipe: Recipe, into: Path) -> None:
    """Copy the sources: then what the key is made from is built, even if somebody edits."""
    for path in sources(tree, recipe):
        target = into / path.relative_to(tree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for inner in path.rglob("*"):
        cached = any(part in _NEVER_COPIED for part in inner.parts)
        if inner.is_file() and not cached and inner.suffix not in (".pyc", ".pyo"):
            yield inner
