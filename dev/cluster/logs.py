"""What is kept of a cluster when a test on it fails? One folder that answers the usual questions::

    events.txt                     what happened, by time
    pods.txt  nodes.txt            how things stand, as a person would ask
    resources/KIND.yaml            the state of every kind that a test may have touched
    pods/NAMESPACE/POD/            each container's log, and that of its life before
    components/                    logs of the API server, kubelet, ... and the audit log

Nothing here fails: what could not be read says so in its own file.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dev.cluster.access import Access

# The product's own resource first: it is what a failed test is about.
KINDS = (
    "modeldeployments.modelfleet.dev",
    "deployments.apps",
    "replicasets.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "controllerrevisions.apps",
    "pods",
    "services",
    "endpointslices.discovery.k8s.io",
    "configmaps",
    "horizontalpodautoscalers.autoscaling",
    "poddisruptionbudgets.policy",
    "networkpolicies.networking.k8s.io",
    "leases.coordination.k8s.io",
    "persistentvolumeclaims",
    "persistentvolumes",
    "resourcequotas",
    "nodes",
    "namespaces",
    "customresourcedefinitions.apiextensions.k8s.io",
    "apiservices.apiregistration.k8s.io",
)


def collect(access: Access, kubectl: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    base = [str(kubectl), "--kubeconfig", str(access.kubeconfig), "--request-timeout=20s"]

    def keep(name: str, *arguments: str) -> None:
        _keep(folder / name, [*base, *arguments])

    wanted: list[tuple[str, ...]] = [
        ("events.txt", "get", "events", "-A", "--sort-by=.metadata.creationTimestamp"),
        ("events.yaml", "get", "events", "-A", "-o", "yaml"),
        ("pods.txt", "describe", "pods", "-A"),
        ("nodes.txt", "describe", "nodes"),
        ("top.txt", "top", "pods", "-A", "--containers"),
        *((f"resources/{kind}.yaml", "get", kind, "-A", "-o", "yaml") for kind in KINDS),
        *(
            (f"pods/{namespace}/{pod}/{container}{ending}.log", "logs", "--timestamps",
             "-n", namespace, pod, "-c", container, *previous)
            for namespace, pod, container, restarted in _containers(base)
            for ending, previous in ((".before", ["--previous"]), ("", []))
            if restarted or not previous
        ),
    ]  # fmt: skip
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda entry: keep(*entry), wanted))
    if access.component_logs and access.component_logs.is_dir():
        shutil.copytree(
            access.component_logs, folder / "components", symlinks=True, dirs_exist_ok=True
        )


def containers_in(pods: Mapping[str, Any]) -> list[tuple[str, str, str, bool]]:
    """(namespace, pod, container, whether it had a life before) of a list of pods."""
    found = []
    for pod in pods.get("items", []):
        status = pod.get("status", {})
        states = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
        for state in states:
            place = pod["metadata"]
            found.append(
                (place["namespace"], place["name"], state["name"], state["restartCount"] > 0)
            )
    return found


def _containers(base: Sequence[str]) -> list[tuple[str, str, str, bool]]:
    listed = subprocess.run(
        [*base, "get", "pods", "-A", "-o", "json"], capture_output=True, text=True, check=False
    )
    return containers_in(json.loads(listed.stdout)) if listed.returncode == 0 else []


def _keep(file: Path, command: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            out.write(b"could not be read: " + done.stderr)
