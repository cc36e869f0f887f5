"""Installs the operator into a cluster: the images that were built here, and the chart, by helm."""

import os
from dataclasses import dataclass
from pathlib import Path

from dev.cluster import Cluster
from dev.commands import run
from dev.images import Image, Images, Refused, builds

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "helm" / "modelfleet"
RELEASE = "modelfleet"
NAMESPACE = "modelfleet-system"


@dataclass(frozen=True)
class Tools:
    """How a cluster is spoken to."""

    kubectl: Path
    helm: Path
    kubeconfig: Path

    def kubectl_command(self, *args: str) -> list[str]:
        return [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), *args]

    def helm_command(self, *args: str) -> list[str]:
        return [str(self.helm), "--kubeconfig", str(self.kubeconfig), *args]


def place(cluster: Cluster, images: Images) -> Images:
    """Makes the images known to the cluster; what they are called there."""
    every = [images.operator, images.runtime, images.router]
    if cluster.way != "existing":
        cluster.load([image.archive for image in every])
        return images
    registry = os.environ.get("REGISTRY", "")
    if not registry:
        raise Refused("CLUSTER=existing fetches its images: say from where with REGISTRY=...")
    # As Docker does: a registry on this machine may do without TLS.
    local = registry.partition("/")[0].partition(":")[0] in ("localhost", "127.0.0.1")
    pushed = builds.push(every, registry, insecure=local)
    return Images(*(Image(name, each.archive) for name, each in zip(pushed, every, strict=True)))


def values(images: Images) -> list[str]:
    """The chart's settings that name these images."""
    operator, runtime = images.operator.reference, images.runtime.reference
    registry, repository, tag = _split(operator)
    _, runtime_repository, runtime_tag = _split(runtime)
    _, router_repository, router_tag = _split(images.router.reference)
    named = {
        "registry": registry,
        "operator.repository": repository,
        "operator.tag": tag,
        "runtime.repository": runtime_repository,
        "runtime.tag": runtime_tag,
        "runtimeTorch.repository": runtime_repository,
        "runtimeTorch.tag": runtime_tag,
        "router.repository": router_repository,
        "router.tag": router_tag,
    }
    return [
        part for name, value in named.items() for part in ("--set-string", f"image.{name}={value}")
    ]


def _split(reference: str) -> tuple[str, str, str]:
    path, _, tag = reference.rpartition(":")
    registry, _, repository = path.partition("/")
    return registry, repository, tag


def install(tools: Tools, images: Images, *more: str) -> None:
    """Installs or upgrades, and returns when the operator runs. Raises `commands.Failed`."""
    run(
        tools.helm_command(
            "upgrade", "--install", RELEASE, str(CHART),
            "--namespace", NAMESPACE, "--create-namespace", "--take-ownership",
            *values(images), *more,
            "--wait", "--timeout", "3m",
        )
    )  # fmt: skip
