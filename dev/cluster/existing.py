"""How is a cluster used that somebody else runs? As KUBECONFIG says, and without touching it.

Nothing is installed in it and nothing is removed from it. Its nodes cannot be handed archives,
so images go through a registry that both sides reach: REGISTRY.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dev.cluster import build
from dev.cluster.access import Access
from dev.cluster.errors import Refused
from dev.cluster.folders import ClusterFolder
from dev.cluster.say import say


def check() -> None:
    _registry()
    _kubeconfig()


def up(folder: ClusterFolder, audit: bool) -> Access:
    there = access(folder)
    if there is None:
        raise Refused(
            f"the cluster of KUBECONFIG ({_kubeconfig()}) does not answer: try kubectl "
            "--kubeconfig with it, or unset CLUSTER for a cluster of this tool's own."
        )
    return there


def access(folder: ClusterFolder) -> Access | None:
    kubeconfig = _kubeconfig()
    kubectl = shutil.which("kubectl") or str(build.ensure() / "kubectl")
    asked = subprocess.run(
        [kubectl, "--kubeconfig", kubeconfig, "get", "--raw", "/readyz", "--request-timeout=10s"],
        capture_output=True,
        check=False,
    )
    return Access(kubeconfig=kubeconfig) if asked.returncode == 0 else None


def down(folder: ClusterFolder) -> None:
    say("the cluster of KUBECONFIG was there before and stays as it is")


def load(folder: ClusterFolder, archives: Sequence[Path]) -> None:
    raise Refused(
        f"images reach an existing cluster only through its registry: push them to {_registry()} "
        "(for instance: buildah push IMAGE docker://$REGISTRY/IMAGE)."
    )


def _kubeconfig() -> Path:
    named = os.environ.get("KUBECONFIG", "")
    if not named:
        raise Refused("CLUSTER=existing needs KUBECONFIG to name that cluster's kubeconfig.")
    path = Path(named)
    if not path.is_file():
        raise Refused(f"KUBECONFIG={named} is not one readable file: name exactly one.")
    return path.absolute()


def _registry() -> str:
    registry = os.environ.get("REGISTRY", "")
    if not registry:
        raise Refused(
            "CLUSTER=existing needs REGISTRY, the registry from which that cluster pulls: "
            "REGISTRY=registry.example/team."
        )
    return registry
