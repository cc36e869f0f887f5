"""Where does everything lie, and which names may a cluster have?

Everything is below one folder, so that removing it removes all that this tool ever made::

    $XDG_CACHE_HOME/modelfleet/
      go/              the module cache, the build cache while building, a private Go
      parts/NAME/KEY/  one compiled part; KEY says from what it was made
      bin/KEY/         links to one consistent set of parts: kubectl, helm, kubelet, ...
      images/          the images of pause, CoreDNS and metrics-server
      clusters/NAME/   one cluster: kubeconfig, keys, configuration, logs, the node's disk
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import Refused

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PARTS_SOURCE = Path(__file__).resolve().parent / "parts"
MANIFESTS = Path(__file__).resolve().parent / "manifests"

# A name becomes part of host names, cgroups and file names.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home).absolute() / "modelfleet"


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refused(
            f"{name!r} cannot be a cluster's name: use up to 30 lower-case letters, digits "
            "and dashes, beginning with a letter."
        )
    return name


@dataclass(frozen=True)
class ClusterFolder:
    """The files of one cluster."""

    name: str
    path: Path

    @property
    def tag(self) -> str:
        """Short and unique on the host: two caches may both hold a cluster named dev."""
        return hashlib.sha256(str(self.path).encode()).hexdigest()[:8]

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def lock(self) -> Path:
        # Beside the folder and not in it, since ``down`` empties the folder while holding it.
        return self.path.with_name(f".{self.name}.lock")

    @property
    def alive(self) -> Path:
        """The node's init holds a lock on this file for as long as it lives."""
        return self.path / "alive.lock"

    @property
    def run(self) -> Path:
        return self.path / "run.json"

    @property
    def init(self) -> Path:
        return self.path / "init.json"

    @property
    def pki(self) -> Path:
        return self.path / "pki"

    @property
    def etc(self) -> Path:
        return self.path / "etc"

    @property
    def disk(self) -> Path:
        """What the node sees as its own /var/lib/... and /var/log."""
        return self.path / "disk"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def audit_log(self) -> Path:
        return self.log / "audit.log"


def clusters() -> Path:
    return cache() / "clusters"


def cluster_folder(name: str) -> ClusterFolder:
    return ClusterFolder(checked_name(name), clusters() / name)


def all_clusters() -> list[ClusterFolder]:
    if not clusters().is_dir():
        return []
    return [
        ClusterFolder(entry.name, entry)
        for entry in sorted(clusters().iterdir())
        if entry.is_dir() and _NAME.fullmatch(entry.name)
    ]
