"""Which cgroups does a node live in, on a host of either version, and how do they go away?

The node gets one cgroup of its own per hierarchy (v1) or one in all (v2), enters it, and
makes a cgroup namespace there: what it sees as ``/`` is that cgroup. So everything that
kubelet and containerd create is below it, and removing that tree removes all of it.

- v1: below the caller's own cgroup, so that limits on the caller hold for the node too.
- v2: below the root of the mount, since a cgroup with processes in it cannot hand
  controllers to children (only the real root may). Controllers that the root does not hand
  out yet are switched on for the time of the node, and off again afterwards.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

V1_NEEDED = ("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio")
V2_NEEDED = ("cpu", "cpuset", "memory", "pids")
_MOUNTS = Path("/proc/self/mountinfo")
_OWN = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Hierarchy:
    """One mounted cgroup hierarchy of the host."""

    version: int
    mount: str  # where the host has it
    root: str  # which cgroup of the hierarchy that mount shows as its top
    controllers: tuple[str, ...]  # for v1; ("name=systemd",) for the one without controllers

    @property
    def folder(self) -> str:
        """The name below /sys/fs/cgroup, as containerd and runc look for it."""
        return Path(self.mount).name


def hierarchies(mountinfo: str) -> list[Hierarchy]:
    """What is mounted. On a hybrid host the v2 mount has no controllers and is left out."""
    found: list[Hierarchy] = []
    seen: set[tuple[str, ...]] = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = [*after.split(maxsplit=2), "", ""][:3]
        if kind == "cgroup2":
            found.append(Hierarchy(2, mount, root, ()))
        elif kind == "cgroup":
            names = [o for o in options.split(",") if o in V1_KNOWN or o.startswith("name=")]
            if tuple(names) not in seen:
                seen.add(tuple(names))
                found.append(Hierarchy(1, mount, root, tuple(names)))
    if any(h.version == 1 and "memory" in h.controllers for h in found):
        return [h for h in found if h.version == 1]
    return [h for h in found if h.version == 2][:1]


V1_KNOWN = frozenset((*V1_NEEDED, "net_cls", "net_prio", "perf_event", "hugetlb", "rdma", "misc"))


def own_path(hierarchy: Hierarchy, proc_cgroup: str) -> Path:
    """The directory of the caller's own cgroup in that hierarchy."""
    for line in proc_cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        if set(controllers.split(",")) & set(hierarchy.controllers):
            # In a container the mount shows only a part of the hierarchy.
            inside = path.removeprefix(hierarchy.root if hierarchy.root != "/" else "")
            return Path(hierarchy.mount + ("/" + inside.strip("/")).rstrip("/"))
    return Path(hierarchy.mount)


def node_folders(mountinfo: str, proc_cgroup: str, name: str) -> list[Path]:
    """Where the node's own cgroups go."""
    return [
        (own_path(h, proc_cgroup) if h.version == 1 else Path(h.mount)) / name
        for h in hierarchies(mountinfo)
    ]


def obstacle() -> str:
    """Why no cgroup could be made here; empty when one can."""
    found = hierarchies(_MOUNTS.read_text())
    if not found:
        return "no cgroup hierarchy is mounted"
    if found[0].version == 1:
        have = {c for h in found for c in h.controllers}
        lacking = [c for c in V1_NEEDED if c not in have]
        places = [own_path(h, _OWN.read_text()) for h in found]
    else:
        root = Path(found[0].mount)
        have = set((root / "cgroup.controllers").read_text().split())
        lacking = [c for c in V2_NEEDED if c not in have]
        places = [root]
        handed_out = set((root / "cgroup.subtree_control").read_text().split())
        inner = (root / "cgroup.type").exists() and (root / "cgroup.procs").read_text().strip()
        if not set(V2_NEEDED) <= handed_out and inner:
            return f"{root} has processes of its own, so it cannot hand controllers to a child"
    if lacking:
        return f"the controllers {', '.join(lacking)} are missing"
    for place in places:
        if not os.access(place, os.W_OK) or _read_only(place):
            return f"{place} is not writable"
    return ""


def plan(name: str) -> list[Path]:
    return node_folders(_MOUNTS.read_text(), _OWN.read_text(), name)


def described() -> list[dict[str, object]]:
    """The host's hierarchies, as the node has to mount them again."""
    return [
        {"version": h.version, "folder": h.folder, "controllers": list(h.controllers)}
        for h in hierarchies(_MOUNTS.read_text())
    ]


def create(folders: list[Path]) -> list[str]:
    """Make them; returns the v2 controllers that were switched on for it."""
    switched: list[str] = []
    for folder in folders:
        parent = folder.parent
        control = parent / "cgroup.subtree_control"
        if control.exists():
            handed_out = control.read_text().split()
            switched = [c for c in V2_NEEDED if c not in handed_out]
            for controller in switched:
                control.write_text(f"+{controller}")
        folder.mkdir(exist_ok=True)
        if (
            (folder / "cpuset.cpus").exists()
            and (parent / "cpuset.cpus").exists()
            and not (folder / "cgroup.subtree_control").exists()
        ):
            # A new v1 cpuset is empty, and nothing can enter an empty one.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (folder / setting).write_text((parent / setting).read_text())
            (folder / "cgroup.clone_children").write_text("1")
    return switched


def processes(folders: list[Path]) -> set[int]:
    """Everything that still lives in them, at any depth."""
    found: set[int] = set()
    for folder in folders:
        for listing in folder.glob("**/cgroup.procs"):
            try:
                found.update(int(pid) for pid in listing.read_text().split())
            except OSError:
                continue  # the cgroup went away meanwhile
    return found


def remove(folders: list[Path], switched: list[str], patience: float = 3.0) -> list[Path]:
    """Remove the trees, deepest first; returns what would not go. The kernel needs a moment
    after the last process before it lets a cgroup go, hence the patience."""
    until = time.monotonic() + patience
    while True:
        left = [folder for folder in folders if not _remove_tree(folder)]
        if not left or time.monotonic() > until:
            break
        time.sleep(0.05)
    for folder in folders:
        control = folder.parent / "cgroup.subtree_control"
        if control.exists() and folder not in left:
            for controller in switched:
                try:
                    control.write_text(f"-{controller}")
                except OSError:
                    break  # another node needs it by now
    return left


def _remove_tree(folder: Path) -> bool:
    try:
        for inner, _, _ in os.walk(folder, topdown=False):
            os.rmdir(inner)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
