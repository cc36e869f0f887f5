"""Which nodes have accelerators of a kind, and who holds them?

This is read only when a plan asks for it, which is when a rollout is about to choose its way: the
nodes are a list of the whole cluster, and the pods one list for each node that has the resource.
All who ask within some seconds get the same answer, so that a thousand rollouts at a time cost as
much as one. The lists may come from what the API server remembers: an answer that is a moment old
is all that anybody can have, because the scheduler does not wait.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Refused
from modelfleet_operator.seen import GpuHolder, GpuNode, Gpus, Json

FRESH_S = 10.0
"""How long an answer is given to others."""
REFUSED_S = 60.0
"""The same for a refusal, which is a matter of the installation."""
AT_ONCE = 8
"""Nodes that are asked for side by side."""


@dataclass
class GpuReader:
    """Shared by all looks of one operator."""

    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, Gpus]] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def read(self, cluster: KubeApi, resources: Iterable[str]) -> dict[str, Gpus]:
        """By the name of the extended resource. Raises `ApiError`, but not where it may not be
        known: then the answer says so."""
        return {name: await self._of(cluster, name) for name in sorted(resources)}

    async def _of(self, cluster: KubeApi, resource: str) -> Gpus:
        async with self._locks.setdefault(resource, asyncio.Lock()):
            until, known = self._known.get(resource, (0.0, Gpus()))
            if resource not in self._known or self.clock() >= until:
                known = await _read(cluster, resource)
                fresh = REFUSED_S if known.unread else FRESH_S
                self._known[resource] = self.clock() + fresh, known
            return known


async def _read(cluster: KubeApi, resource: str) -> Gpus:
    slots = asyncio.Semaphore(AT_ONCE)

    async def holders(node: str) -> tuple[GpuHolder, ...]:
        async with slots:
            pods = await cluster.list(
                kinds.POD, "", field_selector=f"spec.nodeName={node}", remembered=True
            )
        found = (_holder(pod, resource) for pod in pods)
        return tuple(holder for holder in found if holder is not None)

    try:
        nodes = await cluster.list(kinds.NODE, "", remembered=True)
        having = [node for node in nodes if _gpus(node, resource)]
        held = await asyncio.gather(*(holders(node["metadata"]["name"]) for node in having))
    except Refused as refused:
        return Gpus(unread=f"the operator may not look at the cluster's nodes ({refused})")
    return Gpus(tuple(_node(node, resource, own) for node, own in zip(having, held, strict=True)))


def _gpus(node: Json, resource: str) -> int:
    return int(node.get("status", {}).get("allocatable", {}).get(resource, 0))


def _node(node: Json, resource: str, holders: tuple[GpuHolder, ...]) -> GpuNode:
    metadata, spec = node["metadata"], node.get("spec", {})
    return GpuNode(
        name=metadata["name"],
        gpus=_gpus(node, resource),
        labels=metadata.get("labels") or {},
        taints=tuple(spec.get("taints") or ()),
        schedulable=not spec.get("unschedulable", False),
        holders=holders,
    )


def _holder(pod: Json, resource: str) -> GpuHolder | None:
    """None for a pod that has none of them, or has ended. One on its way out has them still."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return None
    spec, metadata = pod["spec"], pod["metadata"]
    together = sum(_asked(one, resource) for one in spec.get("containers") or ())
    # Those that run before the others take what these leave, one at a time.
    before = max((_asked(one, resource) for one in spec.get("initContainers") or ()), default=0)
    if not max(together, before):
        return None
    revision = (metadata.get("labels") or {}).get(labels.REVISION, "")
    return GpuHolder(metadata["namespace"], revision, max(together, before))


def _asked(container: Json, resource: str) -> int:
    asked = container.get("resources") or {}
    limits, requests = asked.get("limits") or {}, asked.get("requests") or {}
    return int(limits.get(resource, requests.get(resource, 0)))
