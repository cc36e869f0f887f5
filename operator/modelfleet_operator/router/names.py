"""What things are called inside Envoy, spelled once for those who write it and those who read it.

A cluster is DEPLOYMENT_REVISION_PROTOCOL. Kubernetes has no `_` in its names, and a dot would end
the name in Envoy's statistics, so the parts can be told apart again.
"""

import re
from dataclasses import dataclass
from typing import Final

from modelfleet_operator.router.site import Protocol

"""A resource of Envoy or of Kubernetes, as it is written."""

ADMIN_PORT: Final = 9901
"""On the loopback only."""
OPS_PORT: Final = 9902
"""Statistics, readiness and what is served; on the pod's address."""
SITES_PORT: Final = 9903
"""What is served, from the routes themselves; on the loopback, behind the ops port."""
FIRST_SITE_PORT: Final = 10_000
LAST_SITE_PORT: Final = 19_999

ANY_IPV4: Final = "0.0.0.0"
ANY: Final = "::"
"""For pods that have IPv6 addresses; takes IPv4 as well. Not the default: a node without IPv6
refuses it, and then nothing is listened on."""

BOOTSTRAP_FOLDER: Final = "/etc/envoy/bootstrap"
CONFIG_FOLDER: Final = "/etc/envoy/sites"

BOOTSTRAP_FILE: Final = "bootstrap.json"
LISTENERS_FILE: Final = "listeners.json"
CLUSTERS_FILE: Final = "clusters.json"
ROUTES_FILE: Final = "routes.json"

CONFIG_PATH: Final = "/.modelfleet/config"
"""On each of a site's ports: which version of its routing is served."""
SITES_PATH: Final = "/sites"
"""On the ops port: the same for all sites."""

ROUTE_CONFIGURATION: Final = "sites"
STAT_PREFIX: Final = "ingress"
"""One for all listeners: what a router still has to answer is then one number."""

SITE_HEADER: Final = "x-modelfleet-site"
"""Each listener writes here which site it is of, over whatever a caller wrote."""
DRAW_HEADER: Final = "x-modelfleet-draw"
"""A new random value for each request: the cookie of a caller who has none."""
ALL_SITES: Final = "all_sites"
"""The virtual host that answers for `SITES_PATH`. No site can have that name: it has a `_`."""

_CLUSTER: Final = re.compile(
    r"([a-z0-9-]+)_([a-z0-9-]+)_(http|grpc)(?:_(endpoints|dns))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class ClusterName:
    """`half` is set on the two halves of a cluster with `Discovery.ENDPOINTS`."""

    deployment: str
    revision: str
    protocol: Protocol
    half: str = ""

    def __str__(self) -> str:
        whole = f"{self.deployment}_{self.revision}_{self.protocol}"
        return f"{whole}_{self.half}" if self.half else whole

    def half_named(self, half: str) -> "ClusterName":
        return ClusterName(self.deployment, self.revision, self.protocol, half)

    @staticmethod
    def parse(text: str) -> "ClusterName | None":
        """None: not the name of a revision's cluster."""
        found = _CLUSTER.fullmatch(text)
        if found is None:
            return None
        deployment, revision, protocol, half = found.groups()
        return ClusterName(deployment, revision, Protocol(protocol), half or "")


ENDPOINTS_HALF: Final = "endpoints"
DNS_HALF: Final = "dns"


def listener(deployment: str, protocol: Protocol) -> str:
    return f"{deployment}_{protocol}"


def endpoints_file(cluster: ClusterName) -> str:
    return f"{cluster}.json"
