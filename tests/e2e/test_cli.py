"""The program `modelfleet` steers a rollout on a real cluster, and pipelines can trust its ends."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dev.cluster import Cluster
from tests.e2e.kube import Json, Kube, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.program import Program
from tests.e2e.store import Store
from tests.e2e.test_rollouts import ROUTER, holds_at, rollout, variant
from tests.e2e.test_variants import ab

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


def test_two_variants_are_steered_one_by_one(
    operator: str, kube: Kube, namespace: str, store: Store, modelfleet: Program
) -> None:
    one, two, three, four = (store.put(f"arm{n}.onnx", scale(float(n))) for n in (1, 2, 3, 4))
    kube.apply(namespace, ab("arms", one, two))
    before = kube.until(namespace, "mdep", "arms", is_true("Ready"), timeout=120)
    kube.apply(namespace, ab("arms", three, four))
    kube.until(namespace, "mdep", "arms", stand(default="Holding", challenger="Holding"))

    refused = modelfleet("pause", "arms", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "modelfleet pause arms --variant challenger" in refused.stderr
    for name in ("default", "challenger"):
        modelfleet("pause", "arms", "--variant", name)
    kube.until(namespace, "mdep", "arms", stand(default="Paused", challenger="Paused"))
    modelfleet("resume", "arms", "--variant", "challenger")
    kube.until(namespace, "mdep", "arms", stand(default="Paused", challenger="Holding"))
    modelfleet("abort", "arms", "--variant", "default")
    kube.until(namespace, "mdep", "arms", stand(default="Failed", challenger="Holding"))

    shown = modelfleet("status", "arms").stdout
    assert "variant default" in shown
    assert "variant challenger" in shown
    document = json.loads(modelfleet("status", "arms", "-o", "json").stdout)
    assert [each["percent"] for each in document["variants"]] == [80, 20]

    modelfleet("promote", "arms", "--wait", "--timeout", "3m")  # only one goes on
    after = kube.get(namespace, "mdep", "arms")
    assert variant(after, "default")["stable"] == variant(before, "default")["stable"]
    assert variant(after, "challenger")["stable"] != variant(before, "challenger")["stable"]

    modelfleet("undo", "arms", "--variant", "challenger")
    kube.until(namespace, "mdep", "arms", stand(default="Failed", challenger="Holding"))
    modelfleet("promote", "arms", "--variant", "challenger", "--wait", "--timeout", "3m")
    back = kube.get(namespace, "mdep", "arms")
    assert variant(back, "challenger")["stable"] == variant(before, "challenger")["stable"]
    assert back["spec"]["model"] == after["spec"]["model"], "of the other variant"


def stand(**phases: str) -> Callable[[Json], bool]:
    """Whether each variant's rollout stands there."""
    return lambda resource: (
        {name: rollout(resource, name).get("phase") for name in phases} == phases
    )
