"""The GRPCRoute beside the HTTPRoute, where gRPC comes in at the Gateway too."""

from collections.abc import Mapping

from modelfleet_operator import kinds
from modelfleet_operator.children.common import told_to_gateway
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.routes import Routes
from modelfleet_operator.router.site import Site
from modelfleet_operator.seen import Json, Resource


def build(
    resource: Resource, routes: Routes, site: Site, shares: Mapping[str, Mapping[str, int]]
) -> Json | None:
    """None where none comes in, or no revision speaks it."""
    spec = written.grpc(routes)
    return spec and told_to_gateway(kinds.GRPC_ROUTE, resource, spec, site, shares)
