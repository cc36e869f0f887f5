"""The HTTPRoute by which a Gateway splits the traffic of a ModelDeployment: its own, by its name."""

from modelfleet_operator import kinds
from modelfleet_operator.children.common import child, of_gateway
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.routes import Routes
from modelfleet_operator.seen import Json, Resource


def build(resource: Resource, routes: Routes) -> Json:
    body = {"spec": written.http(routes)}
    return child(kinds.HTTP_ROUTE, resource, resource.name, of_gateway(resource), body)
