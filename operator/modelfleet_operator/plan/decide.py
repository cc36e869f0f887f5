"""One look: the picture -> the plan. The order of the steps is in their arguments."""

from dataclasses import replace

from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan import (
    analysis,
    conditions,
    replicas,
    revisions,
    routing,
    traffic,
    verification,
)
from modelfleet_operator.plan.rollout import picture, progress
from modelfleet_operator.plan.rollout.progress import replace_told
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
    told = picture.told(seen, parts)
    serving = parts.serving.name if parts.serving is not None and parts.proven else None
    analyzed = analysis.decide(seen, spec, told, serving)
    counts = verification.decide(seen, spec, told, serving)
    facts = picture.facts(seen, spec, parts, analyzed.judgement, counts.astray)
    steps = progress.decide(facts)
    if steps.told is not None and told is not None and steps.told.candidate == told.candidate:
        seen_so_far: dict[str, object] = {"analysis": analyzed.status}
        if steps.told.step == told.step:
            seen_so_far |= {"counted": counts.counted, "observed": counts.says}
        steps = replace(steps, told=replace_told(steps.told, **seen_so_far))
    site, refused = routing.decide(seen, spec, parts, steps, defaults)
    switch = traffic.through_routers(seen, parts, steps.stable)
    routed = Routed(steps, site, facts.demand, traffic.routers_serve(seen, site), refused)
    return Verdict(parts, replicas.routed(spec, parts, steps), switch, routed)
