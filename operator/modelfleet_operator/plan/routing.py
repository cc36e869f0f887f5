"""What do the routers, or a Gateway in their place, have to know of this ModelDeployment?

Every revision that has pods is made known, with a weight or without: it gets weight when it is seen
to be healthy through every router. Ports of the pair are chosen once, and then kept.
"""

import zlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from modelfleet_contract import GRPC_PORT, GRPC_PORT_NAME, HTTP_PORT
from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan.documents import document_of
from modelfleet_operator.plan.shares import composed
from modelfleet_operator.plan.traffic import routers_of
from modelfleet_operator.plan.types import Defaults, VariantPlan
from modelfleet_operator.router import intervals
from modelfleet_operator.router.names import FIRST_SITE_PORT, LAST_SITE_PORT
from modelfleet_operator.router.site import (
    Arm,
    HeaderMatch,
    Intervals,
    Match,
    Mirror,
    Site,
    StickyCookie,
    StickyHeader,
)
from modelfleet_operator.seen import Observed, Revision

NO_PORT = "every port of the namespace's routers is taken: use routing.mode Direct for some"
NO_IMAGE = (
    "the operator was installed without an image for routers: give it one "
    "(MODELFLEET_ROUTER_IMAGE), or write routing.mode: Direct"
)


def decide(
    seen: Observed, spec: Spec, plans: Sequence[VariantPlan], defaults: Defaults
) -> tuple[Site | None, str]:
    """What the routers are told, and why it is not what is wanted; empty where it is."""
    before = seen.routing.site
    if spec.routing.mode is RoutingMode.GATEWAY:
        possible = not seen.routing.impossible
        return _by_gateway(seen, spec, plans, defaults) if possible else None, seen.routing.refused
    if not defaults.routers:
        return before, NO_IMAGE
    ports = _ports(seen)
    if ports is None:
        return before, NO_PORT
    return _site(seen, spec, plans, defaults, ports), seen.routing.refused


def _by_gateway(
    seen: Observed, spec: Spec, plans: Sequence[VariantPlan], defaults: Defaults
) -> Site:
    """It has ports of its own, and finds the pods by itself."""
    site = _site(seen, spec, plans, defaults, (0, 0))
    return replace(site, arms=tuple(replace(arm, addresses=()) for arm in site.arms))


def _site(
    seen: Observed,
    spec: Spec,
    plans: Sequence[VariantPlan],
    defaults: Defaults,
    ports: tuple[int, int],
) -> Site:
    before, resource = seen.routing.site, seen.resource
    stays = before is not None and seen.address is not None and seen.address.through_routers
    at = seen.routing.home or (None if before is None else before.intervals)
    weights: dict[str, int] = {}
    for plan in plans:
        weights |= composed(plan.share, plan.within)
    answering = {name for plan in plans for name in plan.within}
    return Site(
        name=resource.name,
        generation=resource.generation,
        http_port=ports[0],
        grpc_port=ports[1],
        arms=tuple(
            _arm(seen, revision, defaults)
            for plan in plans
            for revision in plan.revisions.kept
            if revision.name in answering
            or (plan.progress and plan.progress.pods.get(revision.name))
            or seen.pods_of(revision.name)
        ),
        intervals=intervals.first(weights) if at is None else intervals.moved(at, weights),
        matches=tuple(_matches(seen, spec, plans)),
        sticky=_sticky(spec),
        mirrors=tuple(_mirrors(seen, spec, plans)),
        timeout_s=_longest_s(plans, answering, spec),
        retries=spec.routing.retries,
        routers=before.routers if before and stays else routers_of(resource.name, spec),
    )


def home(seen: Observed, plans: Sequence[VariantPlan]) -> Intervals | None:
    """How callers were spread before a variant lent its share, as long as one has: every line is
    made from there, so that whoever was moved for a while comes back to where he was. None: nobody
    has another share than the one that is asked for him."""
    before = seen.routing.site
    if before is None or all(plan.share == plan.standing.asked for plan in plans):
        return None
    return seen.routing.home or before.intervals


def _matches(seen: Observed, spec: Spec, plans: Sequence[VariantPlan]) -> Iterator[Match]:
    """One whose variant has nobody who could answer is left out: the rest answer in its place."""
    by_name = {plan.name: plan for plan in plans}
    for match in spec.routing.matches:
        within = by_name[match.variant].within if match.variant in by_name else {}
        if not any(seen.ready_pods(name) for name in within):
            continue
        headers = tuple(HeaderMatch(h.name.lower(), h.value) for h in match.headers)
        yield Match(intervals.first(within), headers, match.path)


def _mirrors(seen: Observed, spec: Spec, plans: Sequence[VariantPlan]) -> Iterator[Mirror]:
    percent = {mirror.variant: mirror.percent for mirror in spec.routing.mirror}
    for plan in plans:
        for name, parts in plan.within.items():
            if not _reached(seen, name):
                continue  # copies for nobody would count as errors of it
            if copied := percent.get(plan.name, 0) * parts // 100:
                yield Mirror(name, copied)


def _reached(seen: Observed, revision: str) -> bool:
    """Every router that takes requests reaches some of its pods."""
    taking = [router for router in seen.routing.routers if router.takes_requests]
    return bool(taking) and all(router.reached.get(revision) for router in taking)


def _ports(seen: Observed) -> tuple[int, int] | None:
    """None: all are taken."""
    before, taken = seen.routing.site, seen.routing.taken
    if before is not None and not {before.http_port, before.grpc_port} & taken:
        return before.http_port, before.grpc_port
    # Two that look for a port at the same moment hardly ever begin at the same one.
    pairs = (LAST_SITE_PORT + 1 - FIRST_SITE_PORT) // 2
    first = zlib.crc32(seen.resource.name.encode())
    for number in range(pairs):
        port = FIRST_SITE_PORT + 2 * ((first + number) % pairs)
        if not {port, port + 1} & taken:
            return port, port + 1
    return None


def _longest_s(plans: Sequence[VariantPlan], answering: Container[str], spec: Spec) -> float:
    """Of those that get requests: each has frozen its own, and the router must outlast it."""
    kept = [revision for plan in plans for revision in plan.revisions.kept]
    found = [document_of(r.template) for r in kept if r.name in answering]
    times = [document.timeout for document in found if document is not None]
    return max(times, default=spec.runtime.timeout) / timedelta(seconds=1)


def _arm(seen: Observed, revision: Revision, defaults: Defaults) -> Arm:
    domain = f"{seen.resource.namespace}.svc.{defaults.cluster_domain}"
    return Arm(
        revision=revision.name,
        # With the dot at its end, no search list is tried first.
        host=f"{revision.name}.{domain}.",
        http_port=HTTP_PORT,
        grpc_port=GRPC_PORT if _speaks_grpc(revision) else None,
        # One that leaves is kept by the routers as long as it passes their checks.
        addresses=tuple(sorted(pod.address for pod in seen.pods_of(revision.name) if pod.address)),
    )


def _speaks_grpc(revision: Revision) -> bool:
    """A revision from before there was gRPC has no port of that name."""
    return any(
        port.get("name") == GRPC_PORT_NAME
        for container in revision.template["spec"]["containers"]
        for port in container.get("ports", ())
    )


def _sticky(spec: Spec) -> StickyHeader | StickyCookie | None:
    sticky = spec.routing.sticky
    if sticky is None:
        return None
    if sticky.header is not None:
        return StickyHeader(sticky.header.lower())
    return StickyCookie(sticky.cookie or "")
