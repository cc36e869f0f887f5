"""How does the router reach the pods of a revision, and when does it leave one alone?

- It checks each pod itself, each second, and asks it of which revision it is.
- It balances on the least outstanding requests.
- A pod that the DNS does not name at the moment stays while it passes its check.
- When no pod passes, all are tried: the pods that are about to go still answer.
- Pods are ejected for connections that fail, never for what a model answers, and never more than
  half of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from modelfleet_contract import READY_PATH
from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.names import ClusterName
from modelfleet_operator.router.site import Arm, Discovery, Protocol, Site

TYPE: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

_NEVER_REACHED: Final = 100_000
"""The model's own queue is the limit that should answer."""
_SHADOW_REQUESTS: Final = 256
"""Copies in flight to a revision that only gets copies. Nobody waits for them, so when it hangs
they would pile up in the router, and take memory from the callers."""

_IDLE_S: Final = 30
"""Below the time after which the runtime closes an idle connection, so that the router does."""


def clusters(sites: Iterable[Site], discovery: Discovery, folder: str, dns_s: float) -> list[Json]:
    """All clusters of all sites, sites by name. `folder` is where the files are that Envoy reads,
    `dns_s` how often a name is asked for, in seconds."""
    made: list[Json] = []
    for site in sorted(sites, key=lambda site: site.name):
        for arm in site.arms:
            for name, port in ports(site, arm):
                one = _Cluster(name, arm, port, shadow=arm.revision in site.only_mirrored)
                made += one.whole(discovery, folder, dns_s)
    return made


def ports(site: Site, arm: Arm) -> list[tuple[ClusterName, int]]:
    """The clusters of one revision, and where its pods listen for each."""
    found = [(ClusterName(site.name, arm.revision, Protocol.HTTP), arm.http_port)]
    if arm.grpc_port is not None:
        found.append((ClusterName(site.name, arm.revision, Protocol.GRPC), arm.grpc_port))
    return found


@dataclass(frozen=True, slots=True)
class _Cluster:
    """One protocol of one revision."""

    name: ClusterName
    arm: Arm
    port: int
    shadow: bool
    """It only gets copies."""

    def whole(self, discovery: Discovery, folder: str, dns_s: float) -> list[Json]:
        match discovery:
            case Discovery.DNS:
                return [self.by_dns(self.name, dns_s)]
            case Discovery.ENDPOINTS:
                front = self.name.half_named(names.ENDPOINTS_HALF)
                behind = self.name.half_named(names.DNS_HALF)
                return [
                    self.by_endpoints(front, folder),
                    self.by_dns(behind, dns_s),
                    self.both(front, behind),
                ]

    def by_dns(self, name: ClusterName, dns_s: float) -> Json:
        return {
            **self._common(name),
            "cluster_type": {
                "name": "envoy.clusters.dns",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                    "dns_lookup_family": "V4_PREFERRED",
                    "dns_refresh_rate": f"{dns_s:g}s",
                    "dns_failure_refresh_rate": {
                        "base_interval": f"{dns_s:g}s",
                        "max_interval": f"{2 * dns_s:g}s",
                    },
                },
            },
            "load_assignment": load_assignment(name, self.arm, self.port, (self.arm.host,)),
        }

    def by_endpoints(self, name: ClusterName, folder: str) -> Json:
        return {
            **self._common(name),
            "type": "EDS",
            "eds_cluster_config": {
                "eds_config": watched(folder, names.endpoints_file(name)),
            },
        }

    def both(self, front: ClusterName, behind: ClusterName) -> Json:
        return {
            "@type": TYPE,
            "name": str(self.name),
            "connect_timeout": "0.5s",
            "lb_policy": "CLUSTER_PROVIDED",
            "common_lb_config": _PANIC,
            "cluster_type": {
                "name": "envoy.clusters.aggregate",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.clusters.aggregate.v3.ClusterConfig",
                    "clusters": [str(front), str(behind)],
                },
            },
            "circuit_breakers": self._limits(),
        }

    def _common(self, name: ClusterName) -> Json:
        return {
            "@type": TYPE,
            "name": str(name),
            "connect_timeout": "0.5s",
            "lb_policy": "LEAST_REQUEST",
            "common_lb_config": _PANIC,
            "ignore_health_on_host_removal": not self.arm.names_itself,
            "health_checks": [self._health_check()],
            "outlier_detection": _OUTLIERS,
            "circuit_breakers": self._limits(),
            "upstream_connection_options": {
                "tcp_keepalive": {
                    "keepalive_probes": 3,
                    "keepalive_time": 30,
                    "keepalive_interval": 5,
                }
            },
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": self._protocol()
            },
        }

    def _health_check(self) -> Json:
        check: Json = {"path": READY_PATH, "codec_client_type": "HTTP1"}
        if self.arm.names_itself:
            check["service_name_matcher"] = {"exact": self.arm.revision}
        return {
            "timeout": "1s",
            "interval": "1s",
            "interval_jitter": "0.1s",
            "no_traffic_interval": "1s",
            "unhealthy_edge_interval": "0.5s",
            "unhealthy_threshold": 2,
            "healthy_threshold": 1,
            "http_health_check": check,
        }

    def _limits(self) -> Json:
        limit = _SHADOW_REQUESTS if self.shadow else _NEVER_REACHED
        return {
            "thresholds": [
                {
                    "max_connections": limit,
                    "max_pending_requests": limit,
                    "max_requests": limit,
                    "max_retries": min(limit, 1000),
                }
            ]
        }

    def _protocol(self) -> Json:
        http2 = self.name.protocol is Protocol.GRPC
        options = "http2_protocol_options" if http2 else "http_protocol_options"
        return {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "common_http_protocol_options": {"idle_timeout": f"{_IDLE_S}s"},
            "explicit_http_config": {options: {}},
        }


_PANIC: Final[Json] = {"healthy_panic_threshold": {"value": 1}}
"""In percent: when no pod at all is healthy, use them all. With 0 it is a certain 503."""

_OUTLIERS: Final[Json] = {
    "split_external_local_origin_errors": True,
    "interval": "1s",
    "base_ejection_time": "2s",
    "max_ejection_time": "10s",
    "max_ejection_percent": 50,
    # What a model answers, and how one pod's answers differ from another's, is the model's.
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
}
"""Five connections that fail, one after the other. What is not said has a default that does
nothing or the same: each line is there for every cluster, and a ConfigMap is small."""


def load_assignment(name: ClusterName, arm: Arm, port: int, hosts: tuple[str, ...]) -> Json:
    """Health is always asked for on the HTTP port."""
    endpoints: list[Json] = []
    for host in hosts:
        endpoint: Json = {"address": {"socket_address": {"address": host, "port_value": port}}}
        if port != arm.http_port:
            endpoint["health_check_config"] = {"port_value": arm.http_port}
        endpoints.append({"endpoint": endpoint})
    return {"cluster_name": str(name), "endpoints": [{"lb_endpoints": endpoints}]}


def watched(folder: str, file: str) -> Json:
    """A file that is read again when the kubelet swaps the folder's content. Each of these takes an
    inotify instance of the pod's user on its node, of which there are 128 by default."""
    return {
        "path_config_source": {
            "path": f"{folder}/{file}",
            "watched_directory": {"path": folder},
        },
        "resource_api_version": "V3",
    }
