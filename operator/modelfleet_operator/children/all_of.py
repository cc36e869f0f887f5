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
from modelfleet_operator.plan.types import Routed, Verdict
from modelfleet_operator.seen import InvalidSpec, Json, Observed


def all_of(seen: Observed, verdict: Verdict) -> tuple[Json, ...]:
    """The children as they should be."""
    resource, spec = seen.resource, seen.resource.spec
    assert not isinstance(spec, InvalidSpec), "nothing is decided on a spec that cannot be read"
    made: list[Json | None] = []
    for revision in verdict.revisions.kept:
        count = verdict.replicas[revision.name]
        workload = seen.workloads.get(revision.name)
        desired = count.now(workload.desired if workload is not None else None)
        made += [
            controller_revision.build(resource, revision),
            service.headless(resource, revision, routed=verdict.routed is not None),
            deployment.build(resource, revision),
            autoscaler.build(resource, revision, spec.autoscaling, count),
            disruption_budget.build(resource, revision, desired),
        ]
    routed = verdict.routed
    if routed is not None and routed.site is not None:
        made.append(routing.build(resource, routed.site))
    elif verdict.parting is not None:
        made.append(routing.build(resource, *verdict.parting))
    candidate = _previewed(spec, routed)
    if candidate is not None:
        made.append(service.preview(resource, candidate))
    if routed is not None and routed.site is not None and routed.through:
        made.append(service.through_routers(resource, routed.site))
    else:
        made.append(service.address(resource, verdict.switch.to))
    return tuple(child for child in made if child is not None)


def _previewed(spec: Spec, routed: Routed | None) -> str | None:
    """The revision that stands at the address of the preview, where one does."""
    told = None if routed is None else routed.progress.told
    if told is None or told.failed or spec.rollout.strategy is not Strategy.BLUE_GREEN:
        return None
    return told.candidate
