"""Routers in memory: each serves what its kubelet has handed to it, and answers on its ops port as
the real one does.

Nothing of it is the operator's: what a router serves is read out of the files themselves.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from modelfleet_operator.cluster.routers import RouterApi, Silent
from modelfleet_operator.kinds import Json
from modelfleet_operator.router import names
from modelfleet_operator.router.names import ClusterName

Files = Mapping[str, str]
"""Text by name, as a ConfigMap has it."""


@dataclass
class Counted:
    """Requests of one revision, since the router started."""

    answers: dict[str, int] = field(default_factory=lambda: {"2": 0, "5": 0})
    in_flight: int = 0


@dataclass
class Envoy:
    """One router's process."""

    files: Files
    """What it serves."""
    cached: Files
    """The ConfigMap as its kubelet knows it."""
    touched: str = ""
    """The annotation at which its kubelet has looked at the ConfigMap last."""
    healthy: dict[str, frozenset[str]] = field(default_factory=dict)
    """By revision, the pods that have passed its checks."""
    counted: dict[str, Counted] = field(default_factory=dict)
    deaf: bool = False
    """Its ops port does not answer."""
    frozen: bool = False
    """Its kubelet does nothing."""

    def __post_init__(self) -> None:
        self.take(self.files)

    def take(self, files: Files) -> None:
        self.files = files
        self._hosts = {
            host["name"]: host
            for routes in _resources(files, names.ROUTES_FILE)
            for host in routes["virtual_hosts"]
        }
        self._clusters = [each["name"] for each in _resources(files, names.CLUSTERS_FILE)]
        self.ports = {
            each["address"]["socket_address"]["port_value"]: each["name"].rpartition("_")[0]
            for each in _resources(files, names.LISTENERS_FILE)
        }
        """The deployment, by port."""
        self.split = {name: dict(_split(host)) for name, host in self._hosts.items()}
        """By deployment, where its requests really go: parts by revision."""
        known = {revision for _, revision in self.known()}
        self.healthy = {name: pods for name, pods in self.healthy.items() if name in known}

    def known(self) -> Iterator[tuple[ClusterName, str]]:
        """Its clusters, each with its revision."""
        for name in self._clusters:
            parsed = ClusterName.parse(name)
            if parsed is not None:
                yield parsed, parsed.revision

    def request(self, revision: str, number: int, *, fails: bool) -> None:
        counted = self.counted.setdefault(revision, Counted())
        counted.answers["5" if fails else "2"] += number

    def answer(self, path: str) -> str:
        match path:
            case names.SITES_PATH:
                route = self._hosts[names.ALL_SITES]["routes"][0]
                return str(route["direct_response"]["body"]["inline_string"])
            case "/config":
                stats = [{"name": name, "value": value} for name, value in self._stats()]
                return json.dumps({"stats": [*stats, {"histograms": {}}]})
            case "/stats/prometheus":
                return "\n".join(self._metrics())
        raise Silent(f"{path} was answered with 404")

    def _stats(self) -> Iterator[tuple[str, str | int]]:
        yield "listener_manager.lds.version_text", _version(self.files, names.LISTENERS_FILE)
        yield "cluster_manager.cds.version_text", _version(self.files, names.CLUSTERS_FILE)
        yield "http.ops.rds.sites.version_text", _version(self.files, names.ROUTES_FILE)
        for name, revision in self.known():
            healthy = len(self.healthy.get(revision, ()))
            yield f"cluster.{name}.membership_healthy", healthy
            yield f"cluster.{name}.membership_total", healthy

    def _metrics(self) -> Iterator[str]:
        yield "# TYPE envoy_cluster_upstream_rq_total counter"
        for name, revision in self.known():
            counted = self.counted.get(revision)
            if counted is None or name.protocol != "http":
                continue
            where = f'envoy_cluster_name="{name}",modelfleet_revision="{revision}"'
            total = sum(counted.answers.values())
            for class_, number in counted.answers.items():
                labels = f'envoy_response_code_class="{class_}",{where}'
                yield f"envoy_cluster_upstream_rq_xx{{{labels}}} {number}"
            for what in ("total", "completed"):
                yield f"envoy_cluster_upstream_rq_{what}{{{where}}} {total}"
            yield f"envoy_cluster_upstream_rq_active{{{where}}} {counted.in_flight}"
            for bound in ("25", "100", "+Inf"):
                labels = f'le="{bound}",{where}'
                yield f"envoy_cluster_upstream_rq_time_bucket{{{labels}}} {total}"
            yield f"envoy_cluster_upstream_rq_time_count{{{where}}} {total}"
            yield f"envoy_cluster_upstream_rq_time_sum{{{where}}} {20 * total}"
        yield ""


class DataPlane(RouterApi):
    """All routers, by their pods' addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.envoys: dict[str, Envoy] = {}

    async def ask(self, address: str, path: str, port: int | None = None, most: int = 0) -> str:
        envoy = self.envoys.get(address)
        if envoy is None or envoy.deaf:
            raise Silent(f"{path}: nobody listens at {address}")
        return envoy.answer(path)


def _resources(files: Files, file: str) -> Iterable[Json]:
    found: list[Json] = json.loads(files[file])["resources"]
    return found


def _version(files: Files, file: str) -> str:
    return str(json.loads(files[file])["version_info"])


def _split(host: Json) -> Iterator[tuple[str, int]]:
    """Of the last route, which is for everybody."""
    route = host["routes"][-1].get("route", {})
    parts: dict[str, int] = {}
    for each in route.get("weighted_clusters", {}).get("clusters", ()):
        parsed = ClusterName.parse(each["name"])
        assert parsed is not None, each
        parts[parsed.revision] = parts.get(parsed.revision, 0) + each["weight"]
    return iter(parts.items())
