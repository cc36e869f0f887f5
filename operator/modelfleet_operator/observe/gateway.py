"""What was a Gateway told of a ModelDeployment, and what does it say of it?

The picture of it is that of our own routers: a `RouterPod` that can not be counted.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from modelfleet_contract import HTTP_PORT_NAME
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.gateway import Gateway
from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.rules import DNS_NAME_PATTERN
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import NotFound, Refused
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.observed import Route, read_route
from modelfleet_operator.gateway.routes import Routes, of_site
from modelfleet_operator.kinds import Kind
from modelfleet_operator.router.routes import version
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import read, read_shares
from modelfleet_operator.seen import InvalidSpec, Json, Resource, RouterPod, Routing


def asked_for(resource: Resource) -> Gateway | None:
    spec = resource.spec
    if isinstance(spec, InvalidSpec) or spec.routing.mode is not RoutingMode.GATEWAY:
        return None
    return spec.routing.gateway


def may_have_routes(resource: Resource, service: Json | None) -> bool:
    """Whether a Gateway is asked for, or was: the stable Service says so from before the first
    route is made until after the last is gone."""
    annotations = {} if service is None else service["metadata"].get("annotations") or {}
    return asked_for(resource) is not None or bool(annotations.get(labels.GATEWAY))


async def read_routes(cluster: KubeApi, resource: Resource) -> list[Json]:
    """Whatever has the names that ours have."""
    found = await asyncio.gather(
        *(_get(cluster, kind, resource.namespace, resource.name) for kind in kinds.ROUTES)
    )
    return [each for each in found if each is not None]


async def read_routing(
    cluster: KubeApi,
    resource: Resource,
    gateway: Gateway,
    routes: Iterable[Json],
    slices: Iterable[Json],
    before: Routing,
) -> Routing:
    """`routes` are ours, `slices` those of all Services of the resource; `before`: what our own
    routers have been told, where the resource comes from them."""
    found = {each["kind"]: each for each in routes}
    for kind in kinds.ROUTES if gateway.grpc_section_name else (kinds.HTTP_ROUTE,):
        if kind.kind not in found and not await _serves(cluster, kind, resource.namespace):
            return replace(before, refused=no_kind(kind), impossible=True)
    place = gateway.namespace or resource.namespace
    controller, refused = await _controller(cluster, place, gateway.name)
    read_ = {kind: read_route(each, controller) for kind, each in found.items()}
    told = _told(found.get(kinds.HTTP_ROUTE.kind))
    site, shares = (before.site, before.shares) if told is None else told
    routers: tuple[RouterPod, ...] = ()
    if site is not None:
        wanted = of_site(site, gateway, resource.namespace)
        routers = tuple(as_routers(wanted, site, read_, read_reached(slices)))
    refused = refused or "; ".join(
        f"{each}: {each.standing.refused}"
        for each in read_.values()
        if each.standing is not None and each.standing.current and each.standing.refused
    )
    return replace(before, site=site, shares=shares, refused=refused, routers=routers)


def no_kind(kind: Kind) -> str:
    return (
        f"the cluster does not know the kind {kind.kind} ({kind.api_version}): install the "
        "standard channel of the Gateway API, or write routing.mode: Router"
    )


def _told(http: Json | None) -> tuple[Site, Mapping[str, Mapping[str, int]]] | None:
    """What the weights were made from: it stands beside them, so that both are written at once."""
    said = {} if http is None else http["metadata"].get("annotations") or {}
    site = read(said.get(labels.SITE, ""))
    return None if site is None else (site, read_shares(said.get(labels.SHARES, "")))


def as_routers(
    wanted: Routes, site: Site, found: Mapping[str, Route], reached: Mapping[str, int]
) -> Iterator[RouterPod]:
    """The Gateway as the picture has our own routers, once for each route of `wanted`. What it
    serves is `site` when it has taken a route that says so, and else is not known."""
    for kind, parent, weights in (
        (kinds.HTTP_ROUTE.kind, wanted.http, wanted.split),
        (kinds.GRPC_ROUTE.kind, wanted.grpc, written.of_grpc(wanted, wanted.split)),
    ):
        if parent is None or not weights:
            continue
        route = found.get(kind, Route(kind, ""))
        serves = route.served and route.splits(weights)
        yield RouterPod(
            name=f"{parent} ({kind})",
            ready=serves,
            version=version(site) if serves else "",
            reached=reached,
            countable=False,
        )


async def _controller(cluster: KubeApi, namespace: str, name: str) -> tuple[str, str]:
    """The name of the one that is to serve that Gateway, empty where we may not ask; and why there
    can be none."""
    if not (re.match(DNS_NAME_PATTERN, namespace) and re.match(DNS_NAME_PATTERN, name)):
        return "", f"there is no Gateway {name} in a namespace {namespace}"
    try:
        gateway = await cluster.get(kinds.GATEWAY, namespace, name)
    except NotFound:
        return "", f"there is no Gateway {name} in the namespace {namespace}"
    except Refused:  # its namespace is none of ours; what counts is in the routes themselves
        return "", ""
    of_class = gateway["spec"].get("gatewayClassName", "")
    try:
        found = await cluster.get(kinds.GATEWAY_CLASS, "", of_class)
    except NotFound:
        return "", f"Gateway {namespace}/{name}: there is no GatewayClass {of_class}"
    except Refused:
        return "", ""
    return found["spec"].get("controllerName", ""), ""


async def _get(cluster: KubeApi, kind: Kind, namespace: str, name: str) -> Json | None:
    try:
        return await cluster.get(kind, namespace, name)
    except NotFound:
        return None


async def _serves(cluster: KubeApi, kind: Kind, namespace: str) -> bool:
    """Whether the cluster has objects of the kind, if none at this moment."""
    try:
        await cluster.list(kind, namespace, label_selector=labels.owned_by("none"))
    except NotFound:
        return False
    return True


def read_reached(slices: Iterable[Json]) -> dict[str, int]:
    """By revision, how many of its pods a Gateway may send HTTP to: ready, and in an EndpointSlice
    of its Service. That is all that the API server knows: a Gateway may need a moment more."""
    ready: Counter[str] = Counter()
    for each in slices:
        service = each["metadata"]["labels"].get(kinds.SERVICE_OF_SLICE, "")
        if not any(port.get("name") == HTTP_PORT_NAME for port in each.get("ports") or ()):
            continue
        for endpoint in each.get("endpoints") or ():
            # Absent means unknown, and unknown is to be read as ready (EndpointConditions).
            ready[service] += (endpoint.get("conditions") or {}).get("ready") is not False
    return dict(ready)
