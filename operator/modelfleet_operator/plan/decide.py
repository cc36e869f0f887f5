"""One look: the picture -> the plan. The order of the steps is in their arguments."""

from modelfleet_operator.plan import conditions, replicas, revisions, traffic
from modelfleet_operator.plan.types import Defaults, Plan, Verdict
from modelfleet_operator.seen import InvalidSpec, Observed


def decide(seen: Observed, defaults: Defaults) -> Plan:
    """The same picture always gives the same plan."""
    spec = seen.resource.spec
    if isinstance(spec, InvalidSpec):
        return Plan(verdict=None, status=conditions.of_invalid(seen, spec))
    parts = revisions.decide(seen, spec, defaults)
    counts = replicas.decide(seen, spec, parts)
    switch = traffic.decide(seen, parts, counts)
    verdict = Verdict(parts, counts, switch)
    status, again = conditions.decide(seen, spec, verdict, defaults)
    return Plan(verdict, status, again)
