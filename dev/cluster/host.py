"""May this host run a node of its own? Every check is a fact and the way out if it fails.

The facts are read in one place and judged in another, so that the judgement is a table
that a test can walk without being on a strange host.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import NamedTuple

from dev.cluster import cgroups
from dev.cluster.folders import cache
from dev.cluster.memory import available_memory
from dev.cluster.packages import program

_OTHERWISE = "or name a cluster that is there: CLUSTER=existing KUBECONFIG=FILE REGISTRY=HOST/PATH"
_GIB = 1024**3
# A first build: modules 2.5 GB, build cache 3.5 GB, parts 0.4 GB.
_BUILD_SPACE = 8 * _GIB
_BUILD_MEMORY = 4 * _GIB
_CAP_SYS_RESOURCE = 24


@dataclass(frozen=True)
class Host:
    """What matters about a host."""

    system: str
    root: bool
    namespaces: str  # empty when they can be made, else what the kernel said
    cgroups: str  # empty when they can be used, else why not
    debian: bool
    built: bool
    free_disk: int
    free_memory: int


class _Check(NamedTuple):
    holds: bool
    otherwise: str


def refusal(host: Host) -> str | None:
    """The first thing that stands in the way, with what would work instead."""
    checks = [
        _Check(
            host.system == "linux",
            f"a node of its own needs Linux, and this is {host.system}: start Docker and install "
            f"kind, {_OTHERWISE}.",
        ),
        _Check(
            host.root,
            "a node of its own needs root (namespaces, mounts, routes): start with sudo, or with "
            f"Docker and kind, {_OTHERWISE}.",
        ),
        _Check(
            host.namespaces == "",
            f"this host allows no new namespaces ({host.namespaces}): in a container, start that "
            f"one with --privileged, {_OTHERWISE}.",
        ),
        _Check(
            host.cgroups == "",
            f"cgroups cannot be made here ({host.cgroups}): in a container, start that one with "
            f"--privileged and --cgroupns=host, {_OTHERWISE}.",
        ),
        _Check(
            host.debian,
            "this host has no apt-get, and some of containerd, runc, the CNI plugins, nftables or "
            f"conntrack are missing: install them by hand, {_OTHERWISE}.",
        ),
        _Check(
            host.built or host.free_disk >= _BUILD_SPACE,
            f"the first start compiles Kubernetes and needs {_BUILD_SPACE // _GIB} GiB free at "
            f"{cache()}, where {host.free_disk / _GIB:.1f} are: set XDG_CACHE_HOME to a larger "
            f"disk, {_OTHERWISE}.",
        ),
        _Check(
            host.built or host.free_memory >= _BUILD_MEMORY,
            f"the first start compiles Kubernetes and needs {_BUILD_MEMORY // _GIB} GiB of free "
            f"memory, where {host.free_memory / _GIB:.1f} are: free some, {_OTHERWISE}.",
        ),
    ]
    return next((check.otherwise for check in checks if not check.holds), None)


def look(built: bool, packages_missing: bool) -> Host:
    """Read the facts; on a system that is not Linux most of them have no meaning."""
    linux = sys.platform == "linux"
    root = linux and os.geteuid() == 0
    return Host(
        system=sys.platform,
        root=root,
        namespaces=_try_namespaces() if root else "",
        cgroups=cgroups.obstacle() if root else "",
        debian=not packages_missing or program("apt-get") is not None,
        built=built,
        free_disk=_free_disk(),
        free_memory=available_memory() if linux else 0,
    )


def may_raise_limits(process_status: str) -> bool:
    """Whether CAP_SYS_RESOURCE is there. Without it runc dies where it is told to lower a
    pod's oom_score_adj, so containerd has to be told not to."""
    for line in process_status.splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
    return False


def _try_namespaces() -> str:
    """Make what a node is made of, and let it go: the honest way to know."""
    unshare = program("unshare")
    ip = program("ip")
    if unshare is None or ip is None:
        return ""  # not installed yet; the packages come first and then the start tells
    kinds = ["--mount", "--net", "--pid", "--ipc", "--uts", "--cgroup", "--fork"]
    veth = [ip, "link", "add", "mf0", "type", "veth", "peer", "name", "mf1"]
    tried = subprocess.run([unshare, *kinds, *veth], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else (tried.stderr.strip() or "no reason given")


def _free_disk() -> int:
    folder = cache()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
