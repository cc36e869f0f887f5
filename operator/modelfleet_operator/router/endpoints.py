"""The addresses of a revision's pods, where the operator writes them: one file for each cluster."""

from typing import Final

from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.clusters import load_assignment, ports
from modelfleet_operator.router.site import Site

TYPE: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def files(site: Site) -> dict[str, Json]:
    """By file name. A revision without pods has a file without addresses: it must be there."""
    made: dict[str, Json] = {}
    for arm in site.arms:
        for whole, port in ports(site, arm):
            name = whole.half_named(names.ENDPOINTS_HALF)
            hosts = tuple(sorted(set(arm.addresses)))
            made[names.endpoints_file(name)] = {
                "@type": TYPE,
                **load_assignment(name, arm, port, hosts),
            }
    return made
