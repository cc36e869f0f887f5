"""One ModelDeployment as it is shown: itself, its pods, and what happened lately."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.rollout import Step
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RevisionStatus, Status, VariantStatus
from modelfleet_operator.kinds import Json
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.observe.pods import read_pod
from modelfleet_operator.plan.rollout.picture import steps_of
from modelfleet_operator.seen import Pod, Resource


@dataclass(frozen=True, slots=True)
class ShownPod:
    pod: Pod
    made: datetime | None
    restarts: int


@dataclass(frozen=True, slots=True)
class Happening:
    """An event."""

    at: datetime | None
    warning: bool
    reason: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Picture:
    now: datetime
    resource: Resource
    pods: tuple[ShownPod, ...] = ()
    events: tuple[Happening, ...] = ()
    """The oldest first."""

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def status(self) -> Status:
        return self.resource.status

    @property
    def stale(self) -> bool:
        return is_stale(self.resource)

    @property
    def variant(self) -> VariantStatus | None:
        return variant(self.resource)

    @property
    def steps(self) -> tuple[Step, ...]:
        return steps(self.resource)


def is_stale(resource: Resource) -> bool:
    """The operator has not said anything of the spec as it stands."""
    return resource.status.observed_generation != resource.generation


def variant(resource: Resource) -> VariantStatus | None:
    """The only one. Of several that whose rollout is on its way, else one whose rollout failed,
    else the first."""
    return min(resource.status.variants, key=_interest, default=None)


def _interest(told: VariantStatus) -> int:
    if told.rollout is None:
        return 2
    return 1 if told.rollout.phase is Phase.FAILED else 0


def steps(resource: Resource) -> tuple[Step, ...]:
    """A preview counts as one, without a weight."""
    return steps_of(resource.spec) if isinstance(resource.spec, Spec) else ()


def revision(told: VariantStatus, name: str | None) -> RevisionStatus | None:
    return next((r for r in told.revisions if r.name == name), None)


def called(told: VariantStatus | None, name: str | None) -> str:
    """The revision as people know it: `revision 3 (version 2)`."""
    found = None if told is None else revision(told, name)
    if found is None:
        return f"revision {name}" if name else "no revision"
    version = f" (version {found.version})" if found.version else ""
    return f"revision {found.number}{version}"


def read_picture(
    now: datetime, resource: Json, pods: Iterable[Json] = (), events: Iterable[Json] = ()
) -> Picture:
    told = (_happening(event) for event in events)
    return Picture(
        now,
        read_resource(resource),
        tuple(sorted(map(_shown, pods), key=lambda p: (p.pod.revision, p.pod.name))),
        tuple(sorted(told, key=lambda e: (e.at or now, e.reason))),
    )


def _shown(pod: Json) -> ShownPod:
    containers = pod.get("status", {}).get("containerStatuses", ())
    return ShownPod(
        read_pod(pod),
        made=read_time(pod["metadata"].get("creationTimestamp")),
        restarts=sum(c.get("restartCount", 0) for c in containers),
    )


def _happening(event: Json) -> Happening:
    at = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
    return Happening(
        at=read_time(at),
        warning=event.get("type") == "Warning",
        reason=event.get("reason", ""),
        message=" ".join(event.get("message", "").split()),
        count=event.get("count") or 1,
    )
