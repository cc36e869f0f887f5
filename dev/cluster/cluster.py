"""How does a test or a script hold a cluster in its hand?

``Cluster.up("e2e")`` gives one; ``[cluster.kubectl, "--kubeconfig", cluster.kubeconfig, ...]``
is then a command on it.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dev.cluster import build, logs, processes, ways
from dev.cluster.access import Access
from dev.cluster.errors import Refused
from dev.cluster.files import write_whole
from dev.cluster.folders import ClusterFolder, cluster_folder

T = TypeVar("T")


@dataclass(frozen=True)
class Cluster:
    """A cluster that was up when this was made."""

    name: str
    way: str
    access: Access

    @classmethod
    def up(cls, name: str = "dev", audit: bool = True) -> "Cluster":
        """Start it, or take the one of that name that is already up and answering."""
        folder = cluster_folder(name)
        way = ways.of(folder)
        ways.WAYS[way].check()
        began_here = not ways.remembered(folder).exists()
        # Before the start, so that ``down`` finds the way of a start that was killed.
        write_whole(ways.remembered(folder), json.dumps({"way": way}))
        try:
            return cls(name, way, ways.WAYS[way].up(folder, audit))
        except Refused:
            if began_here:
                ways.remembered(folder).unlink(missing_ok=True)
            raise

    @classmethod
    def find(cls, name: str = "dev") -> "Cluster | None":
        """The one that is up; None where there is none."""
        folder = cluster_folder(name)
        way = ways.of(folder)
        access = ways.WAYS[way].access(folder)
        return cls(name, way, access) if access else None

    @property
    def kubeconfig(self) -> Path:
        return self.access.kubeconfig

    @property
    def kubectl(self) -> Path:
        return self._tool("kubectl")

    @property
    def helm(self) -> Path:
        return self._tool("helm")

    @property
    def node_fs(self) -> Path:
        """Where a hostPath volume finds this host's ``/``."""
        return self._offered(self.access.node_fs, "this host's files to its pods")

    @property
    def host_ip(self) -> str:
        """The address under which pods reach a server on this host."""
        return self._offered(self.access.host_ip, "an address of this host to its pods")

    @property
    def audit_log(self) -> Path:
        """A line of JSON for each request to the API server."""
        return self._offered(self.access.audit_log, "an audit log")

    @property
    def node(self) -> str:
        """The name of its node, where it has one of its own."""
        return self.access.node

    def load(self, archives: Sequence[Path]) -> None:
        """Make the images in these OCI archives known to the node."""
        ways.WAYS[self.way].load(self._folder, archives)

    def collect(self, folder: Path) -> Path:
        """Keep everything that explains a failure in the folder (see ``logs``)."""
        logs.collect(self.access, self.kubectl, folder)
        return folder

    def processes(self, pod_uid: str) -> list[int]:
        """The numbers, on this host, of the processes in a pod's containers."""
        return processes.of_pod(self._own_folder("processes"), pod_uid)

    def program(self, name: str) -> int:
        """The number, on this host, of one of the node's programs, such as kube-apiserver."""
        return processes.of_program(self._own_folder("programs"), name)

    def down(self) -> None:
        down(self.name)

    def _own_folder(self, called: str) -> ClusterFolder:
        self._offered(True if self.way == "own" else None, f"its {called} to this host")
        return self._folder

    def _tool(self, name: str) -> Path:
        # Whoever has a cluster already has its tools, and need not compile Kubernetes for them.
        on_path = shutil.which(name) if self.way == "existing" else None
        return Path(on_path) if on_path else build.ensure() / name

    @property
    def _folder(self) -> ClusterFolder:
        return cluster_folder(self.name)

    def _offered(self, what: T | None, called: str) -> T:
        if what is None:
            raise Refused(
                f"the cluster {self.name!r} ({self.way}) does not offer {called}: use CLUSTER=own."
            )
        return what


def down(name: str) -> None:
    """Stop it. Safe to repeat, and on a start that was killed half-way."""
    folder = cluster_folder(name)
    ways.WAYS[ways.of(folder)].down(folder)
    ways.remembered(folder).unlink(missing_ok=True)
