"""All children of a plan, in the order in which they are made: what a thing needs comes first."""

from modelfleet_operator.api.rollout import Strategy
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.children import (
    autoscaler,
    controller_revision,
    deployment,
    disruption_budget,
    routing,
    service,
)
from modelfleet_operator.plan.types import Verdict
from modelfleet_operator.seen import InvalidSpec, Json, Observed


def all_of(seen: Observed, verdict: Verdict) -> tuple[Json, ...]:
    """The children as they should be."""
    resource, spec = seen.resource, seen.resource.spec
    assert not isinstance(spec, InvalidSpec), "nothing is decided on a spec that cannot be read"
    made: list[Json | None] = []
    routed = verdict.routed
    for plan in verdict.variants:
        for revision in plan.revisions.kept:
            count = plan.replicas[revision.name]
            workload = seen.workloads.get(revision.name)
            desired = count.now(workload.desired if workload is not None else None)
            made += [
                controller_revision.build(resource, revision),
                service.headless(resource, revision, routed=routed is not None),
                deployment.build(resource, revision),
                autoscaler.build(resource, revision, plan.spec.autoscaling, count),
                disruption_budget.build(resource, revision, desired),
            ]
    if routed is not None and routed.site is not None:
        made.append(routing.build(resource, routed.site, verdict.shares))
    elif verdict.parting is not None:
        site, since = verdict.parting
        made.append(routing.build(resource, site, seen.routing.shares, since))
    candidate = _previewed(spec, verdict)
    if candidate is not None:
        made.append(service.preview(resource, candidate))
    if routed is not None and routed.site is not None and routed.through:
        made.append(service.through_routers(resource, routed.site))
    else:
        made.append(service.address(resource, verdict.switch.to))
    return tuple(child for child in made if child is not None)


def _previewed(spec: Spec, verdict: Verdict) -> str | None:
    """The revision that stands at the address of the preview, where one does: of several variants
    with a candidate, the first one's."""
    if spec.rollout.strategy is not Strategy.BLUE_GREEN:
        return None
    rollouts = (each.progress.told for each in verdict.variants if each.progress is not None)
    return next((told.candidate for told in rollouts if told and not told.failed), None)
