"""What is said about one variant: its revisions, its share, its rollout.

The only memory of the plan is here: which revision was proven (`stable`), since when another is on
its way (`candidateSince`), and how far its rollout is.
"""

from datetime import datetime

from modelfleet_operator.api.moments import read_time, written_time
from modelfleet_operator.api.status import RevisionStatus, RolloutStatus, VariantStatus
from modelfleet_operator.plan.shares import composed
from modelfleet_operator.plan.types import VariantPlan, Verdict
from modelfleet_operator.plan.verbs import stamp
from modelfleet_operator.seen import Observed


def status_of(
    seen: Observed, plan: VariantPlan, stable: str | None, since: datetime | None
) -> VariantStatus:
    wanted, progress = plan.revisions.wanted, plan.progress
    within = {} if progress is None else progress.weights
    weights = composed(plan.share, plan.within)
    idle = {} if progress is None else progress.idle_since
    return VariantStatus(
        name=plan.name,
        share=None if progress is None else plan.share,
        awaits=None if plan.growth is None else plan.growth.pods,
        awaits_share=None if plan.growth is None else plan.growth.share,
        stable=stable,
        candidate=None if stable == wanted.name else wanted.name,
        candidate_since=written_time(since) if since else None,
        weight=0 if stable == wanted.name else within.get(wanted.name, 0) // 100,
        rollout=_rollout(plan),
        ready_replicas=sum(seen.ready_pods(r.name) for r in plan.revisions.kept),
        revisions=tuple(
            RevisionStatus(
                name=r.name,
                number=r.number,
                version=r.model.version,
                uri=r.model.uri,
                digest=r.model.digest,
                replicas=len(seen.pods_of(r.name)),
                ready_replicas=seen.ready_pods(r.name),
                weight=None if progress is None else weights.get(r.name, 0),
                idle_since=written_time(idle[r.name]) if r.name in idle else None,
            )
            for r in plan.revisions.kept
        ),
    )


def stable_of(seen: Observed, plan: VariantPlan, verdict: Verdict) -> str | None:
    """The revision that serves, once it has been ready."""
    if plan.progress is not None:
        return plan.progress.stable
    parts, to = plan.revisions, verdict.switch.to
    if parts.serving is not None and parts.serving.name == to:
        return to if parts.proven else None
    return to if seen.ready_pods(to) > 0 else None


def candidate_since(seen: Observed, plan: VariantPlan, stable: str | None) -> datetime | None:
    """None when no other is on its way, or when none of its pods is asked for."""
    wanted = plan.revisions.wanted.name
    if stable == wanted or plan.replicas[wanted].pods == 0:
        return None
    for variant in seen.resource.status.variants:
        if variant.candidate == wanted and variant.candidate_since:
            return read_time(variant.candidate_since) or seen.now
    return seen.now


def _rollout(plan: VariantPlan) -> RolloutStatus | None:
    told = None if plan.progress is None else plan.progress.told
    if told is None:
        return None
    return told.model_copy(update={"stamp": str(stamp(told))})
