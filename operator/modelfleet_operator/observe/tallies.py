"""What have the pods counted for an experiment?"""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError

from modelfleet_contract import EXPERIMENT_PATH, HTTP_PORT, Tallies
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.cluster.routers import RouterApi, Silent
from modelfleet_operator.plan.experiment import is_due, needs_pods
from modelfleet_operator.seen import Pod, PodTallies, Resource

AT_ONCE = 4
"""So many pods of one ModelDeployment are asked at a time: a page with all buckets takes some
30 ms to read."""
MOST_BYTES = 1024 * 1024
"""Of one page. Whoever can change a pod can make it say anything, and the operator is one for
all."""


async def read_tallies(
    pods_api: RouterApi, resource: Resource, pods: Iterable[Pod], now: datetime
) -> tuple[PodTallies, ...] | None:
    """None, where no experiment needs them or the look is not one that counts."""
    spec = resource.spec
    if not isinstance(spec, Spec) or not needs_pods(spec):
        return None
    if not is_due(now, resource.status.experiment):
        return None
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(pod: Pod) -> PodTallies:
        async with slots:
            try:
                text = await pods_api.ask(pod.address, EXPERIMENT_PATH, HTTP_PORT, MOST_BYTES)
                # In a thread: meanwhile the loop has others to look after.
                return PodTallies(pod.name, await asyncio.to_thread(Tallies.from_json, text))
            except (Silent, ValidationError):
                return PodTallies(pod.name)

    return tuple(await asyncio.gather(*(ask(pod) for pod in pods if _answers(pod))))


def _answers(pod: Pod) -> bool:
    return bool(pod.address) and not pod.leaving
