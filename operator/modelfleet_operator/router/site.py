"""What the router is told: one `Site` for each ModelDeployment. Every other file here reads these.

Weights are parts of 10000, because the choice of a sticky caller is its hash modulo the total: a
total that changed would move people who should stay.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from modelfleet_operator.api import labels
from modelfleet_operator.api.routing import Retries

WHOLE: Final = 10_000
"""What the parts of a split sum to."""

MIB: Final = 1024 * 1024


class Protocol(StrEnum):
    """Each has a listener on the pair and a cluster for each revision."""

    HTTP = "http"
    GRPC = "grpc"


class Discovery(StrEnum):
    """How the pair finds the pods of a revision."""

    DNS = "Dns"
    """By the headless Service's name. Needs no operator; right where an answer of the DNS is at
    most some 5 seconds old."""
    ENDPOINTS = "EndpointsThenDns"
    """By the addresses that the operator writes, and by DNS when none of these is healthy. For
    clusters whose DNS answers may be older. Each revision is then checked twice."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The pods of one revision, as the router reaches them."""

    revision: str
    host: str
    """The headless Service's full name. It must publish pods that are not ready: the router checks
    them itself, and so knows a pod when it becomes ready."""
    http_port: int
    grpc_port: int | None = None
    """None: the revision speaks no gRPC."""
    names_itself: bool = True
    """Its health answer says `x-envoy-upstream-healthchecked-cluster: REVISION`. Only then can the
    router keep a pod that the DNS does not name at the moment: an address that was given to a pod
    of another model would pass the check of one that does not say who it is."""
    addresses: tuple[str, ...] = ()
    """Of its pods; only for `Discovery.ENDPOINTS`."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A piece of the line from 0 to 10000 on which each caller has a place."""

    revision: str
    parts: int


Intervals = tuple[Interval, ...]
"""In order, with the sum 10000. A revision may have several pieces: see `intervals.py`."""


def all_to(revision: str) -> Intervals:
    return (Interval(revision, WHOLE),)


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A request header with exactly this value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Match:
    """Requests with all of these go elsewhere than the rest. The first match of a site decides."""

    to: Intervals
    headers: tuple[HeaderMatch, ...] = ()
    path_prefix: str = "/"


@dataclass(frozen=True, slots=True)
class StickyHeader:
    """The same value of this request header is the same arm; without it, chance decides."""

    name: str


@dataclass(frozen=True, slots=True)
class StickyCookie:
    """A caller without this cookie is given one; the same cookie is the same arm."""

    name: str
    max_age_s: int = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of some requests. Nobody waits for the answer."""

    revision: str
    parts: int = WHOLE


@dataclass(frozen=True, slots=True)
class Site:
    """The routing of one ModelDeployment."""

    name: str
    generation: int
    """Of the resource; it begins the version that the router answers with."""
    http_port: int
    grpc_port: int
    """The ports of its listeners on the pair."""
    arms: tuple[Arm, ...]
    """Every revision that the router should know, with a weight or without: a revision is made
    known first, and given weight when it is seen to be healthy through both routers."""
    intervals: Intervals
    matches: tuple[Match, ...] = ()
    sticky: StickyHeader | StickyCookie | None = None
    mirrors: tuple[Mirror, ...] = ()
    timeout_s: float = 30.0
    """The runtime's own limit for a request. The router ends a request that has been silent for
    somewhat longer, which is one of a process that hangs."""
    retry_body_bytes: int = 16 * MIB
    """How much of a request's body is kept to send it again. Larger bodies pass, but are not sent
    again."""
    retries: Retries = Retries.SAFE
    routers: str = labels.SHARED_ROUTERS
    """The pair that serves it."""
    listening: bool = True
    """Takes new connections. A deployment that leaves its routers stops that first, and answers on
    what callers have kept for a while longer."""

    @property
    def splits(self) -> tuple[Intervals, ...]:
        """Of the matches, then of the rest."""
        return (*(match.to for match in self.matches), self.intervals)

    @property
    def routed(self) -> frozenset[str]:
        """The revisions from which callers get answers."""
        return frozenset(each.revision for split in self.splits for each in split if each.parts)

    @property
    def only_mirrored(self) -> frozenset[str]:
        """The revisions that get copies and that no weight names, not even one of 0."""
        named = {each.revision for split in self.splits for each in split}
        return frozenset(mirror.revision for mirror in self.mirrors) - named
