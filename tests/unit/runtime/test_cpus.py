"""How many cores may be used? cgroup files of both versions, in a folder of the test's own."""

from pathlib import Path

import pytest

from modelfleet_runtime.cpus import cgroup_quota, usable_cpus


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


CG = "sys/fs/cgroup/"
OWN2 = {"proc/self/cgroup": "0::/kube/pod\n"}
OWN1 = {"proc/self/cgroup": "7:cpu,cpuacct:/docker/x\n1:name=systemd:/\n"}

CASES: list[tuple[str, dict[str, str], float | None]] = [
    ("nothing to read", {}, None),
    ("v2, in a container", {CG + "cpu.max": "150000 100000\n"} | OWN2, 1.5),
    ("v2, no quota", {CG + "cpu.max": "max 100000\n"} | OWN2, None),
    (
        "v2, the least on the way up counts",
        {
            CG + "kube/pod/cpu.max": "400000 100000",
            CG + "kube/cpu.max": "50000 100000",
            CG + "cpu.max": "max 100000",
        }
        | OWN2,
        0.5,
    ),
    (
        "v1, in a container",
        {
            CG + "cpu,cpuacct/cpu.cfs_quota_us": "200000",
            CG + "cpu,cpuacct/cpu.cfs_period_us": "100000",
        }
        | OWN1,
        2.0,
    ),
    (
        "v1, no quota",
        {CG + "cpu/cpu.cfs_quota_us": "-1", CG + "cpu/cpu.cfs_period_us": "100000"} | OWN1,
        None,
    ),
    ("a path that leads out", {"proc/self/cgroup": "0::/../../x", CG + "cpu.max": "1 1"}, 1.0),
]


@pytest.mark.parametrize(
    ("files", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_quota(files: dict[str, str], expected: float | None, tmp_path: Path) -> None:
    assert cgroup_quota(tree(tmp_path, files)) == expected


def test_a_part_of_a_core_is_one_thread(tmp_path: Path) -> None:
    tree(tmp_path, {CG + "cpu.max": "10000 100000"})
    assert usable_cpus(tmp_path) == 1
