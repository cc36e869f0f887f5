"""What a rollout depends on, in numbers. `gather` (beside this) takes it from the picture.

Weights are parts of `WHOLE` (10000) by revision.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet_operator.api.rollout import OnFailure, Step, Surge
from modelfleet_operator.api.status import RolloutStatus
from modelfleet_operator.plan.rollout.capacity import lasting, needed

Weights = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Arm:
    """One revision that takes part."""

    ready: int = 0
    """Pods that are ready, of those that are to stay."""
    reachable: int = 0
    """Of which so many pass the health checks of every router."""
    asked: int = 0
    """Pods that its Deployment asks for."""
    present: int = 0
    """Pods that exist. Those on their way out hold their accelerators to their end."""
    leaving: int = 0
    """Of these, so many are on their way out."""
    unplaced: int = 0
    """Of these, so many find no node, for lack of accelerators."""
    quiet: bool = True
    """No router has a request of it in flight."""
    idle_since: datetime | None = None
    """Since when every router has served a weight of 0 for it, as it was told last."""
    addressed: bool = False
    """The address itself sends somebody to it, past the routers."""
    hopeless: str = ""
    """Why none of its pods will ever be ready; empty while there is hope."""
    lost: bool = False
    """No router that takes requests reaches any of its pods."""
    crashed: str = ""
    """How a pod ended last; it may do better the next time."""

    @property
    def usable(self) -> int:
        return min(self.ready, self.reachable)


NONE = Arm()


@dataclass(frozen=True, slots=True)
class Verbs:
    """What people have told a rollout, as far as it still holds."""

    paused: bool = False
    aborted: bool = False
    retried: bool = False
    """Of a rollout that failed."""
    promoted: int | None = None
    """Past this step (counted from 0) without waiting any longer; `ALL` of them: `FULL`."""


FULL = 1_000_000
"""Promoted past every step."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the analysis says of the step that stands."""

    passes: bool = True
    fails: str = ""
    """Why the new revision is worse; empty while it is not."""
    waits_for: str = ""
    """What it needs before it can say more."""


@dataclass(frozen=True, slots=True)
class Places:
    """The nodes with the candidate's accelerators, counted in pods of it."""

    fits: int | None
    """Pods that would find a place at this moment; None: that cannot be known."""
    total: int = 0
    """Pods that would, if none of this variant's own were there."""
    elsewhere: int = 0
    """Pods of this variant that hold none of these places."""
    count: int = 1
    """Accelerators of each pod."""
    says: str = ""
    """The same for people, in accelerators; where nothing is known, why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the spec asks for."""

    steps: tuple[Step, ...] = ()
    """A weight of 0 is a preview."""
    full: bool = False
    """The candidate has the pods for all of the traffic from the beginning."""
    surge: Surge = Surge.AUTO
    accelerated: bool = False
    """The candidate's pods need accelerators."""
    bake: timedelta = timedelta(0)
    """How long it is watched with all of the traffic before the earlier one goes."""
    on_failure: OnFailure = OnFailure.ROLLBACK
    debug_for: timedelta = timedelta(0)
    progress_deadline: timedelta = timedelta(minutes=15)
    longest_request: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Facts:
    """One look at the rollout of one variant."""

    now: datetime
    wanted: str
    """The revision that the spec describes."""
    stable: str | None
    """The one that was told to serve; None before the first was ready."""
    demand: int
    """Pods that all of the traffic needs at this moment; 0: nothing is to run."""
    arms: Mapping[str, Arm] = field(default_factory=dict)
    written: Weights = field(default_factory=dict)
    """As they were written last; empty before the first time."""
    served: bool = True
    """Every router serves what was written last."""
    lagging: tuple[str, ...] = ()
    """The routers that do not."""
    policy: Policy = Policy()
    places: Places | None = None
    """None: they were not counted, because nobody had asked for it."""
    room: int | None = None
    """So many pods of all revisions may stand at a time; None: as many as are asked for."""
    recreates: bool = False
    """Whoever is to serve comes when all others are gone."""
    verbs: Verbs = Verbs()
    judgement: Judgement = Judgement()
    astray: str = ""
    """The requests of this step do not follow its weights, in words; empty where they do."""
    told: RolloutStatus | None = None
    """The rollout as it was told last."""

    def least(self, parts: int) -> int:
        """Pods that the candidate needs before it may have so much."""
        least = needed(parts, self.carrying)
        if not self.policy.full:
            return least
        return self.demand if self.room is None else max(1, least)

    @property
    def carrying(self) -> int:
        """All of the traffic is carried by so many pods, at the worst moment."""
        if self.room is None:
            return self.demand
        if self.recreates:
            return max(1, min(self.demand, self.room))
        return lasting(self.demand, self.room)

    def arm(self, revision: str | None) -> Arm:
        return NONE if revision is None else self.arms.get(revision, NONE)

    def weight(self, revision: str | None) -> int:
        return 0 if revision is None else self.written.get(revision, 0)
