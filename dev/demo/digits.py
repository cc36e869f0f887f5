"""The digits example on a cluster: apply it, wait for it, and let it read the held-out images."""

from pathlib import Path

from dev.commands import run
from dev.install import ROOT, Tools

EXAMPLE = ROOT / "examples" / "digits"
PUBLISHED_IMAGE = "modelfleet/runtime:0.1.0-onnx"
"""What the example's manifests name; here it is the image that was just built."""


def _manifest(tools: Tools, folder: Path, runtime: str) -> str:
    text = run([str(tools.kubectl), "kustomize", str(folder)])
    return text.replace(f"image: {PUBLISHED_IMAGE}", f"image: {runtime}")


def serve(tools: Tools, namespace: str, runtime: str, *, timeout_s: int = 180) -> None:
    """Applies the model store and the ModelDeployment; returns when it is Ready."""
    kubectl = tools.kubectl_command("--namespace", namespace)
    manifest = _manifest(tools, EXAMPLE, runtime)
    run([*kubectl, "apply", "--filename", "-"], stdin=manifest)
    ready = ["--for=condition=Ready", f"--timeout={timeout_s}s"]
    run([*kubectl, "wait", *ready, "modeldeployment.modelfleet.dev/digits"])


def evaluate(tools: Tools, namespace: str, runtime: str, *, timeout_s: int = 120) -> str:
    """What the evaluation printed: three digits, and the accuracy on all of them."""
    kubectl = tools.kubectl_command("--namespace", namespace)
    job = "job.batch/digits-evaluation"
    run([*kubectl, "delete", job, "--ignore-not-found", "--wait"])
    manifest = _manifest(tools, EXAMPLE / "evaluation", runtime)
    run([*kubectl, "apply", "--filename", "-"], stdin=manifest)
    run([*kubectl, "wait", "--for=condition=Complete", f"--timeout={timeout_s}s", job])
    return run([*kubectl, "logs", job])
