"""How many pods does each revision keep, beside what the step gives to those that take part?

Pods go when neither the address nor a router can send them anything, and nothing is in flight, or
cannot be. Where places are few, whoever serves may need theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet_operator.plan.rollout import surge
from modelfleet_operator.plan.rollout.capacity import needed
from modelfleet_operator.plan.rollout.facts import Facts, Weights

FREED = timedelta(seconds=5)
"""How soon it is looked again whether a place that somebody waits for has become free. That a pod
has gone is told as well; but nothing serves less than it should for the want of one word."""


@dataclass(frozen=True, slots=True)
class Left:
    pods: Mapping[str, int]
    idle_since: Mapping[str, datetime] = field(default_factory=dict)
    """Of revisions that wait for their last requests."""
    again: timedelta | None = None
    """Until the first of them has waited long enough."""


def decide(facts: Facts, weights: Weights, wanted: Mapping[str, int]) -> Left:
    """`weights` are to be written; `wanted` has the fewest pods of those that take part."""
    pods, floors = dict(wanted), dict[str, int]()
    idle, again = dict[str, datetime](), None
    answers = not weights or any(facts.arm(one).usable for one in weights)
    for name, arm in facts.arms.items():
        least = pods.get(name, 0)
        share = max(weights.get(name, 0), facts.weight(name))
        floors[name] = needed(share, facts.carrying)
        if arm.addressed:
            least = pods[name] = max(least, min(arm.asked, facts.demand))
        if arm.asked <= least or facts.recreates:
            continue
        if arm.usable and not answers and (share or facts.room is None):
            pods[name] = arm.asked  # the last that could answer, whoever has the traffic now
        elif not facts.served or weights.get(name, 0) != facts.weight(name):
            pods[name] = arm.asked  # a router may still give it what it had
        elif share:
            # It may grow with the demand, but not into places that others are to get back.
            most = floors[name] if facts.room is None else min(floors[name], arm.asked)
            pods[name] = max(least, most)
        elif not arm.quiet:
            since = arm.idle_since or facts.now
            left = since + facts.policy.longest_request - facts.now
            if left > timedelta(0):
                pods[name], idle[name] = arm.asked, since
                again = left if again is None else min(again, left)
    made = surge.fitted(facts, pods, floors)
    if any(made.get(name, 0) < number for name, number in pods.items()):
        again = FREED if again is None else min(again, FREED)
    return Left(made, idle, again)
