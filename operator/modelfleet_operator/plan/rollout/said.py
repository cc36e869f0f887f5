"""What is said of a deployment behind routers: how far the wanted revision has come, and whether
requests are answered."""

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import Phase
from modelfleet_operator.plan.rollout.picture import asked_routers
from modelfleet_operator.plan.rollout.progress import Progress, percent
from modelfleet_operator.plan.types import Routed, VariantPlan
from modelfleet_operator.router import routes
from modelfleet_operator.router.site import Site
from modelfleet_operator.seen import Observed, Revision

_OF_PHASE = {
    Phase.STARTING: Reason.STARTING,
    Phase.SHIFTING: Reason.SWITCHING,
    Phase.HOLDING: Reason.HOLDING,
    Phase.PAUSED: Reason.PAUSED,
    Phase.ROLLING_BACK: Reason.ROLLING_BACK,
    Phase.FAILED: Reason.ROLLED_BACK,
}


def state(seen: Observed, plan: VariantPlan, routed: Routed) -> tuple[Reason, str]:
    """Why the wanted revision does not serve everything yet, or that it does."""
    parts, progress, site, demand = plan.revisions, plan.progress, routed.site, plan.demand
    assert progress is not None
    wanted = parts.wanted
    name = called(wanted)
    if demand == 0:
        return Reason.STOPPED, "replicas is 0, nothing is served"
    if site is None or routed.refused:
        return Reason.ROUTING_REFUSED, routed.refused
    if progress.told is not None:
        return _of_rollout(seen, wanted, progress)
    ready, trouble = seen.ready_pods(wanted.name), seen.trouble(wanted.name)
    if ready < demand:
        if trouble is not None:
            return trouble.reason, f"{name}: {trouble.message}"
        known = Reason.SCALING if progress.stable == wanted.name and ready else Reason.STARTING
        return known, f"{name}: {ready} of {demand} pods are ready"
    if not served(seen, site):
        waits = ", ".join(_not_serving(seen, site)) or "its routers"
        return Reason.SWITCHING, f"{name} is ready, and waits for {waits}"
    if blind := not_reaching(seen, wanted.name, demand):
        return Reason.SWITCHING, f"{name} is ready, and waits for {', '.join(blind)} to reach it"
    if any(seen.pods_of(r.name) for r in parts.kept if r.name != wanted.name):
        return Reason.DRAINING, f"{name} serves, the earlier revision is finishing"
    return Reason.SERVING, f"{name} serves"


def _of_rollout(seen: Observed, wanted: Revision, progress: Progress) -> tuple[Reason, str]:
    told = progress.told
    assert told is not None
    reason = _OF_PHASE[told.phase]
    trouble = seen.trouble(wanted.name)
    share = percent(progress.weights.get(wanted.name, 0))
    message = f"{called(wanted)} has {share} of the traffic: {told.message}"
    if told.phase is Phase.STARTING and trouble is not None:
        return trouble.reason, f"{message}; {trouble.message}"
    if told.phase is Phase.FAILED:
        stable = seen.revision(progress.stable)
        rest = f"; {called(stable)} serves" if stable is not None else ""
        return reason, f"{called(wanted)} was rolled back: {told.message}{rest}"
    return reason, message


def served(seen: Observed, site: Site) -> bool:
    """Every router serves it as it is wanted."""
    return bool(seen.routing.routers) and not _not_serving(seen, site)


def _not_serving(seen: Observed, site: Site) -> list[str]:
    version = routes.version(site)
    return [router.name for router in asked_routers(seen) if router.version != version]


def not_reaching(seen: Observed, revision: str, demand: int) -> list[str]:
    """Routers that take requests and do not see all of its pods yet: their callers would hear that
    nobody is there, or too few would have to answer."""
    return [
        router.name
        for router in seen.routing.routers
        if router.takes_requests and router.reached.get(revision, 0) < demand
    ]


def answering(seen: Observed) -> bool:
    """Some router takes requests, and reaches somebody who has a share of them."""
    site = seen.routing.site
    if site is None:
        return False
    return any(
        router.ready and any(router.reached.get(name) for name in site.routed)
        for router in seen.routing.routers
    )


def called(revision: Revision) -> str:
    version = revision.model.version
    return f"revision {revision.name}" + (f" (version {version})" if version else "")
