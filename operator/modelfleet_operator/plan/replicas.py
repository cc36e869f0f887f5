"""How many pods may each revision have, and who decides?

- The wanted revision and the one that serves get what is asked for: both, so that more pods can be
  asked for while a change is stuck.
- Where there is an autoscaler the number is its own; the operator gives it the bounds. A revision
  that is about to take over gets at least as many pods as the one that serves has at this moment,
  because the load that it takes over is the load that is there.
- A revision that neither serves nor is wanted has none, but not before the last of its endpoints
  is gone from behind the address, nor while routers that the deployment has left still know it:
  until then somebody may still be sent to it.
"""

from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan import traffic
from modelfleet_operator.plan.rollout.progress import Progress
from modelfleet_operator.plan.types import Count, Replicas, Revisions
from modelfleet_operator.seen import Observed


def decide(seen: Observed, spec: Spec, revisions: Revisions) -> Replicas:
    return {r.name: _count(seen, spec, revisions, r.name) for r in revisions.kept}


def routed(spec: Spec, revisions: Revisions, progress: Progress) -> Replicas:
    """Behind routers, the rollout says how many each needs; an autoscaler may give those with a
    part in it more. While two revisions share the places that there are, no autoscaler has a say:
    it would give the one what the other is about to get."""
    told = progress.told
    scales = spec.autoscaling is not None and not _shares_places(told)
    playing = (
        {progress.stable} if told is None or told.failed else {progress.stable, told.candidate}
    )
    if progress.stable is None:
        playing = {revisions.wanted.name}
    counts = {}
    for revision in revisions.kept:
        least = progress.pods.get(revision.name, 0)
        autoscaled = scales and revision.name in playing and least > 0
        counts[revision.name] = Count(pods=None if autoscaled else least, least=least)
    return counts


def _shares_places(told: RolloutStatus | None) -> bool:
    found = told is not None and told.phase is not Phase.FAILED and told.surge
    return found in (Surge.IN_PLACE, Surge.RECREATE)


def asked(spec: Spec) -> int:
    """The number of pods that is asked for, or the fewest where an autoscaler decides."""
    if spec.autoscaling is not None:
        return spec.autoscaling.min_replicas
    return 1 if spec.replicas is None else spec.replicas


def _count(seen: Observed, spec: Spec, revisions: Revisions, name: str) -> Count:
    least = asked(spec)
    if name == revisions.wanted.name:
        return _of_wanted(seen, spec, revisions)
    if revisions.serving is not None and name == revisions.serving.name:
        return Count(pods=None if spec.autoscaling else least, least=least)
    has = _desired(seen, name)
    behind = seen.address.present.get(name, 0) if seen.address else 0
    return Count(pods=has if behind or _known_to_routers(seen, name) else 0, least=0)


def _known_to_routers(seen: Observed, name: str) -> bool:
    """Its weight says nothing here: not every router may serve what was written last."""
    parting = traffic.parting(seen)
    return parting is not None and any(arm.revision == name for arm in parting[0].arms)


def _of_wanted(seen: Observed, spec: Spec, revisions: Revisions) -> Count:
    least = asked(spec)
    if spec.autoscaling is None:
        return Count(pods=least, least=least)
    if revisions.serving is not None and revisions.switching and revisions.proven:
        most = spec.autoscaling.max_replicas
        least = min(max(least, _desired(seen, revisions.serving.name)), most)
    return Count(pods=None, least=least)


def _desired(seen: Observed, revision: str) -> int:
    workload = seen.workloads.get(revision)
    return workload.desired if workload is not None else 0
