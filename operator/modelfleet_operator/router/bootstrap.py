"""What never changes while a router lives: where its files are, what it shows, how much it may use.

The admin interface is on the loopback and stays there: it can stop the process. What the operator
and Prometheus need of it goes through the ops listener, four exact paths and GET only.
"""

from dataclasses import dataclass
from typing import Final

from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.clusters import watched
from modelfleet_operator.router.listeners import connection_manager, listener, socket_address
from modelfleet_operator.router.site import MIB
from modelfleet_operator.statistics.latency import LADDER

LADDER_MS: Final = LADDER
"""Bounds of the latency buckets, in milliseconds. Against a limit that is one of them, a share of
slow requests is counted and not interpolated."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a router may use, and where it listens. The defaults are those of a pod."""

    heap_bytes: int = 192 * MIB
    """Memory is given back from 85 % on, requests are refused from 95 % on."""
    connections: int = 20_000
    """Of callers, at once."""
    latency_ms: tuple[float, ...] = LADDER_MS
    folder: str = names.CONFIG_FOLDER
    address: str = names.ANY_IPV4
    """Where the ops listener listens."""
    admin_port: int = names.ADMIN_PORT
    ops_port: int = names.OPS_PORT
    sites_port: int = names.SITES_PORT
    resolvers: tuple[tuple[str, int], ...] = ()
    """DNS servers by address and port. Empty: those of the pod."""


def bootstrap(bounds: Bounds) -> Json:
    return {
        "node": {"cluster": "modelfleet-router"},
        "admin": {"address": socket_address("127.0.0.1", bounds.admin_port)},
        "dynamic_resources": {
            "lds_config": watched(bounds.folder, names.LISTENERS_FILE),
            "cds_config": watched(bounds.folder, names.CLUSTERS_FILE),
        },
        "static_resources": {
            "listeners": [_ops(bounds), _sites(bounds)],
            "clusters": [
                _local("admin", bounds.admin_port),
                _local("sites", bounds.sites_port),
            ],
        },
        "typed_dns_resolver_config": _resolver(bounds.resolvers),
        "stats_flush_interval": "1s",
        "stats_config": _statistics(bounds.latency_ms),
        "overload_manager": _overload(bounds),
    }


def _ops(bounds: Bounds) -> Json:
    to_admin = {
        "/ready": "/ready",
        "/stats/prometheus": "/stats/prometheus?usedonly",
        "/config": f"/stats?format=json&filter={_CONFIG}",
    }
    routes = [
        *(_get(path, {"cluster": "admin", "prefix_rewrite": to}) for path, to in to_admin.items()),
        _get(names.SITES_PATH, {"cluster": "sites"}),
    ]
    return {
        "name": "ops",
        "address": socket_address(bounds.address, bounds.ops_port),
        # A router that refuses callers can still say why.
        "bypass_overload_manager": True,
        "ignore_global_conn_limit": True,
        "filter_chains": [
            {
                "filters": [
                    connection_manager(
                        {
                            "stat_prefix": "ops",
                            "normalize_path": True,
                            "route_config": {
                                "name": "ops",
                                "virtual_hosts": [
                                    {"name": "ops", "domains": ["*"], "routes": routes}
                                ],
                            },
                        }
                    )
                ]
            }
        ],
    }


_CONFIG: Final = (
    rf"^(cluster_manager[.]cds|listener_manager[.]lds|http[.][a-z]+[.]rds[.]"
    rf"{names.ROUTE_CONFIGURATION})[.](version_text|update_rejected|update_failure)$"
    r"|^cluster[.][^.]+[.]membership_(healthy|total)$"
    r"|^server[.](state|dynamic_unknown_fields)$"
)


def _get(path: str, route: Json) -> Json:
    """`:path` holds the query as well: a caller's own would go on to the admin interface."""
    return {
        "match": {
            "path": path,
            "headers": [
                {"name": ":method", "string_match": {"exact": "GET"}},
                {"name": ":path", "string_match": {"exact": path}},
            ],
        },
        "route": route,
    }


