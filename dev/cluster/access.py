"""What does a way hand over when its cluster is up, and what must a way be able to do?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dev.cluster.folders import ClusterFolder


@dataclass(frozen=True)
class Access:
    """How to reach a cluster. None: this way does not offer it."""

    kubeconfig: Path
    host_ip: str | None = None  # under which pods reach a server on this host
    node_fs: Path | None = None  # where a hostPath volume finds this host's /
    audit_log: Path | None = None
    component_logs: Path | None = None
    node: str = ""


class Way(Protocol):
    """One way to a cluster; each is a module with these functions, every one safe to repeat."""

    def check(self) -> None:
        """Refuse at once, before anything is written, when this way cannot be gone here."""

    def up(self, folder: ClusterFolder, audit: bool) -> Access: ...

    def access(self, folder: ClusterFolder) -> Access | None:
        """None when that cluster is not up and answering."""

    def down(self, folder: ClusterFolder) -> None: ...

    def load(self, folder: ClusterFolder, archives: Sequence[Path]) -> None:
        """Make images of OCI archives known to the nodes."""
