"""The tests of a rollout gate, each with its memory.

Each gathers evidence for two findings: that the candidate is *harmful* (then it goes back), and
that it is *harmless* enough for the next stage. Both may stay open for long; neither is the
opposite of the other.

    Failing    is it failing altogether? Against a limit that no candidate may reach.
    Limit      is its rate of failures above a limit? (an error rate, a latency's quantile)
    Relative   is it worse than the stable arm over the same period?
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from modelfleet_operator.statistics import mixture
from modelfleet_operator.statistics.blocks import OpenBlock, read_tally, write_tally
from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.mixture import Side, TwoArms, log_sum
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.policy import Margins
from modelfleet_operator.statistics.restarts import Restarting

FAILING = 0.2
"""A candidate that fails more often than this is failing, whatever the policy."""

_NONE = Tally()
_FRESH = Restarting()
_HALF = math.log(0.5)
_TOO = math.log(100)


@dataclass(frozen=True, slots=True)
class Failing:
    """Is the candidate failing altogether?

    Half of the stake is on "every request fails", and is lost with the first that does not; so five
    straight failures are enough. The other half finds what fails often. It needs no stable arm, no
    warm-up and no least number of requests. Where the stable arm is failing too it says nothing:
    then it is not the candidate.
    """

    candidate: Tally = _NONE
    stable: Tally = _NONE
    peak: float = 0.0

    def add(self, period: Block, design_effect: float) -> "Failing":
        seen = replace(
            self,
            candidate=self.candidate + period.candidate,
            stable=self.stable + period.stable,
        )
        return replace(seen, peak=max(self.peak, seen.log_e(design_effect)))

    @property
    def stable_fails_too(self) -> bool:
        """Shown with three straight failures, or with what comes to the same: one failure by chance
        must not hide a candidate that fails altogether."""
        return _fails(self.stable, FAILING / 2, 1.0) >= _TOO

    def log_e(self, design_effect: float) -> float:
        if self.stable_fails_too:
            return 0.0
        return _fails(self.candidate, FAILING, design_effect)

    @property
    def harm(self) -> float:
        return 0.0 if self.stable_fails_too else self.peak

    def write(self, writer: Writer) -> None:
        write_tally(writer, self.candidate)
        write_tally(writer, self.stable)
        writer.numbers((self.peak,))

    @classmethod
    def read(cls, reader: Reader) -> "Failing":
        return cls(read_tally(reader), read_tally(reader), *reader.numbers(1))


def _fails(arm: Tally, limit: float, design_effect: float) -> float:
    """log E that an arm fails more often than the limit, half staked on "always"."""
    n, x = arm.requests, arm.failures
    always = -n * math.log(limit) / design_effect if x == n else -math.inf
    often = mixture.log_e(Side.WORSE, limit, arm, design_effect)
    return log_sum([_HALF + always, _HALF + often])


@dataclass(frozen=True, slots=True)
class Limit:
    """Is the candidate's rate of failures above a limit?"""

    limit: float
    """A share, 0 to 1."""
    proof: Tally = _NONE
    """With the failures that are sure: what a violation is shown with."""
    doubt: Tally = _NONE
    """With those that are possible as well: what compliance is shown with. The same as `proof`
    but where a latency limit lies between two bounds of the histogram."""
    above: Restarting = _FRESH
    peak: float = 0.0

    def add(self, proof: Tally, doubt: Tally, design_effect: float) -> "Limit":
        if not proof.requests:
            return self
        stakes = mixture.against_limit(Side.WORSE, self.limit, proof)
        above = self.above.add(stakes, design_effect)
        return Limit(
            self.limit, self.proof + proof, self.doubt + doubt, above, max(self.peak, above.log_e)
        )

    @property
    def harm(self) -> float:
        """log E of "above the limit", the highest it has been."""
        return self.peak

    def harmless(self, slack: float, design_effect: float, times: float = 1.0) -> float:
        """log E of "below limit + slack", now, or if all outcomes came `times` over."""
        below = mixture.against_limit(Side.NOT_WORSE, min(1.0, self.limit + slack), self.doubt)
        return mixture.mixed([times * s for s in below], design_effect)

    def more(self, slack: float, wanted: float, design_effect: float) -> int | None:
        """Requests that are missing until it is harmless, if they end as those before."""
        times = further(lambda t: self.harmless(slack, design_effect, t), wanted)
        return missing(times, self.doubt.requests)

    def write(self, writer: Writer) -> None:
        write_tally(writer, self.proof)
        write_tally(writer, self.doubt)
        self.above.write(writer)
        writer.numbers((self.peak,))

    @classmethod
    def read(cls, reader: Reader, limit: float) -> "Limit":
        proof, doubt, above = read_tally(reader), read_tally(reader), Restarting.read(reader)
        return cls(limit, proof, doubt, above, *reader.numbers(1))


