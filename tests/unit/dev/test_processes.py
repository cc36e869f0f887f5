"""The processes of a pod and of the node's programs, as this host numbers them."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dev.cluster import processes, sandbox
from dev.cluster.errors import Refused
from dev.cluster.folders import ClusterFolder


@contextmanager
def called(name: str) -> Iterator[int]:
    """A process of that name, which ends with the block."""
    with subprocess.Popen(
        ["bash", "-c", f"echo; exec -a {name} cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdin
        child.stdin.write(b"it runs\n")  # cat says it again: then it has its name
        child.stdin.flush()
        assert child.stdout.readline() == b"\n"
        assert child.stdout.readline() == b"it runs\n"
        yield child.pid
        child.stdin.close()


def test_a_pods_processes_are_those_of_its_containers_that_live(tmp_path: Path) -> None:
    folder = ClusterFolder("c", tmp_path)
    folder.run.write_text(json.dumps({"cgroups": [str(tmp_path / "none"), str(tmp_path / "cg")]}))
    pod = tmp_path / "cg" / "kubepods" / "burstable" / "pod12ab"
    with called("/pause") as pause, called("/usr/bin/server") as server:
        for container, pids in (("a", [pause]), ("b", [server]), ("c", [2**22 + 1])):
            (pod / container).mkdir(parents=True)
            (pod / container / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        assert processes.of_pod(folder, "12ab") == [server]
        assert processes.of_pod(folder, "34cd") == []


def test_a_program_is_a_child_of_the_nodes_first_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = ClusterFolder("c", tmp_path)
    monkeypatch.setattr(sandbox, "init_pid", lambda _: os.getpid())
    with called("/parts/kube-apiserver") as server:
        assert processes.of_program(folder, "kube-apiserver") == server
        with pytest.raises(Refused, match="no program etcd runs on the node of 'c'"):
            processes.of_program(folder, "etcd")
