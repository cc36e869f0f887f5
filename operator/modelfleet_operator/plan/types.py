"""What the steps of a plan hand to each other. Each is printable on one line."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modelfleet_operator.api.gateway import Gateway
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Status
from modelfleet_operator.plan.growth import Growth
from modelfleet_operator.plan.variants import Standing
from modelfleet_operator.router.site import WHOLE, Intervals, Site
from modelfleet_operator.seen import Revision

if TYPE_CHECKING:
    from modelfleet_operator.plan.rollout.progress import Progress


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the operator was installed with, as far as plans depend on it."""

    runtime_image: str
    runtime_torch_image: str
    image_pull_policy: str = "IfNotPresent"
    cluster_domain: str = "cluster.local"
    routers: bool = True
    """There is an image for routers."""
    prometheus: bool = False
    """There is a Prometheus to ask."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions of one variant, by the part that each plays."""

    wanted: Revision
    """What the spec describes; perhaps not yet in the cluster."""
    serving: Revision | None
    """What the address selects, or selected before it was lost; None before the first revision."""
    proven: bool
    """`serving` has been ready once: it is worth keeping, even while it is not ready."""
    kept: tuple[Revision, ...]
    """All that stay, `wanted` and `serving` among them, the oldest first."""

    @property
    def switching(self) -> bool:
        """Another revision than the wanted one serves."""
        return self.serving is not None and self.serving.name != self.wanted.name


@dataclass(frozen=True, slots=True)
class Count:
    """How many pods one revision may have."""

    pods: int | None
    """The number that the operator sets; None: the autoscaler's business."""
    least: int
    """The fewest ready pods with which the revision may take the traffic: the number itself, or
    the autoscaler's lower bound."""

    @property
    def autoscaled(self) -> bool:
        return self.pods is None

    def now(self, has: int | None) -> int:
        """How many pods to ask for, where its Deployment asks for `has`; None: there is none yet.

        An autoscaler's own number stands, but it leaves a Deployment of no pods alone, so its
        lower bound is ours to reach.
        """
        if self.pods is not None:
            return self.pods
        return max(self.least, has or 0)


Replicas = Mapping[str, Count]
"""By the revision's name."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Which revision the address selects from now on."""

    to: str
    moved: bool
    """This differs from what it selected when the picture was taken."""
    waits_for: str = ""
    """What the move to the wanted revision waits for; empty when it waits for nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, told once."""

    warning: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """What should run of one variant."""

    standing: Standing
    revisions: Revisions
    replicas: Replicas
    progress: "Progress | None" = None
    """How far its rollout is; None: the address selects one revision."""
    demand: int = 0
    """Pods that all of its share needs."""
    share: int = WHOLE
    """Its share of all traffic from now on, in parts of 10000."""
    growth: Growth | None = None
    """The larger share that is on its way to it."""
    asks: frozenset[str] = frozenset()
    """What its analysis has to know from the Prometheus first, as PromQL."""

    @property
    def name(self) -> str:
        return self.standing.name

    @property
    def spec(self) -> Spec:
        return self.standing.spec

    @property
    def leaving(self) -> bool:
        return self.standing.leaving

    @property
    def stable(self) -> str | None:
        """Behind routers: the revision that serves; None while none was ready."""
        return None if self.progress is None else self.progress.stable

    @property
    def within(self) -> Mapping[str, int]:
        """How it splits its share, in parts of 10000 of that: the candidate first, so that a
        growing share is a boundary that moves to the right."""
        weights = {} if self.progress is None else self.progress.weights
        return {
            name: weights[name] for name in sorted(weights, key=lambda n: (n == self.stable, n))
        }


@dataclass(frozen=True, slots=True)
class Routed:
    """A deployment behind routers."""

    site: Site | None
    """What the routers are told; None: they have no port left."""
    through: bool
    """The address selects the routers. Before they serve, it selects a revision as it did."""
    refused: str = ""
    """Why the routers are not given what is wanted; empty where they are."""
    home: Intervals | None = None
    """How the line is when no share is lent; None: so it is."""
    gateway: Gateway | None = None
    """Is told the site in place of our routers; the address selects a revision then."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What should run and where the address points."""

    variants: tuple[VariantPlan, ...]
    """Those of the spec in its order, then those that leave."""
    switch: Switch
    routed: Routed | None = None
    """None: the address selects one revision."""
    parting: tuple[Site, datetime | None] | None = None
    """What the routers are still told of a deployment that has left them, and since when it has."""

    @property
    def kept(self) -> tuple[Revision, ...]:
        return tuple(revision for each in self.variants for revision in each.revisions.kept)

    @property
    def replicas(self) -> Replicas:
        return {name: count for each in self.variants for name, count in each.replicas.items()}

    @property
    def shares(self) -> Mapping[str, Mapping[str, int]]:
        """How each variant splits its share."""
        return {each.name: each.within for each in self.variants if each.within}


@dataclass(frozen=True, slots=True)
class Plan:
    """What should be, what is said about it, and when to look again."""

    verdict: Verdict | None
    """None: nothing was decided (the spec cannot be read), so every child stays as it is."""
    status: Status
    again: timedelta | None = None
    """None: nothing is to be expected before something changes."""

    @property
    def asks_for_answers(self) -> frozenset[str]:
        """The PromQL that the Prometheus has to be asked before this may be acted upon: by the
        picture with the answers there may be another plan."""
        plans = () if self.verdict is None else self.verdict.variants
        return frozenset(one for each in plans for one in each.asks)

    @property
    def asks_for_gpus(self) -> frozenset[str]:
        """The extended resources that have to be counted before this may be acted upon: by the
        picture with them there may be another plan."""
        plans = () if self.verdict is None else self.verdict.variants
        return frozenset(
            each.standing.spec.accelerator.resource_name
            for each in plans
            if each.progress is not None
            and each.progress.counts
            and each.standing.spec.accelerator is not None
        )