@dataclass(frozen=True, slots=True)
class Relative:
    """Is the candidate worse than the stable arm over the same period?

    *Worse* means more failures than `ratio` times the stable arm's **and** more than the floor: so
    three failures against none roll nothing back. *Not worse* means fewer than `ratio` times as
    many, **or** no more than a margin above; the evidence for either is averaged.
    """

    margins: Margins
    open: OpenBlock
    candidate: Tally
    stable: Tally
    above_stable: Restarting
    above_floor: Restarting
    peak: float
    below_ratio: TwoArms
    lower: TwoArms
    """Of the difference; with `upper`, its interval."""
    upper: TwoArms

    @classmethod
    def start(cls, margins: Margins) -> "Relative":
        return cls(
            margins,
            open=OpenBlock(),
            candidate=_NONE,
            stable=_NONE,
            above_stable=Restarting(),
            above_floor=Restarting(),
            peak=0.0,
            below_ratio=TwoArms(Side.NOT_WORSE, margins.ratio),
            lower=TwoArms(Side.WORSE),
            upper=TwoArms(Side.NOT_WORSE),
        )

    def add(self, period: Block, seconds: float, design_effect: float) -> "Relative":
        opened, block = self.open.add(period, seconds)
        if block is None:
            return replace(self, open=opened)
        ratio, floor = self.margins.ratio, self.margins.floor
        above_stable = self.above_stable.add(
            mixture.against_stable(Side.WORSE, ratio, block), design_effect
        )
        above_floor = self.above_floor.add(
            mixture.against_limit(Side.WORSE, floor, block.candidate), design_effect
        )
        return replace(
            self,
            open=opened,
            candidate=self.candidate + block.candidate,
            stable=self.stable + block.stable,
            above_stable=above_stable,
            above_floor=above_floor,
            peak=max(self.peak, min(above_stable.log_e, above_floor.log_e)),
            below_ratio=self.below_ratio.add(block),
            lower=self.lower.add(block),
            upper=self.upper.add(block),
        )

    @property
    def harm(self) -> float:
        """log E of "worse", the highest it has been."""
        return self.peak

    def harmless(self, margin: float, design_effect: float, times: float = 1.0) -> float:
        """log E of "not worse", now, or if all outcomes came `times` over."""
        by_ratio = [times * s for s in self.below_ratio.stakes]
        by_margin = [times * s for s in self.upper.at(margin)]
        return average(
            mixture.mixed(by_ratio, design_effect), mixture.mixed(by_margin, design_effect)
        )

    def more(self, margin: float, wanted: float, design_effect: float) -> int | None:
        """The candidate's requests that are missing until it is harmless, if they end as those
        before."""
        times = further(lambda t: self.harmless(margin, design_effect, t), wanted)
        return missing(times, self.candidate.requests)

    @property
    def difference(self) -> float | None:
        """The candidate's rate less the stable arm's, over all closed blocks."""
        ours, theirs = self.candidate.rate, self.stable.rate
        return None if ours is None or theirs is None else ours - theirs

    def interval(self, alpha: float, design_effect: float) -> tuple[float, float]:
        """Between which bounds the difference lies; at any time right with 1 - alpha."""
        return (
            self.lower.bound(alpha / 2, design_effect),
            self.upper.bound(alpha / 2, design_effect),
        )

    def write(self, writer: Writer) -> None:
        self.open.write(writer)
        write_tally(writer, self.candidate)
        write_tally(writer, self.stable)
        self.above_stable.write(writer)
        self.above_floor.write(writer)
        writer.numbers((self.peak,))
        for arms in (self.below_ratio, self.lower, self.upper):
            arms.write(writer)

    @classmethod
    def read(cls, reader: Reader, margins: Margins) -> "Relative":
        opened = OpenBlock.read(reader)
        candidate, stable = read_tally(reader), read_tally(reader)
        above_stable, above_floor = Restarting.read(reader), Restarting.read(reader)
        (peak,) = reader.numbers(1)
        below_ratio = TwoArms.read(reader, Side.NOT_WORSE, margins.ratio)
        lower = TwoArms.read(reader, Side.WORSE, 1.0)
        upper = TwoArms.read(reader, Side.NOT_WORSE, 1.0)
        return cls(
            margins,
            opened,
            candidate,
            stable,
            above_stable,
            above_floor,
            peak,
            below_ratio,
            lower,
            upper,
        )


def average(a: float, b: float) -> float:
    """log of the mean of two e-values, which is one too."""
    return log_sum([a, b]) + _HALF


FARTHEST = 100.0
"""What needs so many times as much as has come leads nowhere, for all that is known."""


def further(
    evidence: Callable[[float], float], wanted: float, farthest: float = FARTHEST
) -> float | None:
    """How many times as much has to come until the evidence suffices, if it goes on as before; 1
    where it does already, None where it leads nowhere."""
    low, high = 1.0, 1.0
    while evidence(high) < wanted:
        low, high = high, high * 2
        if high > farthest:
            return None
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if evidence(middle) >= wanted else (middle, high)
    return high


def missing(times: float | None, requests: int) -> int | None:
    """What has to come on top of so many requests."""
    return None if times is None or not requests else math.ceil((times - 1) * requests)
