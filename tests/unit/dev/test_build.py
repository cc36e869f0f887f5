"""By which key a compiled part is kept, and which tools are good enough to make it."""

import pytest

from dev.cluster import assets, build, toolchain

SOURCES = {"go.mod": b"module x", "main.go": b"package main"}


@pytest.mark.parametrize(
    ("sources", "settings"),
    [
        pytest.param({**SOURCES, "go.mod": b"module y"}, ["1.26"], id="a version changed"),
        pytest.param({**SOURCES, "main.go": b"package x"}, ["1.26"], id="the source changed"),
        pytest.param({**SOURCES, "etcd.go": b""}, ["1.26"], id="a file was added"),
        pytest.param({"go.mod": b"module xp", "main.go": b"ackage main"}, ["1.26"], id="moved"),
        pytest.param(SOURCES, ["1.27"], id="another Go"),
        pytest.param(SOURCES, ["1.2", "6"], id="settings are not run together"),
    ],
)
def test_a_part_made_from_something_else_has_another_key(
    sources: dict[str, bytes], settings: list[str]
) -> None:
    assert build.key(sources, settings) != build.key(SOURCES, ["1.26"])


def test_the_order_of_files_does_not_matter() -> None:
    backwards = dict(reversed(SOURCES.items()))
    assert build.key(backwards, ["1.26"]) == build.key(SOURCES, ["1.26"])


def test_every_part_has_its_source_and_a_version() -> None:
    for part in (*build.PARTS, build.ENVOY_GATEWAY):
        assert (part.source / "go.mod").is_file()
        assert not part.module or part.version.startswith("v")


def test_the_staging_modules_have_the_version_of_kubernetes() -> None:
    kubernetes = build.PARTS[0]
    staging = kubernetes.version.replace("v1.", "v0.", 1)
    replaced = [
        line
        for line in (kubernetes.source / "go.mod").read_text().splitlines()
        if "=>" in line and "k8s.io/" in line
    ]
    assert replaced
    assert all(line.endswith(f" {staging}") for line in replaced)


def test_the_linker_writes_the_version_into_the_programs() -> None:
    settings = build.linker_settings(build.PARTS[0])
    assert f"gitVersion={build.PARTS[0].version}" in settings
    assert "gitMajor=1" in settings


@pytest.mark.parametrize(
    ("go_mod", "version"),
    [
        ("require helm.sh/helm/v4 v4.3.1\n", "v4.3.1"),
        ("require (\n\tx.y/z v0.1.0\n\thelm.sh/helm/v4 v4.3.1\n)\n", "v4.3.1"),
        ("require (\n\thelm.sh/helm/v4/sub v9.0.0\n\thelm.sh/helm/v4 v4.3.1 // x\n)\n", "v4.3.1"),
    ],
)
def test_a_parts_version_is_read_from_its_go_mod(go_mod: str, version: str) -> None:
    assert build.version_in(go_mod, "helm.sh/helm/v4") == version


@pytest.mark.parametrize(
    ("line", "serves"),
    [
        ("go version go1.26.6 linux/amd64", True),
        ("go version go1.26.11 linux/arm64", True),
        ("go version go1.26.5 linux/amd64", False),
        ("go version go1.26 linux/amd64", False),
        ("go version go1.27.1 linux/amd64", False),
        ("go version go1.25.9 linux/amd64", False),
        ("", False),
    ],
)
def test_which_go_serves(line: str, serves: bool) -> None:
    assert toolchain.serves(line) is serves


@pytest.mark.parametrize(
    ("reported", "used"),
    [
        pytest.param({}, [], id="an empty folder"),
        pytest.param(
            {"etcd": "etcd Version: 3.6.4", "kube-apiserver": "Kubernetes v1.36.0"},
            ["etcd", "kube-apiserver"],
            id="the same minor version",
        ),
        pytest.param(
            {"etcd": "etcd Version: 3.5.9", "kube-apiserver": "Kubernetes v1.35.4"},
            ["etcd"],
            id="an older API server would be behind the kubelet",
        ),
        pytest.param({"kubectl": "Client Version: v1.3.36"}, [], id="a look-alike version"),
    ],
)
def test_which_of_the_assets_serve(reported: dict[str, str], used: list[str]) -> None:
    assert assets.serving("v1.36.3", reported) == used
