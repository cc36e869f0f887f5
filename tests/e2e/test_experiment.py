"""Variants are compared while they serve: the status says which is worse, and by how much."""

import json
import random
import sys
import threading
from types import TracebackType
from typing import Self

import httpx
import pytest

from dev.cluster import Cluster
from tests.e2e.kube import Json, Kube, is_true
from tests.e2e.models import deployment, failing_from, scale
from tests.e2e.program import Program
from tests.e2e.store import Store
from tests.e2e.urls import cluster_url

FEW = 90.0
"""Inputs are drawn from 0 to 100: one in ten is as large as that."""


class Askers:
    """`with Askers(url, name):` some forty users ask while the block runs, each when it likes."""

    def __init__(self, url: str, model: str, users: int = 40) -> None:
        self._target = f"{url}/v2/models/{model}/infer"
        self._users = users
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in (1, 2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _ask(self, seed: int) -> None:
        rng = random.Random(seed)
        with httpx.Client(timeout=20) as client:
            while not self._stop.is_set():
                x = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
                body = {"inputs": [{**x, "data": [rng.uniform(0, 100), 0.0]}]}
                user = f"user-{rng.randrange(self._users)}"
                client.post(self._target, json=body, headers={"x-user": user})
                self._stop.wait(0.01)


def ab(name: str, one: Json, two: Json, **spec: object) -> Json:
    variants = [
        {"name": "control", "weight": 50},
        {"name": "challenger", "weight": 50, "model": two},
    ]
    return deployment(name, one, **{"routing": {"mode": "Router"}, "variants": variants, **spec})


def experiment(resource: Json) -> Json:
    found: Json = resource.get("status", {}).get("experiment", {})
    return found


def comparison(resource: Json, metric: str) -> Json:
    every = experiment(resource).get("comparisons", [])
    found: Json = next((each for each in every if each["metric"] == metric), {})
    return found


@pytest.fixture
def modelfleet(cluster: Cluster, namespace: str) -> Program:
    command = [sys.executable, "-m", "modelfleet_operator.cli"]
    return Program([*command, "--kubeconfig", str(cluster.kubeconfig), "-n", namespace])


def test_a_variant_with_more_errors_is_told(
    operator: str, kube: Kube, namespace: str, store: Store, modelfleet: Program
) -> None:
    good = store.put("good.onnx", scale(1.0))
    poor = store.put("poor.onnx", failing_from(2.0, FEW))
    kube.apply(namespace, ab("told", good, poor))
    kube.until(namespace, "mdep", "told", is_true("Ready"), timeout=180)
    with Askers(cluster_url(kube, namespace, "told"), "told"):
        told = kube.until(
            namespace,
            "mdep",
            "told",
            lambda r: comparison(r, "ErrorRate").get("differs", False),
            timeout=180,
        )
    found, one = experiment(told), comparison(told, "ErrorRate")
    assert found["control"] == "control"
    assert found["sampleRatio"]["verdict"] == "Ok"
    assert found["message"].startswith("challenger has more errors than control: +")
    assert one["control"] == "0%"
    assert 5 < float(one["arm"].rstrip("%")) < 16
    assert float(one["low"].rstrip("%")) > 0
    control, challenger = found["arms"]
    assert control["errors"] == 0 < challenger["errors"]
    assert control["p99"].endswith("ms")

    shown = modelfleet("experiment", "told").stdout
    assert "challenger has more errors than control" in shown
    assert "sample ratio Ok" in shown
    document = json.loads(modelfleet("experiment", "told", "-o", "json").stdout)
    assert document["comparisons"][0]["differs"]
    assert "evidence" not in document


def test_what_pods_count_of_sticky_callers_is_compared(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("half.onnx", scale(1.0)), store.put("whole.onnx", scale(2.0))
    asked = ab(
        "sticky", one, two,
        routing={"mode": "Router", "sticky": {"header": "x-user"}},
        runtime={"values": [{"name": "answer", "output": "y", "reduce": "Max"}]},
        experiment={"metrics": [{"type": "Value", "name": "answer", "goal": "Higher"}]},
    )  # fmt: skip
    kube.apply(namespace, asked)
    kube.until(namespace, "mdep", "sticky", is_true("Ready"), timeout=180)
    with Askers(cluster_url(kube, namespace, "sticky"), "sticky", users=400):
        told = kube.until(
            namespace,
            "mdep",
            "sticky",
            lambda r: comparison(r, "Value/answer").get("differs", False),
            timeout=240,
        )
    found, one_ = experiment(told), comparison(told, "Value/answer")
    assert found["sampleRatio"]["verdict"] == "Ok"
    assert 45 < float(one_["control"]) < 55
    assert 90 < float(one_["arm"]) < 110
    assert one_["message"].startswith(
        "challenger has a higher answer than control, which is better: +"
    )
