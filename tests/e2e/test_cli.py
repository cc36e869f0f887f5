"""The program `modelfleet` steers a rollout on a real cluster, and pipelines can trust its ends."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dev.cluster import Cluster
from tests.e2e.kube import Kube, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.program import Program
from tests.e2e.store import Store
from tests.e2e.test_rollouts import ROUTER, holds_at, variant

STEPS = {"strategy": "Progressive", "steps": [{"weight": 50, "untilPromoted": True}]}


@pytest.fixture
def modelfleet(cluster: Cluster, namespace: str) -> Program:
    command = [sys.executable, "-m", "modelfleet_operator.cli"]
    return Program([*command, "--kubeconfig", str(cluster.kubeconfig), "-n", namespace])


@contextmanager
def watching(modelfleet: Program, name: str) -> Iterator["subprocess.Popen[str]"]:
    """`status --watch` beside the rest of the story."""
    command = [*modelfleet.command, "status", name, "--watch", "--timeout", "3m"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    out, _ = process.communicate(timeout=180)
    return process.returncode, out


def test_a_rollout_is_watched_promoted_aborted_and_undone(
    operator: str, kube: Kube, namespace: str, store: Store, modelfleet: Program
) -> None:
    one, two = store.put("cli1.onnx", scale(1.0)), store.put("cli2.onnx", scale(2.0))
    assert modelfleet("promote", "tool", check=False).returncode == 3
    kube.apply(namespace, deployment("tool", one, routing=ROUTER))
    before = kube.until(namespace, "mdep", "tool", is_true("Ready"), timeout=120)
    refused = modelfleet("promote", "tool", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "there is nothing to promote" in refused.stderr

    kube.apply(namespace, deployment("tool", two, routing=ROUTER, rollout=STEPS))
    kube.until(namespace, "mdep", "tool", holds_at(50), timeout=90)
    shown = json.loads(modelfleet("status", "tool", "-o", "json").stdout)
    assert shown["rollout"]["phase"] == "Holding"
    assert {r["state"] for r in shown["revisions"]} == {"stable", "candidate"}
    assert "[50 %]" in modelfleet("status", "tool").stdout
    assert "candidate" in modelfleet("history", "tool").stdout
    assert modelfleet("logs", "tool", "--revision", "candidate").stdout.startswith("[tool-")

    with watching(modelfleet, "tool") as process:
        modelfleet("abort", "tool")
        code, out = ended(process)
    assert code == 1
    assert "was rolled back: aborted" in out

    modelfleet("retry", "tool")
    kube.until(namespace, "mdep", "tool", holds_at(50), timeout=90)
    modelfleet("promote", "tool", "--wait", "--timeout", "3m")
    after = kube.get(namespace, "mdep", "tool")
    assert variant(after)["stable"] != variant(before)["stable"]

    modelfleet("undo", "tool")
    kube.until(namespace, "mdep", "tool", holds_at(50), timeout=90)
    modelfleet("promote", "tool", "--all", "--wait", "--timeout", "3m")
    back = kube.get(namespace, "mdep", "tool")
    assert variant(back)["stable"] == variant(before)["stable"], "the very revision again"
