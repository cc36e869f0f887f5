"""When may the address move to the wanted revision?

- When nothing serves yet, or what serves has never been ready: at once. There is nobody to lose.
- Otherwise when as many of its pods are ready as it needs; until then the one that serves goes on.
- A revision that has been ready once is never left for one that is not, even while all its own
  pods are away: they may come back, and the new ones may never come.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from modelfleet_operator.api import labels
from modelfleet_operator.api.routing import RouterPair, RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan.types import Replicas, Revisions, Switch, VariantPlan
from modelfleet_operator.plan.variants import parts_of
from modelfleet_operator.router import pod, routes
from modelfleet_operator.router.site import Site
from modelfleet_operator.seen import Observed, RouterPod


def decide(seen: Observed, revisions: Revisions, replicas: Replicas) -> Switch:
    wanted, serving = revisions.wanted.name, revisions.serving
    if serving is None or serving.name == wanted:
        return Switch(to=wanted, moved=serving is None)
    if not revisions.proven:
        return Switch(to=wanted, moved=True)
    ready, least = min(seen.ready_pods(wanted), _asked(seen, wanted)), replicas[wanted].least
    if ready >= least:
        return Switch(to=wanted, moved=True)
    return Switch(to=serving.name, moved=False, waits_for=f"{ready} of {least} pods are ready")


def _asked(seen: Observed, revision: str) -> int:
    """Pods beyond what its Deployment asks for are about to go, ready or not: someone may come back
    to a revision in the moment after it was told to shrink."""
    workload = seen.workloads.get(revision)
    return 0 if workload is None else workload.desired


def through_routers(seen: Observed, plans: Sequence[VariantPlan]) -> Switch:
    """Behind routers the address moves only once, to them; who counts as serving is the rollout's
    answer. Of several variants it is the one that the address selects still, or the first."""
    selected = None if seen.address is None else seen.address.revision
    mine = [each for each in plans if any(r.name == selected for r in each.revisions.kept)]
    plan = mine[0] if mine else plans[0]
    serving = plan.revisions.serving
    to = plan.stable or (serving.name if serving is not None else plan.revisions.wanted.name)
    return Switch(to=to, moved=serving is None or serving.name != to)


def routers_serve(seen: Observed, site: Site | None) -> bool:
    """May the address select the routers?

    It does for good once it did. A deployment that was served without them goes on so until each
    that takes requests serves what is wanted: the address has no choice among them.
    """
    if seen.address is None or seen.address.through_routers:
        return True
    ready = [router for router in seen.routing.routers if router.ready]
    return (
        site is not None
        and bool(ready)
        and all(
            router.version == routes.version(site) and _reaches(router, site) for router in ready
        )
    )


def _reaches(router: RouterPod, site: Site) -> bool:
    return all(router.reached.get(revision, 0) > 0 for revision in site.routed)


PARTING = timedelta(seconds=10)
"""How long every node may take to hear that the address has left the routers."""


LEFT = PARTING + timedelta(seconds=pod.LISTENER_DRAIN_S + 5)
"""After which nobody has a connection any more."""


def routers_of(deployment: str, spec: Spec) -> str:
    """The name of the pair that the spec asks for. One that callers are behind is never left for
    another, which the CRD refuses as well: they would have to move at once."""
    if spec.routing.router is RouterPair.DEDICATED:
        return labels.dedicated_routers(deployment)
    return labels.SHARED_ROUTERS


def shared(seen: Observed) -> bool:
    """Callers come through routers, and some are answered by a variant that leaves. A plain Service
    has one revision behind it, so that one has to be able to take them all before the address
    moves to it."""
    through = seen.address is not None and seen.address.through_routers
    others = [r.name for r in seen.revisions if r.variant != labels.DEFAULT_VARIANT]
    return through and parts_of(seen.routing.site, others) > 0


def between_pairs(seen: Observed, spec: Spec) -> bool:
    """The routers of before still serve those who have not heard that the address has left them,
    and the spec asks for others by now."""
    site, address = seen.routing.left, seen.address
    through = address is not None and address.through_routers
    if site is None or through or spec.routing.mode is not RoutingMode.ROUTER:
        return False
    return site.routers != routers_of(seen.resource.name, spec) and parting(seen) is not None


def parting(seen: Observed) -> tuple[Site, datetime | None] | None:
    """What the routers go on serving after the address has left them, and since when it has; None
    when they need not any more."""
    site, address, since = seen.routing.left, seen.address, seen.routing.leaving
    if site is None:
        return None
    left = address is None or not address.through_routers
    if left and since is None and (address is None or any(address.ready.values())):
        since = seen.now
    if since is not None and seen.now - since >= LEFT:
        return None
    if since is not None and seen.now - since >= PARTING:
        site = replace(site, listening=False)
    return site, since
