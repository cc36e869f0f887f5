"""All resources of one site: made from the site, or taken out of files that were made before."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from modelfleet_operator.kinds import Json
from modelfleet_operator.router import clusters, endpoints, listeners, names
from modelfleet_operator.router.names import ClusterName
from modelfleet_operator.router.routes import virtual_host
from modelfleet_operator.router.site import Discovery, Site


@dataclass(frozen=True, slots=True)
class Part:
    """One site's share of the files."""

    name: str
    host: Json
    listeners: tuple[Json, ...]
    clusters: tuple[Json, ...]
    endpoints: Mapping[str, Json] = field(default_factory=dict)
    """By file."""

    @property
    def ports(self) -> frozenset[int]:
        return frozenset(
            int(each["address"]["socket_address"]["port_value"]) for each in self.listeners
        )

    @property
    def size(self) -> int:
        """In bytes, somewhat more than it will be: the answer for all sites repeats a part."""
        resources = [*self.listeners, *self.clusters, *self.endpoints.values(), self.host]
        return sum(len(json.dumps(each, separators=(",", ":"))) + 1 for each in resources) + 512


def of_site(site: Site, discovery: Discovery, dns_s: float, folder: str, address: str) -> Part:
    return Part(
        name=site.name,
        host=virtual_host(site),
        listeners=tuple(listeners.listeners([site] if site.listening else [], folder, address)),
        clusters=tuple(clusters.clusters([site], discovery, folder, dns_s)),
        endpoints=endpoints.files(site) if discovery is Discovery.ENDPOINTS else {},
    )


def read(data: Mapping[str, str]) -> dict[str, Part]:
    """The parts of all sites in these files, by site; those that are whole.

    A file that cannot be read has nothing in it: somebody else has written there.
    """
    try:
        return {part.name: part for part in _read(data)}
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def _read(data: Mapping[str, str]) -> Iterable[Part]:
    (routes,) = _resources(data, names.ROUTES_FILE)
    all_listeners = _resources(data, names.LISTENERS_FILE)
    all_clusters = _resources(data, names.CLUSTERS_FILE)
    for host in routes["virtual_hosts"]:
        name = host["name"]
        if name == names.ALL_SITES:
            continue
        own = [each for each in all_clusters if _deployment(each["name"]) == name]
        files = [f"{each['name']}.json" for each in own if each.get("type") == "EDS"]
        yield Part(
            name=name,
            host=host,
            listeners=tuple(
                each for each in all_listeners if each["name"].rpartition("_")[0] == name
            ),
            clusters=tuple(own),
            endpoints={file: _resources(data, file)[0] for file in files},
        )


def _deployment(cluster: str) -> str | None:
    parsed = ClusterName.parse(cluster)
    return None if parsed is None else parsed.deployment


def _resources(data: Mapping[str, str], file: str) -> list[Any]:
    found: list[Any] = json.loads(data[file])["resources"]
    return found
