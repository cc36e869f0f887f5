"""Which weights may be written now?

The order of every shift: the pods are ready, every router reaches them, there are enough of them
for the share, then the weight; and no shift begins before every router serves the one before it.
In place a share grows with each pod, so that the other side can give one up; no pod ever gets more
than its part of what the fewest that serve have to carry.
Only a retreat waits for nobody: what is worse loses its traffic at once, as far as the other side
can carry it.

Traffic is never moved to nobody: where neither side has a pod, everything stays as it is.
"""

from modelfleet_operator.plan.rollout.capacity import carried
from modelfleet_operator.plan.rollout.facts import Facts, Weights
from modelfleet_operator.router.site import WHOLE


def towards(facts: Facts, stable: str, candidate: str, goal: int) -> Weights:
    """The candidate gets `goal` parts as soon as it may, and until then what it can carry."""
    usable, has = facts.arm(candidate).usable, facts.weight(candidate)
    if usable >= facts.least(goal) and usable > 0:
        wanted = goal
    elif facts.room is not None and not facts.recreates:
        # In place a share comes piece by piece: each frees the place for the next.
        wanted = min(goal, carried(usable, facts.carrying))
    else:
        wanted = min(has, carried(usable, facts.carrying))
    if wanted > has and not facts.served:
        wanted = has
    return _split(facts, stable, candidate, wanted)


def back(facts: Facts, stable: str, candidate: str | None = None) -> Weights:
    """Everything goes to the stable revision, as far as it can carry it."""
    return _split(facts, stable, candidate, 0)


def relieved(facts: Facts, stable: str, candidate: str, weights: Weights) -> Weights:
    """A stable revision without a pod loses nothing by giving its share away for so long: all of
    the traffic goes to a candidate that has a part of it already. The step stays what it is."""
    dead = not facts.arm(stable).ready and not facts.arm(stable).usable
    if dead and facts.arm(candidate).usable and facts.weight(candidate) and weights.get(candidate):
        return {candidate: WHOLE}
    return weights


def _split(facts: Facts, stable: str, candidate: str | None, wanted: int) -> Weights:
    """`wanted` parts for the candidate and the rest for the stable revision; but what that cannot
    carry stays with those who have it, as long as they have a pod or nobody has."""
    weights = {} if candidate is None else {candidate: wanted}
    usable = facts.arm(stable).usable
    excess = WHOLE - wanted - max(carried(usable, facts.carrying), facts.weight(stable))
    others = sorted(name for name in facts.written if name not in (stable, candidate))
    for name in (*weights, *others):
        spare = facts.weight(name) - weights.get(name, 0)
        if excess > 0 and spare > 0 and (facts.arm(name).usable or not usable):
            stays = min(excess, spare)
            weights[name] = weights.get(name, 0) + stays
            excess -= stays
    weights[stable] = WHOLE - sum(weights.values())
    return {name: parts for name, parts in weights.items() if parts}
