"""Nodes with accelerators in memory, and where the scheduler puts pods that ask for some."""

from typing import Final

from modelfleet_operator import kinds
from modelfleet_operator.seen import Json
from tests.unit.operator.memory_api import MemoryApi

GPU: Final = "nvidia.com/gpu"
PLAIN: Final = "node-1"
"""Of pods that ask for none; there is a place for each."""


def put_node(api: MemoryApi, name: str, gpus: int) -> None:
    status = {"allocatable": {GPU: str(gpus)}}
    api.put(kinds.NODE, {"metadata": {"name": name, "namespace": ""}, "spec": {}, "status": status})


def place(api: MemoryApi, pod: Json) -> str | None:
    """A node for it; None where no node has as many as it asks for."""
    wants = _gpus(pod)
    if not wants:
        return PLAIN
    for node in api.all(kinds.NODE):
        name, there = node["metadata"]["name"], int(node["status"]["allocatable"][GPU])
        on_it = (p for p in api.all(kinds.POD) if p["spec"].get("nodeName") == name)
        if there - sum(map(_gpus, on_it)) >= wants:
            return str(name)
    return None


def scheduled(api: MemoryApi, pod: Json) -> Json:
    """What the scheduler writes on it."""
    node = place(api, pod)
    if node is None:
        return {"status": UNPLACED}
    return {"spec": {"nodeName": node}, "status": {"conditions": []}}


UNPLACED: Final[Json] = {
    "conditions": [
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": f"0/1 nodes are available: 1 Insufficient {GPU}.",
        }
    ]
}
"""The status of such a pod."""


def _gpus(pod: Json) -> int:
    asked = (one.get("resources", {}).get("limits", {}) for one in pod["spec"]["containers"])
    return sum(int(limits.get(GPU, 0)) for limits in asked)
