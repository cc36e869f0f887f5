"""Which processes of the host are a pod's, or a program's of the node? For tests that kill them.

Only the own node has them on this host. They are known by the node's own cgroups, and by being
children of its process 1.
"""

from pathlib import Path

from dev.cluster import sandbox
from dev.cluster.errors import Refused
from dev.cluster.files import read_json
from dev.cluster.folders import ClusterFolder

_PAUSE = "pause"


def of_pod(folder: ClusterFolder, uid: str) -> list[int]:
    """Of its containers, without the one that holds the pod's namespaces; lowest number first."""
    run = read_json(folder.run) or {}
    for place in run.get("cgroups", []):
        found: set[int] = set()
        for listing in Path(place).glob(f"**/*{uid}/**/cgroup.procs"):
            try:
                found.update(int(pid) for pid in listing.read_text().split())
            except OSError:
                continue  # the container ended meanwhile
        if found:
            return sorted(pid for pid in found if _name(pid) not in ("", _PAUSE))
    return []


def of_program(folder: ClusterFolder, name: str) -> int:
    """One of the node's own programs, such as kube-apiserver. Raises `Refused`: it does not run."""
    first = sandbox.init_pid(folder)
    if first is not None:
        for listing in Path(f"/proc/{first}/task").glob("*/children"):
            for pid in map(int, listing.read_text().split()):
                if _name(pid) == name:
                    return pid
    raise Refused(f"no program {name} runs on the node of {folder.name!r}.")


def _name(pid: int) -> str:
    """As it was called, since several of the node's programs are one file. Empty: it is gone."""
    try:
        called = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return ""
    return Path(called.decode(errors="replace")).name
