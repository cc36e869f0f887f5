"""The ConfigMap that both routers read: all sites that can be served, each in the form proved last.

A site that cannot be served is kept as the ConfigMap has it now, or left out where it is new. Its
neighbours are written as they are wanted either way.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.part import Part, of_site, read
from modelfleet_operator.router.prove import faults
from modelfleet_operator.router.route_configuration import route_configuration
from modelfleet_operator.router.site import Discovery, Site

MOST_BYTES: Final = 1_000_000
"""A ConfigMap holds 1 MiB, its metadata included."""
MOST_WATCHED: Final = 24
"""Files of endpoints, each of which takes one of the 128 inotify instances that the processes of
one user have on a node: Envoy aborts when it gets none."""
_OF_A_ROLLOUT: Final = 4
"""Files of one site while it rolls out: two revisions, over two protocols."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What holds for all sites of one pair."""

    discovery: Discovery = Discovery.DNS
    dns_s: float = 1.0
    """How often a Service's name is asked for, in seconds."""
    folder: str = names.CONFIG_FOLDER
    address: str = names.ANY_IPV4
    """Where the listeners listen."""


@dataclass(frozen=True, slots=True)
class Files:
    """What to write, and what was not."""

    data: Mapping[str, str]
    """The ConfigMap's data: text by file name."""
    refused: Mapping[str, tuple[str, ...]]
    """Why a site is not served as it is wanted: sentences by site."""
    kept: frozenset[str]
    """Of the refused sites, those that are served as they were."""
    by_dns: frozenset[str]
    """Sites found by DNS alone although the pair's `discovery` is another: there are more files of
    endpoints than may be watched."""

    @property
    def version(self) -> str:
        """Changes with every byte. For the annotation that makes the kubelet look at once."""
        return _digest(json.dumps(dict(self.data), sort_keys=True))


def files(
    sites: Iterable[Site],
    pair: Pair,
    now: Mapping[str, str] | None = None,
    unread: Iterable[str] = (),
) -> Files:
    """`now`: the data of the ConfigMap as it is; None or what cannot be read: nothing to keep.
    `unread`: sites of which it is not known what they want; they are kept as they are."""
    before = read(now or {})
    wanted = list(sites)
    chosen = _Choice(pair, before)
    for site in wanted:
        if why := [*faults(site), *_twice(site, wanted)]:
            chosen.refuse(site.name, why)
    good = [site for site in wanted if site.name not in chosen.refused]
    for name in sorted(unread):
        chosen.refuse(name, ["what is written for the routers cannot be read."])
    for site in sorted(good, key=chosen.claim):
        chosen.take(site)
    return chosen.files()


def _twice(site: Site, sites: list[Site]) -> list[str]:
    times = Counter(each.name for each in sites)[site.name]
    return [f"{times} ModelDeployments are called {site.name}."] if times > 1 else []


class _Choice:
    """Site after site is taken in as long as it fits."""

    def __init__(self, pair: Pair, before: Mapping[str, Part]) -> None:
        self.pair, self.before = pair, before
        self.parts: dict[str, Part] = {}
        self.used = 0
        """Bytes of the parts."""
        self.refused: dict[str, tuple[str, ...]] = {}
        self.by_dns: set[str] = set()

    def claim(self, site: Site) -> tuple[bool, bool, str]:
        """Who is served already comes first, for its ports, its room and its watches."""
        old = self.before.get(site.name)
        return old is None, old is None or not old.endpoints, site.name

    def take(self, site: Site) -> None:
        part = self._made(site, self.pair.discovery)
        if part.endpoints and not self._may_watch(part.name):
            part = self._made(site, Discovery.DNS)
            self.by_dns.add(site.name)
        if why := self._no_place(part):
            self.refuse(site.name, why)
        else:
            self._add(part)

    def _made(self, site: Site, discovery: Discovery) -> Part:
        pair = self.pair
        return of_site(site, discovery, pair.dns_s, pair.folder, pair.address)

    def refuse(self, name: str, why: list[str]) -> None:
        self.refused[name] = tuple(why)
        old = self.before.get(name)
        if old is not None and not self._no_place(old):
            self._add(old)

    def _add(self, part: Part) -> None:
        self.parts[part.name] = part
        self.used += part.size

    def _no_place(self, part: Part) -> list[str]:
        why = []
        for name, other in self.parts.items():
            why += [
                f"port {port} of the router is that of {name}: take another."
                for port in sorted(part.ports & other.ports)
            ]
        if self.used + part.size > MOST_BYTES:
            why.append(
                f"it needs {part.size} bytes of the router's configuration, of which {self.used} "
                f"of {MOST_BYTES} are used: give some ModelDeployments a router of their own."
            )
        return why

    def _may_watch(self, name: str) -> bool:
        """Decided once for each site: a cluster that is found in another way is built anew, and for
        a moment has no pods."""
        old = self.before.get(name)
        if old is not None:
            return bool(old.endpoints)
        return self._watched() + _OF_A_ROLLOUT <= MOST_WATCHED

    def _watched(self) -> int:
        """With room for each to roll out."""
        found = (len(part.endpoints) for part in self.parts.values() if part.endpoints)
        return sum(max(many, _OF_A_ROLLOUT) for many in found)

    def files(self) -> Files:
        parts = [self.parts[name] for name in sorted(self.parts)]
        resources: dict[str, list[Json]] = {
            names.LISTENERS_FILE: [each for part in parts for each in part.listeners],
            names.CLUSTERS_FILE: [each for part in parts for each in part.clusters],
            names.ROUTES_FILE: [route_configuration(part.host for part in parts)],
        }
        for part in parts:
            resources |= {name: [each] for name, each in part.endpoints.items()}
        return Files(
            data={name: _response(each) for name, each in resources.items()},
            refused=self.refused,
            kept=frozenset(self.refused.keys() & self.parts.keys()),
            by_dns=frozenset(self.by_dns & self.parts.keys()),
        )


def version_of(file: str) -> str:
    """Of one file, as `observed.py` finds it on a router. Empty: the file cannot be read."""
    try:
        found: Any = json.loads(file)
    except ValueError:
        return ""
    return str(found.get("version_info", "")) if isinstance(found, dict) else ""


def _response(resources: list[Json]) -> str:
    """A file as Envoy reads it. Its version is a digest: unchanged content keeps it."""
    text = json.dumps(resources, separators=(",", ":"))
    return f'{{"version_info":"{_digest(text)}","resources":{text}}}'


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
