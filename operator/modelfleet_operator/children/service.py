"""The stable Service that clients know, and the headless one of each revision."""

from typing import Final

from modelfleet_contract import GRPC_PORT, GRPC_PORT_NAME, HTTP_PORT, HTTP_PORT_NAME
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children.common import child, of_revision, selector
from modelfleet_operator.seen import Json, Resource, Revision

PORT: Final = 80


def address(resource: Resource, serving: str) -> Json:
    own = {
        "app.kubernetes.io/name": "modelfleet-runtime",
        "app.kubernetes.io/instance": resource.name,
        "app.kubernetes.io/component": "address",
        "app.kubernetes.io/managed-by": labels.MANAGER,
        labels.DEPLOYMENT: resource.name,
        labels.ROLE: "address",
    }
    body = {
        "spec": {
            "type": "ClusterIP",
            "selector": selector(resource, serving),
            "ports": _ports(PORT),
        }
    }
    return child(kinds.SERVICE, resource, resource.name, own, body)


def headless(resource: Resource, revision: Revision) -> Json:
    body = {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector(resource, revision.name),
            "ports": _ports(HTTP_PORT),
        }
    }
    return of_revision(kinds.SERVICE, resource, revision, body)


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
