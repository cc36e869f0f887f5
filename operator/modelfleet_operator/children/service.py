"""The stable Service that clients know, and the headless one of each revision."""

from typing import Final

from modelfleet_contract import GRPC_PORT, GRPC_PORT_NAME, HTTP_PORT, HTTP_PORT_NAME
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children.common import child, of_revision, selector
from modelfleet_operator.router import pod
from modelfleet_operator.router.site import Site
from modelfleet_operator.seen import Json, Resource, Revision

PORT: Final = 80


def address(resource: Resource, serving: str) -> Json:
    """Straight to the pods of one revision."""
    return _address(resource, selector(resource, serving), _ports(PORT))


def through_routers(resource: Resource, site: Site) -> Json:
    """To the pair, on the ports that are this ModelDeployment's there."""
    return _address(resource, pod.selector(site.routers), pod.address_ports(site))


def preview(resource: Resource, candidate: str) -> Json:
    """Where a new revision can be tried before the switch: straight to its pods."""
    name = f"{resource.name}-preview"
    return _address(resource, selector(resource, candidate), _ports(PORT), name, labels.PREVIEW)


def feedback(resource: Resource) -> Json:
    """Where numbers are posted back, past the routers: straight to any pod of any variant. Through
    the address they would count as requests, and more of them for whom more is clicked."""
    selects = {labels.DEPLOYMENT: resource.name, "app.kubernetes.io/component": "model"}
    ports = [_port(HTTP_PORT_NAME, PORT, "http")]
    return _address(resource, selects, ports, f"{resource.name}-feedback", labels.FEEDBACK)


def _address(
    resource: Resource,
    selects: dict[str, str],
    ports: list[Json],
    name: str | None = None,
    role: str = labels.ADDRESS,
) -> Json:
    own = {
        "app.kubernetes.io/name": "modelfleet-runtime",
        "app.kubernetes.io/instance": resource.name,
        "app.kubernetes.io/component": role,
        "app.kubernetes.io/managed-by": labels.MANAGER,
        labels.DEPLOYMENT: resource.name,
        labels.ROLE: role,
    }
    body = {
        "spec": {
            "type": "ClusterIP",
            "selector": selects,
            "ports": ports,
        }
    }
    return child(kinds.SERVICE, resource, name or resource.name, own, body)


def headless(resource: Resource, revision: Revision, *, routed: bool = False) -> Json:
    """`routed`: it names pods that are not ready, too. The routers check them themselves, and so
    know a pod at the moment when it is ready, and keep one that the DNS has just forgotten."""
    spec: Json = {
        "type": "ClusterIP",
        "clusterIP": "None",
        "selector": selector(resource, revision.name),
        "ports": _ports(HTTP_PORT),
    }
    if routed:
        spec["publishNotReadyAddresses"] = True
    return of_revision(kinds.SERVICE, resource, revision, {"spec": spec})


def _ports(http: int) -> list[Json]:
    """Pods of a revision from before there was gRPC have no port of that name: the Service then has
    none of them behind it there, and all of them behind the other."""
    return [
        _port(HTTP_PORT_NAME, http, "http"),
        # gRPC is HTTP/2 without an upgrade: what is in front must not speak HTTP/1.1 to it.
        _port(GRPC_PORT_NAME, GRPC_PORT, "kubernetes.io/h2c"),
    ]


def _port(name: str, number: int, protocol: str) -> Json:
    return {
        "name": name,
        "port": number,
        "targetPort": name,
        "protocol": "TCP",
        "appProtocol": protocol,
    }
