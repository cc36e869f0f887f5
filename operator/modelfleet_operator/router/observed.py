"""What does one router really serve, and how do its revisions do?

Three answers of its ops port: `/sites` (the routing of each site, said by the routes themselves),
`/config` (which files it has taken, which pods are healthy) and `/stats/prometheus` (counters).
Each is read into values, and an answer that cannot be read raises `Unreadable`: nothing known is
not the same as nothing there.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from modelfleet_operator.router import names
from modelfleet_operator.router.files import version_of
from modelfleet_operator.router.names import ClusterName
from modelfleet_operator.router.site import Protocol


class Unreadable(Exception):
    """A router answered something else than what was asked for."""


@dataclass(frozen=True, slots=True)
class Served:
    """The routing of one site as it is at this moment."""

    version: str
    """As `routes.version` of what was wanted, once that is served."""
    weights: Mapping[str, int]
    """Parts of 10000 by revision."""


@dataclass(frozen=True, slots=True)
class Members:
    """Pods of one revision, as this router sees them."""

    healthy: int
    total: int


class Resource(StrEnum):
    """A file that the router follows."""

    LISTENERS = "listeners"
    CLUSTERS = "clusters"
    ROUTES = "routes"


_FILE: Final = {
    Resource.LISTENERS: names.LISTENERS_FILE,
    Resource.CLUSTERS: names.CLUSTERS_FILE,
    Resource.ROUTES: names.ROUTES_FILE,
}


@dataclass(frozen=True, slots=True)
class File:
    """What became of one file since the router started."""

    version: str = ""
    """Of what is served; empty: nothing of it was ever taken."""
    rejected: int = 0
    """How often it was read and refused: something in it is not valid."""
    failed: int = 0
    """How often it could not be read at all."""


@dataclass(frozen=True, slots=True)
class Router:
    """`/config` of one router."""

    files: Mapping[Resource, File]
    members: Mapping[str, Members]
    """By revision, over HTTP. Where pods are found in two ways, what the better one sees."""
    grpc_members: Mapping[str, Members]
    """The same over gRPC, for revisions that speak it."""
    unknown_fields: int = 0
    """Above 0: this Envoy is older than what is written for it, and leaves a part out."""

    def lags(self, data: Mapping[str, str]) -> tuple[Resource, ...]:
        """Which files it does not serve as they stand in the ConfigMap."""
        return tuple(
            resource
            for resource, file in _FILE.items()
            if self.files[resource].version != version_of(data.get(file, ""))
        )

    def why(self, resource: Resource) -> str:
        """A sentence on a file that it does not serve."""
        file = self.files[resource]
        if file.rejected:
            return (
                f"the router has refused the {resource} that were written ({file.rejected} so far)"
            )
        if file.failed:
            return f"the router could not read the {resource} ({file.failed} so far)"
        return f"the router has not read the {resource} yet"


@dataclass(frozen=True, slots=True)
class Histogram:
    """Answers by the time they took, in milliseconds."""

    bounds: tuple[float, ...] = ()
    cumulative: tuple[int, ...] = ()
    """How many took at most so long, one for each bound."""
    count: int = 0
    sum_ms: float = 0.0

    def above(self, bound: float) -> int:
        """How many took longer. Raises ValueError where `bound` is none of the bounds."""
        return self.count - self.cumulative[self.bounds.index(bound)]


@dataclass(frozen=True, slots=True)
class Counters:
    """Of one revision on one router, HTTP and gRPC together, since the router started."""

    attempts: int = 0
    """Requests that a pod got, those sent again included."""
    retries: int = 0
    """How often a request was sent again, or its connection tried again."""
    completed: int = 0
    """Requests of callers that were answered, if only by the router itself; each once. Copies
    count for the revision that gets them."""
    in_flight: int = 0
    answers: Mapping[str, int] = field(default_factory=dict)
    """By class of status, "2" to "5"; a class that is missing had none."""
    latency: Histogram = Histogram()
    """Trails the counters by up to a second."""


def read_sites(text: str) -> dict[str, Served]:
    """`/sites`: by ModelDeployment."""
    try:
        return {
            each["deployment"]: Served(each["version"], dict(each["weights"]))
            for each in _json(text)["sites"]
        }
    except (KeyError, TypeError, ValueError) as wrong:
        raise Unreadable(f"the router's answer on {names.SITES_PATH} has another form") from wrong


def read_config(text: str) -> Router:
    """`/config`."""
    values: dict[str, Any] = {}
    try:
        for each in _json(text)["stats"]:
            if "name" in each:  # the rest are histograms
                values[each["name"]] = each["value"]
    except (KeyError, TypeError) as wrong:
        raise Unreadable("the router's answer on /config has another form") from wrong
    return Router(
        files={resource: _file(values, pattern) for resource, pattern in _PREFIX.items()},
        members=_members(values, Protocol.HTTP),
        grpc_members=_members(values, Protocol.GRPC),
        unknown_fields=int(values.get("server.dynamic_unknown_fields", 0)),
    )


_PREFIX: Final = {
    Resource.LISTENERS: re.compile(r"listener_manager\.lds\."),
    Resource.CLUSTERS: re.compile(r"cluster_manager\.cds\."),
    Resource.ROUTES: re.compile(rf"http\.[a-z]+\.rds\.{names.ROUTE_CONFIGURATION}\."),
}


def _file(values: Mapping[str, Any], prefix: re.Pattern[str]) -> File:
    found = {name[match.end() :]: value for name, value in values.items()
             if (match := prefix.match(name))}  # fmt: skip
    return File(
        version=str(found.get("version_text", "")),
        rejected=int(found.get("update_rejected", 0)),
        failed=int(found.get("update_failure", 0)),
    )


def _members(values: Mapping[str, Any], protocol: Protocol) -> dict[str, Members]:
    seen: dict[ClusterName, dict[str, int]] = {}
    for name, value in values.items():
        prefix, _, rest = name.partition(".")
        cluster, _, what = rest.partition(".membership_")
        parsed = ClusterName.parse(cluster) if prefix == "cluster" and what else None
        if parsed is not None and parsed.protocol is protocol:
            seen.setdefault(parsed, {})[what] = int(value)
    best: dict[str, Members] = {}
    for cluster_name, counts in seen.items():
        members = Members(counts.get("healthy", 0), counts.get("total", 0))
        other = best.get(cluster_name.revision, Members(0, 0))
        best[cluster_name.revision] = Members(
            max(members.healthy, other.healthy), max(members.total, other.total)
        )
    return best


_SAMPLE: Final = re.compile(
    r"^envoy_cluster_upstream_rq(?P<what>_total|_retry|_completed|_active|_xx"
    r"|_time_bucket|_time_sum|_time_count)\{(?P<labels>[^}]*)\} (?P<value>\S+)$",
    re.MULTILINE,
)
_LABEL: Final = re.compile(r'([a-z_]+)="([^"]*)"')


def read_statistics(text: str) -> dict[str, Counters]:
    """`/stats/prometheus`: by revision.

    A revision that never had a request is missing. Only the families that are read are looked at:
    with fifty ModelDeployments the answer has some 20,000 lines.
    """
    if "# TYPE envoy_" not in text:
        raise Unreadable("the router's answer on /stats/prometheus is not a list of metrics")
    tallies: dict[str, _Tally] = {}
    for sample in _SAMPLE.finditer(text):
        labels = dict(_LABEL.findall(sample["labels"]))
        revision = labels.get("modelfleet_revision")
        if revision is not None:
            tallies.setdefault(revision, _Tally()).add(
                sample["what"], labels, float(sample["value"])
            )
    return {revision: tally.counters() for revision, tally in tallies.items()}


class _Tally:
    """The clusters of one revision, added up."""

    def __init__(self) -> None:
        self.plain: dict[str, float] = {}
        self.answers: dict[str, int] = {}
        self.buckets: dict[float, int] = {}

    def add(self, what: str, labels: Mapping[str, str], value: float) -> None:
        match what:
            case "_xx":
                kind = labels.get("envoy_response_code_class", "")
                self.answers[kind] = self.answers.get(kind, 0) + int(value)
            case "_time_bucket":
                bound = float(labels["le"])
                self.buckets[bound] = self.buckets.get(bound, 0) + int(value)
            case _:
                self.plain[what] = self.plain.get(what, 0) + value

    def counters(self) -> Counters:
        bounds = sorted(bound for bound in self.buckets if bound != float("inf"))
        return Counters(
            attempts=int(self.plain.get("_total", 0)),
            retries=int(self.plain.get("_retry", 0)),
            completed=int(self.plain.get("_completed", 0)),
            in_flight=int(self.plain.get("_active", 0)),
            answers={kind: count for kind, count in self.answers.items() if count},
            latency=Histogram(
                bounds=tuple(bounds),
                cumulative=tuple(self.buckets[bound] for bound in bounds),
                count=int(self.plain.get("_time_count", 0)),
                sum_ms=self.plain.get("_time_sum", 0.0),
            ),
        )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise Unreadable("the router's answer is not JSON") from wrong
