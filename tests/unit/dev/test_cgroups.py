"""Where a node's cgroups go, on hosts of either version."""

from pathlib import Path

import pytest

from dev.cluster import cgroups

V1 = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
35 31 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_OWN = "4:memory:/jobs/7\n3:cpu,cpuacct:/\n2:name=systemd:/user.slice\n0::/\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_IN_A_CONTAINER = (
    "33 31 0:30 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
)


@pytest.mark.parametrize(
    ("mounts", "own", "expected"),
    [
        pytest.param(
            V1,
            V1_OWN,
            [
                "/sys/fs/cgroup/cpu,cpuacct/node",
                "/sys/fs/cgroup/memory/jobs/7/node",
                "/sys/fs/cgroup/systemd/user.slice/node",
            ],
            id="v1: below the caller's own cgroup in each hierarchy; v2's mount is left alone",
        ),
        pytest.param(
            V2,
            "0::/user.slice/session-3.scope\n",
            ["/sys/fs/cgroup/node"],
            id="v2: below the top, since the caller's own cgroup has processes",
        ),
        pytest.param(
            V1_IN_A_CONTAINER,
            "4:memory:/docker/abc\n",
            ["/sys/fs/cgroup/memory/node"],
            id="v1 in a container: the mount shows a part of the hierarchy",
        ),
        pytest.param("", "", [], id="nothing is mounted"),
    ],
)
def test_where_the_cgroups_of_a_node_go(mounts: str, own: str, expected: list[str]) -> None:
    found = [str(path) for path in cgroups.node_folders(mounts, own, "node")]
    assert found == expected


def test_a_tree_of_cgroups_is_removed_deepest_first_and_twice_is_no_error(tmp_path: Path) -> None:
    top = tmp_path / "node"
    (top / "kubepods" / "burstable" / "pod1").mkdir(parents=True)
    assert cgroups.remove([top], []) == []
    assert not top.exists()
    assert cgroups.remove([top], []) == []


def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    top = tmp_path / "node"
    top.mkdir()
    (top / "in-the-way").touch()
    assert cgroups.remove([top], [], patience=0) == [top]


def test_processes_are_found_at_any_depth(tmp_path: Path) -> None:
    inner = tmp_path / "node" / "kubepods"
    inner.mkdir(parents=True)
    (inner.parent / "cgroup.procs").write_text("12\n")
    (inner / "cgroup.procs").write_text("34\n56\n")
    assert cgroups.processes([tmp_path / "node"]) == {12, 34, 56}
