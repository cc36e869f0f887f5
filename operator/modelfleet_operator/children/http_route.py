"""The HTTPRoute by which a Gateway splits the traffic of a ModelDeployment. It is its own."""

from collections.abc import Mapping

from modelfleet_operator import kinds
from modelfleet_operator.children.common import told_to_gateway
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.routes import Routes
from modelfleet_operator.router.site import Site
from modelfleet_operator.seen import Json, Resource


def build(
    resource: Resource, routes: Routes, site: Site, shares: Mapping[str, Mapping[str, int]]
) -> Json:
    """`site` is what the routes were made from, `shares` how each variant splits its share."""
    return told_to_gateway(kinds.HTTP_ROUTE, resource, written.http(routes), site, shares)
