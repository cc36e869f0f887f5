"""How is kind used, where a Docker engine answers?

Kept thin, and not proven: the machine on which this room was written has no Docker engine, so
none of these commands has been run. What kind does by itself (DNS, storage) is left to it;
metrics are added, and the host's disk is mounted into its node for hostPath volumes.
"""

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from dev.cluster import addons, build
from dev.cluster.access import Access
from dev.cluster.errors import Refused
from dev.cluster.files import locked, write_whole
from dev.cluster.folders import ClusterFolder
from dev.cluster.say import say

# Where the node sees the host's /.
_HOST_DISK = Path("/host")


def answers() -> bool:
    """Whether kind is installed and an engine is there to run it."""
    if not shutil.which("kind") or not shutil.which("docker"):
        return False
    asked = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return asked.returncode == 0


def config() -> str:
    return json.dumps(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "nodes": [
                {
                    "role": "control-plane",
                    "extraMounts": [{"hostPath": "/", "containerPath": str(_HOST_DISK)}],
                }
            ],
        }
    )


def check() -> None:
    if not answers():
        raise Refused(
            "CLUSTER=kind needs kind and docker on PATH and a running Docker engine: start it, or "
            "unset CLUSTER for a node without Docker."
        )


def up(folder: ClusterFolder, audit: bool) -> Access:
    with locked(folder.lock, f"another start or stop of {folder.name}"):
        there = access(folder)
        if there:
            return there
        say(f"kind creates the cluster {_name(folder)} (usually a minute; more at the first time)")
        settings = folder.path / "kind.json"
        write_whole(settings, config())
        _kind("create", "cluster", "--name", _name(folder), "--config", str(settings),
              "--kubeconfig", str(folder.kubeconfig), "--wait", "180s")  # fmt: skip
        load(folder, [addons.archive("metrics-server")])
        kubectl = build.ensure() / "kubectl"
        addons.apply(kubectl, folder.kubeconfig, addons.metrics(kubelet_ca=False))
        return _access(folder)


def access(folder: ClusterFolder) -> Access | None:
    if not folder.kubeconfig.exists() or not answers():
        return None
    return _access(folder) if _name(folder) in _kind("get", "clusters").split() else None


def down(folder: ClusterFolder) -> None:
    with locked(folder.lock, f"another start or stop of {folder.name}"):
        _kind("delete", "cluster", "--name", _name(folder))
        folder.kubeconfig.unlink(missing_ok=True)


def load(folder: ClusterFolder, archives: Sequence[Path]) -> None:
    for archive in archives:
        _kind("load", "image-archive", str(archive), "--name", _name(folder))


def _access(folder: ClusterFolder) -> Access:
    return Access(
        kubeconfig=folder.kubeconfig,
        host_ip=_gateway(),
        node_fs=_HOST_DISK,
        node=f"{_name(folder)}-control-plane",
    )


def _name(folder: ClusterFolder) -> str:
    return f"modelfleet-{folder.name}"


def _gateway() -> str | None:
    """The host's address on kind's network; IPv6 comes first where there is any."""
    asked = subprocess.run(
        ["docker", "network", "inspect", "kind"], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        return None
    blocks = json.loads(asked.stdout)[0]["IPAM"]["Config"]
    gateways = [block.get("Gateway", "") for block in blocks]
    return next((gateway for gateway in gateways if "." in gateway), None)


def _kind(*arguments: str) -> str:
    done = subprocess.run(["kind", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Refused(
            f"kind {arguments[0]} {arguments[1]} failed ({done.stderr.strip()}): see kind's own "
            "help, or take CLUSTER=own."
        )
    return done.stdout
