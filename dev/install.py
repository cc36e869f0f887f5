"""Installs the operator into a cluster: the images that were built here, and the chart, by helm."""

from dataclasses import dataclass
from pathlib import Path

from dev.commands import run
from dev.images import Images

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


def values(images: Images) -> list[str]:
    """The chart's settings that name these images."""
    operator, runtime = images.operator.reference, images.runtime.reference
    registry, repository, tag = _split(operator)
    _, runtime_repository, runtime_tag = _split(runtime)
    named = {
        "registry": registry,
        "operator.repository": repository,
        "operator.tag": tag,
        "runtime.repository": runtime_repository,
        "runtime.tag": runtime_tag,
        "runtimeTorch.repository": runtime_repository,
        "runtimeTorch.tag": runtime_tag,
    }
    return [
        part for name, value in named.items() for part in ("--set-string", f"image.{name}={value}")
    ]


def _split(reference: str) -> tuple[str, str, str]:
    registry, _, rest = reference.partition("/")
    repository, _, tag = rest.rpartition(":")
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
