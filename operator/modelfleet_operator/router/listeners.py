"""Where do callers come in? Two listeners for each site, and what they have in common.

Nothing here depends on weights: a listener that changes is replaced and its connections drained,
so a change of weights must leave every byte of it as it was.
"""

from collections.abc import Iterable
from typing import Final

from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.clusters import watched
from modelfleet_operator.router.site import Protocol, Site

TYPE: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"

_BUFFER_BYTES: Final = 1024 * 1024


def listeners(sites: Iterable[Site], folder: str, address: str) -> list[Json]:
    """All listeners of all sites, sites by name."""
    made = []
    for site in sorted(sites, key=lambda site: site.name):
        for protocol, port in ((Protocol.HTTP, site.http_port), (Protocol.GRPC, site.grpc_port)):
            name = names.listener(site.name, protocol)
            made.append({"@type": TYPE, **listener(name, site.name, address, port, folder)})
    return made


def listener(name: str, site: str, address: str, port: int, folder: str) -> Json:
    """One that is routed by the virtual host of that site, whatever Host a caller asks for."""
    return {
        "name": name,
        "address": socket_address(address, port),
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "filter_chains": [
            {
                "filters": [
                    connection_manager(
                        {
                            "stat_prefix": names.STAT_PREFIX,
                            "early_header_mutation_extensions": [_site_header(site)],
                            "rds": {
                                "route_config_name": names.ROUTE_CONFIGURATION,
                                "config_source": watched(folder, names.ROUTES_FILE),
                            },
                            **_MANNERS,
                        }
                    )
                ]
            }
        ],
    }


def socket_address(address: str, port: int) -> Json:
    at: Json = {"address": address, "port_value": port}
    if address == names.ANY:
        at["ipv4_compat"] = True
    return {"socket_address": at}


def connection_manager(settings: Json) -> Json:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network."
            "http_connection_manager.v3.HttpConnectionManager",
            **settings,
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {
                        "@type": "type.googleapis.com/"
                        "envoy.extensions.filters.http.router.v3.Router",
                        "suppress_envoy_headers": True,
                    },
                }
            ],
        },
    }


def _site_header(site: str) -> Json:
    """Written before the route is chosen."""

    def overwrite(key: str, value: str) -> Json:
        return {
            "append": {
                "header": {"key": key, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        }

    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/"
            "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [
                overwrite(names.SITE_HEADER, site),
                overwrite(names.DRAW_HEADER, "%UNIQUE_ID%"),
            ],
        },
    }


_MANNERS: Final[Json] = {
    # Nobody is trusted as internal: a caller's x-envoy-* headers would change our retries.
    "use_remote_address": True,
    "internal_address_config": {
        "cidr_ranges": [{"address_prefix": "255.255.255.255", "prefix_len": 32}]
    },
    "normalize_path": True,
    # The name of a model may hold one.
    "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
    "server_header_transformation": "PASS_THROUGH",
    # A caller's own id is kept, and everybody is told it: later, a value can be posted by it.
    "preserve_external_request_id": True,
    "always_set_request_id_in_response": True,
    "request_id_extension": {
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
            "pack_trace_reason": False,
        }
    },
    # Inference may take long, and so may a stream: a site's own limit is on its routes.
    "stream_idle_timeout": "0s",
    "request_headers_timeout": "10s",
    "common_http_protocol_options": {"idle_timeout": "600s"},
    "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "model"},
}
