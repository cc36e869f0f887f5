"""The stable Service that clients know, and the headless one of each revision."""

from modelfleet_contract import HTTP_PORT, HTTP_PORT_NAME
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children.common import child, of_revision, selector
from modelfleet_operator.seen import Json, Resource, Revision

PORT = 80


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
            "ports": [_port(PORT)],
        }
    }
    return child(kinds.SERVICE, resource, resource.name, own, body)


def headless(resource: Resource, revision: Revision) -> Json:
    body = {
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": selector(resource, revision.name),
            "ports": [_port(HTTP_PORT)],
        }
    }
    return of_revision(kinds.SERVICE, resource, revision, body)


def _port(number: int) -> Json:
    return {
        "name": HTTP_PORT_NAME,
        "port": number,
        "targetPort": HTTP_PORT_NAME,
        "protocol": "TCP",
        "appProtocol": "http",
    }
