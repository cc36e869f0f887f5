"""How many pods does a variant need before it gets a larger share, where an autoscaler decides?

An autoscaler follows the load that is there, and the load of a larger share is not there yet: moved
onto as few pods as the small one needed, it would overrun them. So as many pods as the share is
thought to need become the autoscaler's floor while it is on its way, and are awaited. The number is
found once for each share, and remembered: what is awaited raises what is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from modelfleet_operator.plan.variants import Standing, parts_of
from modelfleet_operator.router.site import WHOLE
from modelfleet_operator.seen import Observed


@dataclass(frozen=True, slots=True)
class Growth:
    share: int
    """That is on its way, in parts of 10000."""
    pods: int


def decide(seen: Observed, each: Standing, revisions: Iterable[str]) -> Growth | None:
    """None: no larger share is on its way, or the number of pods is fixed."""
    mine = frozenset(revisions)
    now, scaling = parts_of(seen.routing.site, mine), each.spec.autoscaling
    if scaling is None or seen.routing.site is None or each.asked <= now:
        return None
    told = next((v for v in seen.resource.status.variants if v.name == each.name), None)
    if told is not None and told.awaits is not None and told.awaits_share == each.asked:
        return Growth(each.asked, min(told.awaits, scaling.max_replicas))
    # From nothing, by what all of the traffic needs elsewhere.
    pods, share = (_pods(seen, mine), now) if now else (_pods(seen, _others(seen, mine)), WHOLE)
    return Growth(each.asked, min(-(-pods * each.asked // share), scaling.max_replicas))


def _pods(seen: Observed, revisions: frozenset[str]) -> int:
    return sum(one.desired for name, one in seen.workloads.items() if name in revisions)


def _others(seen: Observed, mine: frozenset[str]) -> frozenset[str]:
    return frozenset(seen.workloads) - mine
