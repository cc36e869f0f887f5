"""Observed: a frozen picture of one ModelDeployment and of everything that belongs to it.

    ModelDeployment digits            resource   what is asked for, and what was said last
      ControllerRevision digits-x     revisions  what may run: frozen pod templates, by number
      Deployment digits-x             workloads  what runs of each revision, in numbers
        Pod digits-x-...              pods       each pod, and what keeps it from serving
      ConfigMap digits-routes         routing    how routers split the traffic, and what they do
        or HTTPRoute digits           routing    the same of a Gateway
      Service digits                  address    which revision the address selects, and which
        EndpointSlice digits-...                 revisions' pods stand behind it at this moment

Two words are defined here and mean this everywhere: the **serving** revision is the one that the
address selects, whatever was asked for; the **wanted** revision is the one that the spec describes.
The types hold what was read and nothing that was decided.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from modelfleet_contract import ModelSource, Tallies
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Status
from modelfleet_operator.kinds import Json
from modelfleet_operator.router.observed import Counters
from modelfleet_operator.router.site import Intervals, Site

__all__ = [
    "Address",
    "Answer",
    "ChildKey",
    "GpuHolder",
    "GpuNode",
    "Gpus",
    "InvalidSpec",
    "Json",
    "Observed",
    "Pod",
    "PodTallies",
    "Resource",
    "Revision",
    "RouterPod",
    "Routing",
    "Trouble",
    "Workload",
]


class ChildKey(NamedTuple):
    """Names one child within the namespace of its ModelDeployment."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class InvalidSpec:
    """The spec passed the API server and cannot be read here (an operator older than its CRD)."""

    message: str


@dataclass(frozen=True, slots=True)
class Resource:
    """The ModelDeployment itself."""

    name: str
    namespace: str
    uid: str
    generation: int
    spec: Spec | InvalidSpec
    status: Status
    """What was said last; empty before the first time, or when it could not be read."""
    raw_status: Json = field(default_factory=dict, compare=False)
    deleting: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of what pods are made from; never changed once it exists."""

    name: str
    number: int
    variant: str
    model: ModelSource
    template: Json
    """The pod template, frozen when the revision was made."""
    spec: Json = field(default_factory=dict, compare=False)
    """The parts of the spec that it was made from, as far as they were set, for an undo; empty
    where that is not known."""
    restart: str = field(default="", compare=False)
    """The restart that it was made by."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a pod, or all pods of a revision, from serving."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a revision."""

    name: str
    revision: str
    ready: bool = False
    leaving: bool = False
    """It is being deleted; it may still answer, and does not count."""
    ended: bool = False
    """It has ended for good: its object is left, and holds nothing any more."""
    scheduled: bool = False
    trouble: Trouble | None = None
    address: str = ""
    """Its IP; empty while it has none."""


@dataclass(frozen=True, slots=True)
class PodTallies:
    """What one pod has counted for an experiment."""

    pod: str
    counted: Tallies | None = None
    """None: it did not answer."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The Deployment of one revision."""

    revision: str
    desired: int
    """spec.replicas: what the operator, an autoscaler or a person asked for."""
    trouble: Trouble | None = None
    """The API server refuses to make its pods."""


@dataclass(frozen=True, slots=True)
class Address:
    """The stable Service."""

    revision: str | None
    """The revision that its selector names; None when it names none of ours."""
    ready: Mapping[str, int] = field(default_factory=dict)
    """By revision, how many ready endpoints stand behind it."""
    present: Mapping[str, int] = field(default_factory=dict)
    """The same with those that are not ready or are ending."""
    through_routers: bool = False
    """It selects the routers."""


@dataclass(frozen=True, slots=True)
class RouterPod:
    """One router of the pair that serves this ModelDeployment; or a Gateway in its place, once for
    each of the routes that it is told."""

    name: str
    ready: bool = False
    """It takes requests."""
    gone_by: datetime | None = None
    """When its process has ended at the latest, where it is on its way out; until then it may serve
    those who came to it before."""
    uid: str = ""
    started: datetime | None = None
    version: str = ""
    """Of our routing, as it serves it at this moment; empty where it serves none, or was silent."""
    reached: Mapping[str, int] = field(default_factory=dict)
    """By revision, how many pods pass its health checks, over each protocol."""
    counters: Mapping[str, Counters] = field(default_factory=dict)
    """By revision, since the router started."""
    silent: str = ""
    """Why it could not be asked; empty where it was."""

    @property
    def takes_requests(self) -> bool:
        """As far as it says so itself."""
        return self.ready and not self.silent

    countable: bool = True
    """Its counters can be read. A Gateway's cannot, so nobody knows what it has in flight."""


