"""What do the routers have to know of this ModelDeployment?

Every revision that has pods is made known, with a weight or without: it gets weight when it is seen
to be healthy through every router. Ports of the pair are chosen once, and then kept.
"""

import zlib
from collections.abc import Mapping
from datetime import timedelta

from modelfleet_contract import GRPC_PORT, GRPC_PORT_NAME, HTTP_PORT
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.plan.documents import document_of
from modelfleet_operator.plan.rollout.progress import Progress
from modelfleet_operator.plan.types import Defaults, Revisions
from modelfleet_operator.router import intervals
from modelfleet_operator.router.names import FIRST_SITE_PORT, LAST_SITE_PORT
from modelfleet_operator.router.site import (
    Arm,
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
    seen: Observed, spec: Spec, parts: Revisions, progress: Progress, defaults: Defaults
) -> tuple[Site | None, str]:
    """What the routers are told, and why it is not what is wanted; empty where it is."""
    before = seen.routing.site
    if not defaults.routers:
        return before, NO_IMAGE
    ports = _ports(seen)
    if ports is None:
        return before, NO_PORT
    return _site(seen, spec, parts, progress, defaults, ports), seen.routing.refused


def _site(
    seen: Observed,
    spec: Spec,
    parts: Revisions,
    progress: Progress,
    defaults: Defaults,
    ports: tuple[int, int],
) -> Site:
    before, resource = seen.routing.site, seen.resource
    # The candidate comes first, so that a growing share is a boundary that moves to the right.
    order = sorted(progress.weights, key=lambda name: (name == progress.stable, name))
    weights = {name: progress.weights[name] for name in order}
    line = (
        intervals.first(weights) if before is None else intervals.moved(before.intervals, weights)
    )
    return Site(
        name=resource.name,
        generation=resource.generation,
        http_port=ports[0],
        grpc_port=ports[1],
        arms=tuple(
            _arm(seen, revision, defaults)
            for revision in parts.kept
            if revision.name in weights
            or progress.pods.get(revision.name)
            or seen.pods_of(revision.name)
        ),
        intervals=line,
        sticky=_sticky(spec),
        timeout_s=_longest_s(parts, weights, spec),
        retries=spec.routing.retries,
    )


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


def _longest_s(parts: Revisions, weights: Mapping[str, int], spec: Spec) -> float:
    """Of those that get requests: each has frozen its own, and the router must outlast it."""
    found = [document_of(r.template) for r in parts.kept if r.name in weights]
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
