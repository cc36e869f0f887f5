"""What a rollout gate is asked to hold, stage by stage. Shares are 0 to 1, times in seconds."""

from dataclasses import dataclass
from enum import Enum


class OnNoData(Enum):
    """What to do when there is nothing to judge by."""

    HOLD = "Hold"
    PROCEED = "Proceed"
    FAIL = "Fail"


class OnTimeout(Enum):
    """What to do when a stage has had its time and is still undecided."""

    PAUSE = "Pause"
    PROCEED_IF_CLEAN = "ProceedIfClean"
    """Go on where nothing speaks against it. No error guarantee goes with that."""
    ROLLBACK = "Rollback"


@dataclass(frozen=True, slots=True)
class Margins:
    """Which difference from the stable arm matters."""

    ratio: float = 1.5
    """So many times the stable arm's failures are harm."""
    floor: float = 0.002
    """A share of failures for which nobody would roll back, whatever the stable arm's is."""
    harm: float = 0.001
    """The harm budget: so many more failures, as a share of all traffic, are worth not waiting.
    A stage before a small one may pass with little data, because little can break there."""

    def __post_init__(self) -> None:
        if self.ratio < 1:
            raise ValueError(f"ratio is {self.ratio:g}: write 1 or more, as 1.5")
        if not 0 < self.floor < 1:
            raise ValueError(f"floor is {self.floor:g}: write a share above 0, as 0.002 for 0.2 %")
        if not 0 < self.harm < 1:
            raise ValueError(f"harm is {self.harm:g}: write a share above 0, as 0.001 for 0.1 %")


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """A quantile that may not exceed so many ms, as p99 <= 250 ms."""

    quantile: float
    """0.5, 0.95, 0.99"""
    ms: float

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"the quantile is {self.quantile:g}: write a share, as 0.99 for p99")
        if self.ms <= 0:
            raise ValueError(f"the limit of {self.name} is {self.ms:g} ms: write more than 0")

    @property
    def name(self) -> str:
        return f"p{100 * self.quantile:g}"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is tested in every stage of one rollout, and how surely."""

    max_error_rate: float | None = None
    max_latency: tuple[LatencyLimit, ...] = ()
    compare_errors: bool = True
    """With the stable arm, over the same period."""
    compare_latency: bool = True
    """The same for the tail: the highest quantile of `max_latency`, or p99."""
    min_requests: int = 100
    """The candidate's, after warm-up, before a stage may pass."""
    errors: Margins = Margins()
    latency: Margins = Margins(floor=0.005, harm=0.0025)
    alpha_rollback: float = 0.05
    """The chance that a whole rollout of a good candidate is rolled back, at most."""
    alpha_proceed: float = 0.05
    """The chance that one check lets a stage pass which it should not, at most."""
    design_effect: float = 1.0
    """How many requests count as one. 1: each request is sent on its own. Where callers stick to
    an arm requests of one user are alike: measured from hash buckets, or 3."""
    warmup_seconds: float = 60.0
    warmup_requests: int = 50
    """The candidate's first ones; not waited for beyond ten times `warmup_seconds`."""
    min_duration: float = 60.0
    max_wait: float = 1800.0
    on_no_data: OnNoData = OnNoData.HOLD
    on_timeout: OnTimeout = OnTimeout.PAUSE

    def __post_init__(self) -> None:
        if self.max_error_rate is not None and not 0 < self.max_error_rate < 1:
            raise ValueError(
                f"the largest error rate is {self.max_error_rate:g}: write a share between 0 and "
                "1, as 0.01 for 1 %; no number of requests could prove 0"
            )
        for name, alpha in (("rollback", self.alpha_rollback), ("proceed", self.alpha_proceed)):
            if not 0 < alpha < 1:
                raise ValueError(f"alpha of {name} is {alpha:g}: write a chance, as 0.05")
        if self.design_effect < 1:
            raise ValueError(f"the design effect is {self.design_effect:g}: it is 1 or more")

    @property
    def tail(self) -> float:
        """The quantile by which the arms' latencies are compared."""
        return max((limit.quantile for limit in self.max_latency), default=0.99)

    @property
    def checks(self) -> int:
        """How many tests may roll back in one stage: the limits, the comparisons, and the one for a
        candidate that fails altogether."""
        limits = len(self.max_latency) + (self.max_error_rate is not None)
        return limits + self.compare_errors + self.compare_latency + 1


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a rollout."""

    number: int
    """From 1."""
    of: int
    share: float
    """The candidate's share of the traffic in this stage."""
    next_share: float = 1.0
    """What it gets if this stage passes; 1 after the last."""

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"stage {self.number} of {self.of}: stages are counted from 1")
        if not 0 < self.next_share <= 1:
            raise ValueError(f"the next share is {self.next_share:g}: write 0.2 for 20 %")

    @property
    def last(self) -> bool:
        return self.number == self.of

    def margin(self, margins: Margins) -> float:
        """How many more failures, as a share of the candidate's requests, the harm budget allows
        in what comes next."""
        return min(1.0, margins.harm / self.next_share)

    def slack(self, margins: Margins) -> float:
        """By how much a limit may still be exceeded: the margin, and in the last stage nothing."""
        return 0.0 if self.last else self.margin(margins)
