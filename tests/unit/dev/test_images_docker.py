"""What is a Docker engine asked, where there is one? A script stands in for the client."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.images import recipe
from dev.images.docker import Docker

REFERENCE = "localhost/modelfleet/runtime:0123456789ab-torch"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Path]:
    """Put a `docker` on the PATH that writes down what it is asked."""

    def put(exit_code: int) -> Path:
        asked = tmp_path / "asked"
        script = tmp_path / "docker"
        script.write_text(f'#!/bin/sh\necho "$*" >> {asked}\nexit {exit_code}\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return asked

    return put


def test_a_client_without_an_engine_is_no_docker(client: Callable[[int], Path]) -> None:
    client(1)
    assert not Docker.answers()


def test_no_client_is_no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not Docker.answers()


def test_an_engine_builds_and_saves(client: Callable[[int], Path], tmp_path: Path) -> None:
    asked = client(0)
    assert Docker.answers()
    made = recipe.runtime("torch", "https://index.example/cpu")
    archive = tmp_path / "image.tar"
    Docker().build(made, "own/base:1", tmp_path, REFERENCE, archive, tmp_path / "log")
    _, build, save = asked.read_text().splitlines()
    assert build.startswith(f"build --progress=plain --file {tmp_path}/Dockerfile.runtime")
    assert build.endswith(str(tmp_path))
    for argument in ("BASE=own/base:1", "FLAVOR=torch", "TORCH_INDEX=https://index.example/cpu"):
        assert f"--build-arg {argument}" in build
    assert save == f"save --output {archive} {REFERENCE}"


def test_without_a_base_the_dockerfile_names_it(
    client: Callable[[int], Path], tmp_path: Path
) -> None:
    asked = client(0)
    Docker().build(recipe.operator(), "", tmp_path, REFERENCE, tmp_path / "x", tmp_path / "log")
    assert "BASE=" not in asked.read_text()