def _sites(bounds: Bounds) -> Json:
    """Served by the same routes as the sites: it answers only when they are there."""
    one = listener("sites", names.ALL_SITES, "127.0.0.1", bounds.sites_port, bounds.folder)
    (chain,) = one["filter_chains"]
    (filter_,) = chain["filters"]
    # The questions of the operator are not what a router has to finish before it goes.
    filter_["typed_config"]["stat_prefix"] = "ops"
    return {**one, "bypass_overload_manager": True, "ignore_global_conn_limit": True}


def _local(name: str, port: int) -> Json:
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": socket_address("127.0.0.1", port)}}]}
            ],
        },
    }


def _resolver(resolvers: tuple[tuple[str, int], ...]) -> Json:
    """A lost packet costs two seconds and not five."""
    given = {"resolvers": [socket_address(*at) for at in resolvers]} if resolvers else {}
    return {
        "name": "envoy.network.dns_resolver.cares",
        "typed_config": {
            "@type": "type.googleapis.com/"
            "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "query_timeout_seconds": 2,
            "query_tries": 2,
            "dns_resolver_options": {"no_default_search_domain": True},
            **given,
        },
    }


_NAME: Final = "[a-z0-9-]+"
_HALF: Final = f"(?:_{names.ENDPOINTS_HALF}|_{names.DNS_HALF})?"


def _statistics(bounds_ms: tuple[float, ...]) -> Json:
    """Only what is read: the rest would cost memory for each cluster."""
    kept = (
        rf"cluster\.{_NAME}_{_NAME}_(http|grpc){_HALF}\.(upstream_rq_(total|active|completed|retry.*|time|rx_reset|timeout"
        r"|pending_overflow|\dxx|\d\d\d|xx)|upstream_cx_(total|active|connect_fail|none_healthy)"
        r"|membership_(healthy|total)|lb_healthy_panic|outlier_detection\.ejections_active)"
    )
    return {
        "use_all_default_tags": True,
        "stats_tags": [
            _tag("modelfleet_deployment", rf"(({_NAME})_{_NAME}_(?:http|grpc){_HALF}\.)"),
            _tag("modelfleet_revision", rf"({_NAME}_({_NAME})_(?:http|grpc){_HALF}\.)"),
            _tag("modelfleet_protocol", rf"({_NAME}_{_NAME}_(http|grpc){_HALF}\.)"),
        ],
        "stats_matcher": {
            "inclusion_list": {
                "patterns": [
                    {"safe_regex": {"regex": kept}},
                    {"prefix": f"http.{names.STAT_PREFIX}."},
                    {"prefix": "http.ops.rds."},
                    {"prefix": "cluster_manager."},
                    {"prefix": "listener_manager."},
                    {"prefix": "overload."},
                    {"prefix": "server."},
                ]
            }
        },
        "histogram_bucket_settings": [
            {"match": {"prefix": "cluster."}, "buckets": list(bounds_ms)}
        ],
    }


def _tag(name: str, cluster: str) -> Json:
    """The first group is taken out of the statistic's name, the second is the value."""
    return {"tag_name": name, "regex": rf"^cluster\.{cluster}"}


def _overload(bounds: Bounds) -> Json:
    heap = "envoy.resource_monitors.fixed_heap"

    def action(name: str, threshold: float) -> Json:
        trigger = {"name": heap, "threshold": {"value": threshold}}
        return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}

    return {
        "refresh_interval": "0.25s",
        "resource_monitors": [
            {
                "name": heap,
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": bounds.heap_bytes,
                },
            },
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors."
                    "downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": bounds.connections,
                },
            },
        ],
        "actions": [action("shrink_heap", 0.85), action("stop_accepting_requests", 0.95)],
    }
