"""Reads one ModelDeployment and all its children, each kind once."""

import asyncio
from datetime import datetime

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import NotFound
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.kinds import Kind
from modelfleet_operator.observe import gateway
from modelfleet_operator.observe.kinds import (
    read_address,
    read_resource,
    read_revisions,
    read_workloads,
)
from modelfleet_operator.observe.pods import read_pod
from modelfleet_operator.observe.routing import read_routing
from modelfleet_operator.observe.tallies import read_tallies
from modelfleet_operator.seen import ChildKey, Json, Observed


async def observe(
    cluster: KubeApi, routers: RouterApi, namespace: str, name: str, now: datetime
) -> Observed | None:
    """The picture, or None when the ModelDeployment is not there.

    Whatever cannot be read raises (`cluster.errors`): nothing is decided on half a picture.
    """
    try:
        found = await cluster.get(kinds.MODEL_DEPLOYMENT, namespace, name)
    except NotFound:
        return None
    selector = labels.owned_by(name)

    async def children(kind: Kind) -> list[Json]:
        return await cluster.list(kind, namespace, label_selector=selector)

    *managed, pods, slices = await asyncio.gather(
        *(children(kind) for kind in kinds.CHILDREN),
        children(kinds.POD),
        children(kinds.ENDPOINT_SLICE),
    )
    uid = found["metadata"]["uid"]
    by_kind = {
        kind.kind: [item for item in items if _is_child(item, uid)]
        for kind, items in zip(kinds.CHILDREN, managed, strict=True)
    }
    service = next((s for s in by_kind["Service"] if s["metadata"]["name"] == name), None)
    read = tuple(sorted((read_pod(p) for p in pods), key=lambda p: p.name))
    resource = read_resource(found)
    routes: list[Json] = []
    if gateway.may_have_routes(resource, service):
        routes = [r for r in await gateway.read_routes(cluster, resource) if _is_child(r, uid)]
        by_kind |= {each["kind"]: [each] for each in routes}
    routing, tallies = await asyncio.gather(
        read_routing(cluster, routers, resource, by_kind["ConfigMap"]),
        read_tallies(routers, resource, read, now),
    )
    asked = gateway.asked_for(resource)
    if asked is not None:
        routing = await gateway.read_routing(cluster, resource, asked, routes, slices, routing)
    return Observed(
        now=now,
        resource=resource,
        revisions=read_revisions(
            by_kind["ControllerRevision"], by_kind["Deployment"], resource.status
        ),
        workloads=read_workloads(by_kind["Deployment"]),
        pods=read,
        address=read_address(
            service,
            (s for s in slices if s["metadata"]["labels"].get(kinds.SERVICE_OF_SLICE) == name),
            {p.name: p.revision for p in read},
        ),
        routing=routing,
        tallies=tallies,
        children={
            ChildKey(kind, item["metadata"]["name"]): item
            for kind, items in by_kind.items()
            for item in items
        },
    )


def _is_child(item: Json, uid: str) -> bool:
    """Whether an object that carries our labels belongs to this very ModelDeployment.

    One of an earlier resource with the same name is about to be collected, and a person may have
    put our labels on something else. An orphan (deleted with `--cascade=orphan`, or restored from
    a backup) has no controller, and is taken in.
    """
    metadata = item["metadata"]
    if metadata.get("labels", {}).get("app.kubernetes.io/managed-by") != labels.MANAGER:
        return False
    owner = next((o for o in metadata.get("ownerReferences", ()) if o.get("controller")), None)
    return owner is None or owner["uid"] == uid
