"""One look: the picture -> the plan. The order of the steps is in their arguments."""

from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan import conditions, replicas, revisions, routing, traffic
from modelfleet_operator.plan.rollout import picture, progress
from modelfleet_operator.plan.rollout.facts import Judgement
from modelfleet_operator.plan.types import Defaults, Plan, Revisions, Routed, Verdict
from modelfleet_operator.seen import InvalidSpec, Observed


def decide(seen: Observed, defaults: Defaults) -> Plan:
    """The same picture always gives the same plan."""
    spec = seen.resource.spec
    if isinstance(spec, InvalidSpec):
        return Plan(verdict=None, status=conditions.of_invalid(seen, spec))
    parts = revisions.decide(seen, spec, defaults)
    if spec.routing.mode is RoutingMode.ROUTER:
        verdict = _routed(seen, spec, parts, defaults)
    else:
        counts = replicas.decide(seen, spec, parts)
        switch, parting = traffic.decide(seen, parts, counts), traffic.parting(seen)
        verdict = Verdict(parts, counts, switch, parting=parting)
    status, again = conditions.decide(seen, spec, verdict, defaults)
    return Plan(verdict, status, again)


def _routed(seen: Observed, spec: Spec, parts: Revisions, defaults: Defaults) -> Verdict:
    facts = picture.facts(seen, spec, parts, Judgement())
    steps = progress.decide(facts)
    site, refused = routing.decide(seen, spec, parts, steps, defaults)
    switch = traffic.through_routers(seen, parts, steps.stable)
    routed = Routed(steps, site, facts.demand, traffic.routers_serve(seen, site), refused)
    return Verdict(parts, replicas.routed(spec, parts, steps), switch, routed)
