"""Which way leads to a cluster here?

1. ``existing``: the cluster of KUBECONFIG, only when CLUSTER=existing says so. A KUBECONFIG
   that happens to be set must never make a test run delete things in a real cluster.
2. ``kind``, where kind is installed and a Docker engine answers.
3. ``own``: one node of our own, without Docker.

A cluster that is up keeps its way, whatever the environment says later.
"""

import os
from pathlib import Path
from types import MappingProxyType

from dev.cluster import existing, kind, own
from dev.cluster.access import Way
from dev.cluster.errors import Refused
from dev.cluster.files import read_json
from dev.cluster.folders import ClusterFolder

WAYS: MappingProxyType[str, Way] = MappingProxyType(
    {"existing": existing, "kind": kind, "own": own}
)


def choose(asked: str, docker_answers: bool) -> str:
    """The name of the way. ``asked`` is CLUSTER, empty when unset."""
    if asked:
        if asked not in WAYS:
            raise Refused(f"CLUSTER={asked} is not known: say existing, kind or own, or unset it.")
        return asked
    return "kind" if docker_answers else "own"


def of(folder: ClusterFolder) -> str:
    """The way that this cluster came by, or that it would."""
    kept = read_json(remembered(folder))
    if kept and kept.get("way") in WAYS:
        return str(kept["way"])
    asked = os.environ.get("CLUSTER", "")
    return choose(asked, not asked and kind.answers())


def remembered(folder: ClusterFolder) -> Path:
    # Beside the folder, which a way may empty.
    return folder.path.with_name(f".{folder.name}.way")
