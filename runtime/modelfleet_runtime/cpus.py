"""How many threads the container may really use.

`os.cpu_count` tells the host's cores; a container with a quota of one core that starts 64 threads
is throttled by the kernel for most of every period.
"""

import math
import os
from pathlib import Path


def usable_cpus(root: Path = Path("/")) -> int:
    """Cores by the cgroup's quota (version 2, then 1) and the CPU mask, rounded up, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cgroup_quota(root)
    return max(1, min(cores or 1, math.ceil(quota)) if quota else cores or 1)


def thread_variables(threads: int) -> dict[str, str]:
    """Variables that tell numerical libraries of a model's own code, which read them when they are
    loaded, how many threads to start."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {name: str(threads) for name in names}


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """The least quota, in cores, between the process's cgroup and the root; None for no quota."""
    quotas = [q for folder in _v2_folders(root) if (q := _v2(folder))]
    quotas += [q for folder in _v1_folders(root) if (q := _v1(folder))]
    return min(quotas, default=None)


def _v2_folders(root: Path) -> list[Path]:
    mount = root / "sys/fs/cgroup"
    return _up_to(mount, _own_path(root, "0::"))


def _v1_folders(root: Path) -> list[Path]:
    for name in ("cpu,cpuacct", "cpu"):
        mount = root / "sys/fs/cgroup" / name
        if mount.is_dir():
            return _up_to(mount, _own_path(root, f":{name}:"))
    return []


def _up_to(mount: Path, own: str) -> list[Path]:
    folder = mount / own.lstrip("/")
    if ".." in Path(own).parts or not folder.is_dir():
        # Inside a container the path may be the host's, which is not mounted here.
        return [mount]
    return [folder, *(p for p in folder.parents if p == mount or mount in p.parents)]


def _own_path(root: Path, mark: str) -> str:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 2)[2] for line in lines if mark in line), "")


def _v2(folder: Path) -> float | None:
    words = _words(folder / "cpu.max")
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _v1(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
