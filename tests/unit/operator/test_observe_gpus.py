"""Who holds the accelerators, and what does it cost to know?"""

from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.errors import Refused
from modelfleet_operator.kinds import Kind
from modelfleet_operator.observe.gpus import FRESH_S, REFUSED_S, GpuReader
from modelfleet_operator.seen import GpuHolder, Json
from tests.unit.operator.memory_api import MemoryApi

GPU = "nvidia.com/gpu"


class Cluster(MemoryApi):
    """Counts what is listed, and refuses it where that is said."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []
        self.refuses = False
        self.time = 0.0
        self.reader = GpuReader(clock=lambda: self.time)

    async def list(self, kind: Kind, namespace: str, **more: Any) -> list[Json]:
        self.listed.append(kind.plural)
        if self.refuses:
            raise Refused('nodes is forbidden: User "operator" cannot list resource "nodes"')
        return await super().list(kind, namespace, **more)

    def node(self, name: str, gpus: int, **spec: Any) -> None:
        allocatable = {"cpu": "8"} | ({GPU: str(gpus)} if gpus else {})
        metadata = {"name": name, "namespace": "", "labels": {"zone": name}}
        body = {"metadata": metadata, "spec": spec, "status": {"allocatable": allocatable}}
        self.put(kinds.NODE, body)

    def pod(self, name: str, node: str, *gpus: int, phase: str = "Running", **more: Any) -> None:
        containers = [{"name": f"c{n}", "resources": {"limits": {GPU: str(g)}}}
                      for n, g in enumerate(gpus)]  # fmt: skip
        metadata = {"name": name, "namespace": "team-a", "labels": {labels.REVISION: "digits-x"}}
        body = {"metadata": metadata, "spec": {"nodeName": node, "containers": containers, **more}}
        self.put(kinds.POD, {**body, "status": {"phase": phase}})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


async def test_nodes_with_the_resource_and_who_has_it(cluster: Cluster) -> None:
    cluster.node("gpu", 4, unschedulable=True, taints=[{"key": GPU, "effect": "NoSchedule"}])
    cluster.node("plain", 0)
    cluster.pod("one", "gpu", 1)
    cluster.pod("none", "gpu")
    (found,) = (await cluster.reader.read(cluster, [GPU]))[GPU].nodes
    assert (found.name, found.gpus, found.schedulable) == ("gpu", 4, False)
    assert found.labels == {"zone": "gpu"}
    assert found.taints == ({"key": GPU, "effect": "NoSchedule"},)
    assert found.holders == (GpuHolder("team-a", "digits-x", 1),)


@pytest.mark.parametrize(
    ("pod", "holds"),
    [
        pytest.param({"gpus": (1, 2)}, [3], id="several containers"),
        pytest.param({"gpus": (1,), "phase": "Pending"}, [1], id="not yet running"),
        pytest.param({"gpus": (1,), "phase": "Failed"}, [], id="ended"),
        pytest.param({"gpus": (1,), "phase": "Succeeded"}, [], id="done"),
        pytest.param(
            {"gpus": (1,), "initContainers": [{"resources": {"requests": {GPU: "2"}}}]},
            [2],
            id="more before it serves",
        ),
    ],
)
async def test_what_a_pod_holds(cluster: Cluster, pod: dict[str, Any], holds: list[int]) -> None:
    cluster.node("gpu", 4)
    cluster.pod("one", "gpu", *pod.pop("gpus"), **pod)
    (found,) = (await cluster.reader.read(cluster, [GPU]))[GPU].nodes
    assert [holder.gpus for holder in found.holders] == holds


async def test_pods_are_only_listed_of_nodes_that_have_some(cluster: Cluster) -> None:
    cluster.node("gpu-1", 4)
    cluster.node("gpu-2", 4)
    for number in range(20):
        cluster.node(f"plain-{number}", 0)
    await cluster.reader.read(cluster, [GPU])
    assert cluster.listed == ["nodes", "pods", "pods"]


async def test_many_who_ask_at_a_time_get_one_answer(cluster: Cluster) -> None:
    cluster.node("gpu", 4)
    for _ in range(1000):
        await cluster.reader.read(cluster, [GPU])
    assert len(cluster.listed) == 2
    cluster.time = FRESH_S
    await cluster.reader.read(cluster, [GPU])
    assert len(cluster.listed) == 4


async def test_a_refusal_is_an_answer_too(cluster: Cluster) -> None:
    cluster.refuses = True
    found = (await cluster.reader.read(cluster, [GPU]))[GPU]
    assert "may not look at the cluster's nodes" in found.unread
    await cluster.reader.read(cluster, [GPU])
    assert len(cluster.listed) == 1
    cluster.refuses, cluster.time = False, REFUSED_S
    assert not (await cluster.reader.read(cluster, [GPU]))[GPU].unread
