"""The HTTPRoute by which a Gateway splits the traffic of a ModelDeployment. It is its own."""

from collections.abc import Mapping

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children.common import child, of_gateway
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.routes import Routes
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import write, write_shares
from modelfleet_operator.seen import Json, Resource


def build(
    resource: Resource, routes: Routes, site: Site, shares: Mapping[str, Mapping[str, int]]
) -> Json:
    """With what it was made from beside it (`site`, and how each variant splits its share): what
    was written last is then one object, and never half of it."""
    body = {"spec": written.http(routes)}
    made = child(kinds.HTTP_ROUTE, resource, resource.name, of_gateway(resource), body)
    made["metadata"]["annotations"] = {
        labels.SITE: write(site),
        labels.SHARES: write_shares(shares),
    }
    return made
