"""All children of a plan, in the order in which they are made: what a thing needs comes first."""

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.rollout import Strategy
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.children import (
    autoscaler,
    controller_revision,
    deployment,
    disruption_budget,
    grpc_route,
    http_route,
    routing,
    service,
)
from modelfleet_operator.gateway.routes import of_site
from modelfleet_operator.plan.types import Verdict
from modelfleet_operator.seen import ChildKey, InvalidSpec, Json, Observed


def all_of(seen: Observed, verdict: Verdict) -> tuple[Json, ...]:
    """The children as they should be."""
    resource, spec = seen.resource, seen.resource.spec
    assert not isinstance(spec, InvalidSpec), "nothing is decided on a spec that cannot be read"
    made: list[Json | None] = []
    routed = verdict.routed
    by_pair = routed is not None and routed.gateway is None
    for plan in verdict.variants:
        for revision in plan.revisions.kept:
            count = plan.replicas[revision.name]
            workload = seen.workloads.get(revision.name)
            desired = count.now(workload.desired if workload is not None else None)
            made += [
                controller_revision.build(resource, revision),
                service.headless(resource, revision, routed=by_pair),
                deployment.build(resource, revision),
                autoscaler.build(resource, revision, plan.spec.autoscaling, count),
                disruption_budget.build(resource, revision, desired),
            ]
    if routed is not None and routed.site is not None and by_pair:
        made.append(routing.build(resource, routed.site, verdict.shares, home=routed.home))
    elif verdict.parting is not None:
        site, since = verdict.parting
        made.append(routing.build(resource, site, seen.routing.shares, since))
    if spec.runtime.feedback:
        made.append(service.feedback(resource))
    candidate = _previewed(spec, verdict)
    if candidate is not None:
        made.append(service.preview(resource, candidate))
    made.append(_address(seen, verdict))
    if routed is not None and routed.site is not None and routed.gateway is not None:
        told = of_site(routed.site, routed.gateway, resource.namespace)
        made.append(http_route.build(resource, told, routed.site, verdict.shares))
        made.append(grpc_route.build(resource, told, routed.site, verdict.shares))
    return tuple(child for child in made if child is not None)


def _address(seen: Observed, verdict: Verdict) -> Json:
    """With the word of a Gateway that leads to the same models, where one does: it stands there for
    as long as there may be routes of ours."""
    routed = verdict.routed
    if routed is not None and routed.site is not None and routed.through:
        made = service.through_routers(seen.resource, routed.site)
    else:
        made = service.address(seen.resource, verdict.switch.to)
    there = seen.children.get(ChildKey(kinds.SERVICE.kind, seen.resource.name), {})
    before = (there.get("metadata", {}).get("annotations") or {}).get(labels.GATEWAY)
    if routed is not None and routed.gateway is not None:
        place = routed.gateway.namespace or seen.resource.namespace
        word: str | None = f"{place}/{routed.gateway.name}"
    elif any(key.kind in (kind.kind for kind in kinds.ROUTES) for key in seen.children):
        word = before or "unknown"
    else:
        word = None if before is None else ""
    if word is not None:
        made["metadata"]["annotations"] = {labels.GATEWAY: word}
    return made


def _previewed(spec: Spec, verdict: Verdict) -> str | None:
    """The revision that stands at the address of the preview, where one does: of several variants
    with a candidate, the first one's."""
    if spec.rollout.strategy is not Strategy.BLUE_GREEN:
        return None
    rollouts = (each.progress.told for each in verdict.variants if each.progress is not None)
    return next((told.candidate for told in rollouts if told and not told.failed), None)
