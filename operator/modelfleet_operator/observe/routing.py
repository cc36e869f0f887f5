"""What were the routers told of a ModelDeployment, and what do they do?"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.routers import RouterApi, Silent
from modelfleet_operator.plan.experiment import design_of
from modelfleet_operator.plan.traffic import routers_of
from modelfleet_operator.router import pod
from modelfleet_operator.router.names import SITES_PATH
from modelfleet_operator.router.observed import (
    Counters,
    Members,
    Unreadable,
    read_config,
    read_sites,
    read_statistics,
)
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import (
    HOME_KEY,
    SHARES_KEY,
    SITE_KEY,
    read,
    read_line,
    read_shares,
)
from modelfleet_operator.seen import InvalidSpec, Json, Resource, RouterPod, Routing


async def read_routing(
    cluster: KubeApi, routers: RouterApi, resource: Resource, config_maps: Iterable[Json]
) -> Routing:
    """Nothing, where no router is asked for and none serves it still."""
    own = next((c for c in config_maps if _role(c) == labels.ROUTES), None)
    spec = resource.spec
    wanted = not isinstance(spec, InvalidSpec) and spec.routing.mode is RoutingMode.ROUTER
    if own is None and not wanted:
        return Routing()
    data = {} if own is None else own.get("data", {})
    site = None if own is None else read(data.get(SITE_KEY, ""))
    shares = read_shares(data.get(SHARES_KEY, ""))
    said = {} if own is None else own["metadata"].get("annotations", {})
    refused, leaving = said.get(labels.REFUSED, ""), read_time(said.get(labels.LEAVING))
    # Variants that a plain Service is to take over from are followed until it has.
    if not wanted and (site is None or set(shares) <= {labels.DEFAULT_VARIANT}):
        return Routing(site, shares, left=site, leaving=leaving)
    pair = _wanted(resource) if site is None else site.routers
    taken: frozenset[int] = frozenset()
    if site is None or refused:
        taken = await _taken(cluster, resource, pair)
    selector = ",".join(f"{key}={value}" for key, value in pod.selector(pair).items())
    pods = await cluster.list(kinds.POD, resource.namespace, label_selector=selector)
    counted = _is_moving(resource, site) or _is_compared(resource)
    asked = await asyncio.gather(*(_ask(routers, pod, resource.name, counted) for pod in pods))
    return Routing(
        site,
        shares,
        read_line(data.get(HOME_KEY, "")),
        refused,
        left=site,
        leaving=leaving,
        taken=taken,
        routers=tuple(sorted(asked, key=lambda r: r.name)),
    )


def _role(child: Json) -> str | None:
    found: str | None = child["metadata"].get("labels", {}).get(labels.ROLE)
    return found


def _wanted(resource: Resource) -> str:
    spec = resource.spec
    assert not isinstance(spec, InvalidSpec)
    return routers_of(resource.name, spec)


async def _taken(cluster: KubeApi, resource: Resource, pair: str) -> frozenset[int]:
    others = await cluster.list(
        kinds.CONFIG_MAP, resource.namespace, label_selector=labels.routes()
    )
    sites = (
        read(each.get("data", {}).get(SITE_KEY, ""))
        for each in others
        if each["metadata"]["labels"].get(labels.DEPLOYMENT) != resource.name
    )
    mates = [site for site in sites if site is not None and site.routers == pair]
    return frozenset(port for site in mates for port in (site.http_port, site.grpc_port))


def _is_moving(resource: Resource, site: Site | None) -> bool:
    """Whether somebody looks at the counters: with many ModelDeployments they are many."""
    rolling = any(variant.rollout is not None for variant in resource.status.variants)
    return rolling or (site is not None and len(site.arms) > len(site.routed))


def _is_compared(resource: Resource) -> bool:
    return isinstance(resource.spec, Spec) and design_of(resource.spec) is not None


async def _ask(routers: RouterApi, pod: Json, deployment: str, counted: bool) -> RouterPod:
    router, address = _known(pod), pod.get("status", {}).get("podIP")
    if not address:
        return replace(router, gone_by=None, silent="it has no address yet")
    try:
        sites, config, statistics = await asyncio.gather(
            routers.ask(address, SITES_PATH),
            routers.ask(address, "/config"),
            routers.ask(address, "/stats/prometheus") if counted else _nothing(),
        )
        served, said = read_sites(sites).get(deployment), read_config(config)
        counters: dict[str, Counters] = read_statistics(statistics) if counted else {}
    except (Silent, Unreadable) as error:
        return replace(router, silent=str(error))
    return replace(
        router,
        version="" if served is None else served.version,
        reached={
            revision: min(members.healthy, _healthy(said.grpc_members, revision, members))
            for revision, members in said.members.items()
        },
        counters=counters,
    )


def _known(pod: Json) -> RouterPod:
    """As far as its pod says."""
    metadata, status = pod["metadata"], pod.get("status", {})
    leaving = "deletionTimestamp" in metadata
    return RouterPod(
        name=metadata["name"],
        ready=not leaving
        and any(
            c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())
        ),
        gone_by=_gone_by(metadata),
        uid=metadata["uid"],
        started=_started(status),
    )


KILLED_WITHIN = timedelta(seconds=10)
"""A kubelet counts the grace period from when it hears of it, adds two seconds where the preStop
hook is not done, and its clock is not ours."""


def _gone_by(metadata: Json) -> datetime | None:
    ends = read_time(metadata.get("deletionTimestamp"))  # its grace period is counted in
    return None if ends is None else ends + KILLED_WITHIN


def _started(status: Json) -> datetime | None:
    """When its process did: the counters are of this process."""
    for container in status.get("containerStatuses", ()):
        if "running" in container.get("state", {}):
            return read_time(container["state"]["running"].get("startedAt"))
    return None


async def _nothing() -> str:
    return ""


def _healthy(grpc: Mapping[str, Members], revision: str, http: Members) -> int:
    return grpc.get(revision, http).healthy
