"""Which weights may be written now?

The order of every shift: the pods are ready, every router reaches them, there are enough of them
for the share, then the weight; and no shift begins before every router serves the one before it.
Only a retreat waits for nobody: what is worse loses its traffic at once, as far as the other side
can carry it.

Traffic is never moved to nobody: where neither side has a pod, everything stays as it is.
"""

from modelfleet_operator.plan.rollout.capacity import carried, needed
from modelfleet_operator.plan.rollout.facts import Facts, Weights
from modelfleet_operator.router.site import WHOLE


def towards(facts: Facts, stable: str, candidate: str, goal: int) -> Weights:
    """The candidate gets `goal` parts as soon as it may, and until then what it can carry."""
    usable, has = facts.arm(candidate).usable, facts.weight(candidate)
    if usable >= needed(goal, facts.demand) and usable > 0:
        wanted = goal
    else:
        wanted = min(has, carried(usable, facts.demand))
    if wanted > has and not facts.served:
        wanted = has
    return _split(facts, stable, candidate, wanted)


def back(facts: Facts, stable: str, candidate: str | None = None) -> Weights:
    """Everything goes to the stable revision, as far as it can carry it."""
    if candidate is None:
        candidate = max(
            (name for name in facts.written if name != stable),
            key=lambda name: (facts.weight(name), name),
            default=None,
        )
    if candidate is None:
        return {stable: WHOLE}
    return _split(facts, stable, candidate, 0)


def _split(facts: Facts, stable: str, candidate: str, wanted: int) -> Weights:
    """`wanted` parts for the candidate, and more where the stable one cannot carry the rest.

    Who else has a share (a candidate of before) gives it up at the same time.
    """
    least = WHOLE - carried(facts.arm(stable).usable, facts.demand)
    has = facts.weight(candidate)
    if facts.arm(candidate).usable > 0 or facts.arm(stable).usable == 0:
        # What the stable one cannot carry stays where it is.
        wanted = max(wanted, min(least, has))
    weights = {stable: WHOLE - wanted, candidate: wanted}
    return {name: parts for name, parts in weights.items() if parts}