@dataclass(frozen=True, slots=True)
class Routing:
    """What routers were told of this ModelDeployment, and what they do."""

    site: Site | None = None
    """As it was written last; None before the first time."""
    shares: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How each variant splits its share among its revisions, in parts of 10000 of that share, as it
    was written beside the site."""
    home: Intervals | None = None
    """How callers were spread when no variant had lent its share; None where none has."""
    refused: str = ""
    """Why the routers are not given it, or the Gateway does not serve it; empty where it is so."""
    impossible: bool = False
    """The cluster has no such kinds as a Gateway is told things by."""
    left: Site | None = None
    """What our own routers were told last, where they are not asked for any more."""
    leaving: datetime | None = None
    """Since when the address no longer selects the routers."""
    taken: frozenset[int] = frozenset()
    """Ports of the pair that others have; only looked up where one has to be chosen."""
    routers: tuple[RouterPod, ...] = ()
    """By name."""


@dataclass(frozen=True, slots=True)
class GpuHolder:
    """A pod that has accelerators of its node."""

    namespace: str
    revision: str
    """Empty for a pod that is none of ours."""
    gpus: int


@dataclass(frozen=True, slots=True)
class GpuNode:
    """A node with accelerators of one kind."""

    name: str
    gpus: int
    """That pods may have, free or not."""
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Json, ...] = ()
    schedulable: bool = True
    holders: tuple[GpuHolder, ...] = ()


@dataclass(frozen=True, slots=True)
class Gpus:
    """All nodes of the cluster with accelerators of one kind."""

    nodes: tuple[GpuNode, ...] = ()
    unread: str = ""
    """Why that is not known; empty where it is."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the operator's Prometheus said to one expression."""

    value: float | None = None
    """None: there was no number."""
    unread: str = ""
    """Why there was none; empty where there was."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that one look at the cluster found."""

    now: datetime
    resource: Resource
    revisions: tuple[Revision, ...] = ()
    """By number, the oldest first."""
    workloads: Mapping[str, Workload] = field(default_factory=dict)
    """By the revision's name."""
    pods: tuple[Pod, ...] = ()
    address: Address | None = None
    """None before the Service exists."""
    routing: Routing = Routing()
    tallies: tuple[PodTallies, ...] | None = None
    """Of every pod that has an address and stays; None where no experiment asks for them, or not
    in this look."""
    gpus: Mapping[str, Gpus] = field(default_factory=dict)
    """By the name of the extended resource; only those for which a plan has asked."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By the expression; only those for which a plan has asked."""
    children: Mapping[ChildKey, Json] = field(default_factory=dict, compare=False)
    """Every child as it was read, for comparing and pruning."""

    def revision(self, name: str | None) -> Revision | None:
        return next((r for r in self.revisions if r.name == name), None)

    def pods_of(self, revision: str) -> tuple[Pod, ...]:
        """The revision's pods that are not going away."""
        return tuple(p for p in self.pods if p.revision == revision and not p.leaving)

    def ready_pods(self, revision: str) -> int:
        return sum(p.ready for p in self.pods_of(revision))

    def trouble(self, revision: str) -> Trouble | None:
        """What keeps the revision's pods from serving: of several the one that stops most.

        A pod that cannot be made or placed comes before one that fails, and among pods the order
        is by name, so that the same picture always tells the same story.
        """
        workload = self.workloads.get(revision)
        if workload is not None and workload.trouble is not None:
            return workload.trouble
        troubled = [p for p in self.pods_of(revision) if p.trouble is not None]
        troubled.sort(key=lambda p: (p.scheduled, p.name))
        return troubled[0].trouble if troubled else None
