"""One look: the picture -> the plan. The order of the steps is in their arguments."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan import (
    analysis,
    conditions,
    experiment,
    growth,
    replicas,
    revisions,
    routing,
    shares,
    traffic,
    variants,
    verification,
)
from modelfleet_operator.plan.growth import Growth
from modelfleet_operator.plan.rollout import picture, progress
from modelfleet_operator.plan.rollout.facts import Facts
from modelfleet_operator.plan.rollout.progress import Progress, replace_told
from modelfleet_operator.plan.shares import Claim
from modelfleet_operator.plan.types import (
    Defaults,
    Plan,
    Revisions,
    Routed,
    VariantPlan,
    Verdict,
)
from modelfleet_operator.plan.variants import Standing
from modelfleet_operator.seen import InvalidSpec, Observed


def decide(seen: Observed, defaults: Defaults) -> Plan:
    """The same picture always gives the same plan."""
    spec = seen.resource.spec
    if isinstance(spec, InvalidSpec):
        return Plan(verdict=None, status=conditions.of_invalid(seen, spec))
    mode = spec.routing.mode
    direct = mode is RoutingMode.DIRECT and not traffic.shared(seen)
    direct = direct or (not spec.variants and traffic.between_pairs(seen, spec))
    verdict = _direct(seen, spec, defaults) if direct else _routed(seen, spec, defaults)
    counted = mode is RoutingMode.ROUTER
    compared = experiment.of_plans(seen, spec, verdict.variants) if counted else None
    status, again = conditions.decide(seen, spec, verdict, defaults, compared)
    return Plan(verdict, status, again)


def _direct(seen: Observed, spec: Spec, defaults: Defaults) -> Verdict:
    (only,) = variants.asked(spec)
    parts = revisions.decide(seen, spec, defaults)
    counts = replicas.decide(seen, spec, parts)
    switch = traffic.decide(seen, parts, counts)
    return Verdict((VariantPlan(only, parts, counts),), switch, parting=traffic.parting(seen))


def _routed(seen: Observed, spec: Spec, defaults: Defaults) -> Verdict:
    looked = [_look(seen, each, defaults) for each in variants.standing(seen, spec)]
    plans = _shared(seen, [each for each in looked if each is not None])
    site, refused = routing.decide(seen, spec, plans, defaults)
    switch = traffic.through_routers(seen, plans)
    if spec.routing.mode is RoutingMode.GATEWAY:
        told = Routed(site, through=False, refused=refused, gateway=spec.routing.gateway)
        return Verdict(plans, switch, told, traffic.parting(seen))
    through = traffic.routers_serve(seen, site)
    told = Routed(site, through, refused, home=routing.home(seen, plans))
    return Verdict(plans, switch, told)


@dataclass(frozen=True, slots=True)
class _Looked:
    """One variant, before it is known how much of the traffic it gets."""

    standing: Standing
    parts: Revisions
    facts: Facts
    progress: Progress
    growth: Growth | None = None
    asks: frozenset[str] = frozenset()


def _look(seen: Observed, each: Standing, defaults: Defaults) -> _Looked | None:
    """None: it has left."""
    own = variants.view(seen, each.name)
    if each.leaving:
        parts = revisions.leaving(own, each.name)
        if parts is None:
            return None
        facts = picture.facts_of_leaving(own, each.spec, parts)
        return _Looked(each, parts, facts, progress.decide(facts))
    parts = revisions.decide(own, each.spec, defaults, each.name)
    told = picture.told(own, parts)
    serving = parts.serving.name if parts.serving is not None and parts.proven else None
    analyzed = analysis.decide(own, each, told, serving, defaults)
    counts = verification.decide(own, each.spec, told, serving)
    facts = picture.facts(own, each.spec, parts, analyzed.judgement, counts.astray)
    larger = growth.decide(seen, each, (revision.name for revision in parts.kept))
    if larger is not None:
        facts = replace(facts, demand=max(facts.demand, larger.pods))
    steps = progress.decide(facts)
    if steps.told is not None and told is not None and steps.told.candidate == told.candidate:
        seen_so_far: dict[str, object] = {"analysis": analyzed.status}
        if steps.told.step == told.step:
            seen_so_far |= {"counted": counts.counted, "observed": counts.says}
        steps = replace(steps, told=replace_told(steps.told, **seen_so_far))
    return _Looked(each, parts, facts, steps, larger, analyzed.asks)


def _shared(seen: Observed, looked: Iterable[_Looked]) -> tuple[VariantPlan, ...]:
    """The variants with what each has of all traffic."""
    every = tuple(looked)
    claims = {each.standing.name: _claim(seen, each) for each in every}
    given = shares.decide(claims, served=all(each.facts.served for each in every))
    plans = []
    for each in every:
        name, had = each.standing.name, claims[each.standing.name].now
        others = any(claim.alive for other, claim in claims.items() if other != name)
        plans.append(_planned(each, given.get(name, 0), had, others=others))
    return tuple(plans)


def _claim(seen: Observed, each: _Looked) -> Claim:
    arms = [each.facts.arm(name) for name, parts in each.progress.weights.items() if parts]
    now = variants.parts_of(seen.routing.site, (r.name for r in each.parts.kept))
    return Claim(
        asked=each.standing.asked,
        now=now,
        usable=sum(arm.usable for arm in arms),
        demand=each.facts.demand,
        # One that has no share yet is not known to the routers, perhaps.
        answers=any(arm.ready and not (now and arm.lost) for arm in arms),
        leaving=each.standing.leaving,
    )


def _planned(each: _Looked, share: int, had: int, *, others: bool) -> VariantPlan:
    steps = each.progress
    if each.standing.leaving and not share and not had:
        steps = progress.gone(each.facts)
    elif not each.standing.leaving and not each.facts.demand and others:
        # It is stopped, and the others are not: first its share goes, then its pods.
        asked = {name: arm.asked for name, arm in each.facts.arms.items()}
        steps = replace(steps, pods=asked if had else progress.gone(each.facts).pods)
    counts = replicas.routed(each.standing.spec, each.parts, steps)
    return VariantPlan(
        each.standing,
        each.parts,
        counts,
        steps,
        each.facts.demand,
        share,
        growth=each.growth,
        asks=each.asks,
    )
