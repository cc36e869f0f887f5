"""The routes of all sites: one resource, one file, one watch.

A file of routes for each site would keep one site's mistake from the others by itself, but Envoy
takes an inotify instance for each file that it watches, the kernel gives 128 to all processes of a
user on a node, and Envoy aborts when it gets none: two routers with 64 sites on one node, or more
namespaces with fewer, would go down together. So a site is a virtual host, which its listeners
name, and `prove.py` keeps a bad one out.
"""

from collections.abc import Iterable
from typing import Final

from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.routes import said_by, says

TYPE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

_LONGEST_ANSWER: Final = 1024 * 1024


def route_configuration(hosts: Iterable[Json]) -> Json:
    """`hosts`: the virtual host of each site (`routes.py`)."""
    each = list(hosts)
    return {
        "@type": TYPE,
        "name": names.ROUTE_CONFIGURATION,
        "vhost_header": names.SITE_HEADER,
        "max_direct_response_body_size_bytes": _LONGEST_ANSWER,
        "virtual_hosts": [_all_sites(each), *each],
    }


def _all_sites(hosts: list[Json]) -> Json:
    """Answers for all sites at once. It is part of the same resource as their weights, so what it
    says is what is served."""
    answers = [said_by(host) for host in hosts]
    return {
        "name": names.ALL_SITES,
        "domains": [names.ALL_SITES],
        "routes": [says(names.SITES_PATH, {"sites": answers})],
    }
