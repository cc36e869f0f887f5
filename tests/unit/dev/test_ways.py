"""Which way leads to a cluster, what its name may be, and how the tool answers."""

import json
from pathlib import Path

import pytest

from dev.cluster import existing, kind, logs, ways
from dev.cluster.__main__ import main
from dev.cluster.errors import Refused
from dev.cluster.files import is_locked, locked, write_whole
from dev.cluster.folders import cluster_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("CLUSTER", "CLUSTER_NAME", "KUBECONFIG", "REGISTRY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("asked", "docker", "way"),
    [
        pytest.param("", False, "own", id="nothing asked, no Docker"),
        pytest.param("", True, "kind", id="nothing asked, Docker and kind answer"),
        pytest.param("own", True, "own", id="asked for, although Docker is there"),
        pytest.param("existing", False, "existing", id="asked for by name"),
    ],
)
def test_which_way_is_taken(asked: str, docker: bool, way: str) -> None:
    assert ways.choose(asked, docker) == way


def test_an_unknown_way_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Refused, match="existing, kind or own"):
        ways.choose("minikube", False)


def test_a_kubeconfig_alone_never_selects_an_existing_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere")
    monkeypatch.setattr(kind, "answers", lambda: False)
    assert ways.of(cluster_folder("dev")) == "own"


def test_a_cluster_keeps_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cluster_folder("dev")
    write_whole(ways.remembered(folder), json.dumps({"way": "own"}))
    monkeypatch.setenv("CLUSTER", "kind")
    assert ways.of(folder) == "own"


def test_an_existing_cluster_needs_its_registry_and_its_kubeconfig(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(Refused, match="REGISTRY"):
        existing.check()
    monkeypatch.setenv("REGISTRY", "registry.example/team")
    with pytest.raises(Refused, match="KUBECONFIG"):
        existing.check()
    with pytest.raises(Refused, match=r"registry\.example/team"):
        existing.load(cluster_folder("dev"), [Path("x.tar")])


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a/b", "a.b", "1a", "a" * 31])
def test_a_name_that_could_not_be_a_host_name_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="lower-case"):
        cluster_folder(name)


def test_the_way_of_kind_mounts_the_hosts_disk() -> None:
    mounts = json.loads(kind.config())["nodes"][0]["extraMounts"]
    assert mounts == [{"hostPath": "/", "containerPath": "/host"}]


def test_a_refused_start_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "existing")
    assert main(["up", "--name", "dev"]) == 1
    assert "REGISTRY" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cluster_that_is_not_up_has_no_kubeconfig(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLUSTER", "own")
    assert main(["kubeconfig", "--name", "absent"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "'absent' is not up" in printed.err


def test_stopping_what_never_ran_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER", "own")
    assert main(["down", "--name", "absent"]) == 0


def test_an_absent_archive_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "--name", "dev", "/no/such.tar"]) == 1
    assert "/no/such.tar" in capsys.readouterr().err


def test_a_lock_is_free_after_its_holder(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", "nothing"):
        assert is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock")
    assert not is_locked(tmp_path / "absent")


def test_each_container_is_asked_for_its_log_and_for_the_one_before_if_it_had_a_life_before() -> (
    None
):
    pod = {
        "metadata": {"namespace": "a", "name": "p"},
        "status": {
            "initContainerStatuses": [{"name": "fetch", "restartCount": 0}],
            "containerStatuses": [{"name": "serve", "restartCount": 2}],
        },
    }
    pending = {"metadata": {"namespace": "a", "name": "q"}, "status": {}}
    assert logs.containers_in({"items": [pod, pending]}) == [
        ("a", "p", "fetch", False),
        ("a", "p", "serve", True),
    ]
