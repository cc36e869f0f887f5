"""The GRPCRoute beside the HTTPRoute, where gRPC comes in at the Gateway too."""

from modelfleet_operator import kinds
from modelfleet_operator.children.common import child, of_gateway
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.routes import Routes
from modelfleet_operator.seen import Json, Resource


def build(resource: Resource, routes: Routes) -> Json | None:
    """None where none comes in, or no revision speaks it."""
    spec = written.grpc(routes)
    if spec is None:
        return None
    return child(kinds.GRPC_ROUTE, resource, resource.name, of_gateway(resource), {"spec": spec})
