"""Arms against the control: difference, interval, an always-valid p-value.

An experiment has no end that is fixed beforehand: somebody looks at it every day and stops when it
is clear. So every interval here is right at all times together, and a p-value is one that may be
looked at as often as one likes.

    RateComparison   a yes/no metric: errors, slow answers, a reward that came or not
    MeanComparison   a value: a reward, what a model returned
    report           all of them, corrected for their number, or none where the shares were wrong
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from modelfleet_operator.statistics import means
from modelfleet_operator.statistics.blocks import OpenBlock, read_tally, write_tally
from modelfleet_operator.statistics.checks import average
from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.means import Estimate
from modelfleet_operator.statistics.mixture import Side, TwoArms, log_sum
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.segments import Evidence

ALPHA = 0.05
BASELINE = 1_000
"""Requests of the control from which the size of effect that is of interest is read."""
EFFECT = 0.05
"""That size, at least, as a share of the control's mean."""

_RATE, _MEAN, _VERSION = "rate", "mean", 2
_NONE, _OPEN, _NOTHING = Tally(), OpenBlock(), Evidence()
_HIGHER, _LOWER = TwoArms(Side.WORSE), TwoArms(Side.NOT_WORSE)


@dataclass(frozen=True, slots=True)
class Result:
    """One arm and one metric, against the control."""

    control: float | None
    """The control's rate or mean; None where nothing was counted."""
    arm: float | None
    difference: float | None
    low: float
    high: float
    """The difference lies between these, at any time right with 1 - the alpha asked for."""
    p_value: float
    log_e: float
    """Evidence at this moment that they differ, either way; `p_value` is of its peak."""
    waits_for: str = ""
    """Why there is no p-value yet."""

    @property
    def lift(self) -> tuple[float, float, float] | None:
        """Difference and its bounds as shares of the control's mean (approximate); None where that
        is 0."""
        if not self.control or self.difference is None:
            return None
        parts = sorted((self.low / self.control, self.high / self.control))
        return self.difference / self.control, parts[0], parts[1]

    def and_also(self, other: "Result") -> "Result":
        """Of a yes/no metric: only what another method finds as well."""
        return replace(
            self,
            low=max(-1.0, min(self.low, other.low)),
            high=min(1.0, max(self.high, other.high)),
            p_value=max(self.p_value, other.p_value),
            log_e=min(self.log_e, other.log_e),
            waits_for=self.waits_for or other.waits_for,
        )


@dataclass(frozen=True, slots=True)
class RateComparison:
    """A yes/no metric of one arm and of the control, over the same periods.

    Rates, difference and interval are of this segment; the p-value is of all.
    """

    control: Tally = _NONE
    arm: Tally = _NONE
    open: OpenBlock = _OPEN
    higher: TwoArms = _HIGHER
    lower: TwoArms = _LOWER
    shown_higher: Evidence = _NOTHING
    shown_lower: Evidence = _NOTHING

    def add(
        self, control: Tally, arm: Tally, seconds: float, design_effect: float = 1.0
    ) -> "RateComparison":
        """What came in one period of so many seconds."""
        opened, block = self.open.add(Block(arm, control), seconds)
        if block is None:
            return replace(self, open=opened)
        higher, lower = self.higher.add(block), self.lower.add(block)
        return RateComparison(
            self.control + block.stable,
            self.arm + block.candidate,
            opened,
            higher,
            lower,
            self.shown_higher.add(higher.log_e(design_effect=design_effect)),
            self.shown_lower.add(lower.log_e(design_effect=design_effect)),
        )

    def next_segment(self) -> "RateComparison":
        """The shares are others from now on."""
        return RateComparison(
            shown_higher=self.shown_higher.next_segment(),
            shown_lower=self.shown_lower.next_segment(),
        )

    def result(self, alpha: float = ALPHA, design_effect: float = 1.0) -> Result:
        control, arm = self.control.rate, self.arm.rate
        strongest = max(self.shown_higher.peak, self.shown_lower.peak)
        p_value = min(1.0, 2 * math.exp(-strongest))
        log_e = average(self.shown_higher.log_e, self.shown_lower.log_e)
        if control is None or arm is None:
            waits = "no requests of both arms over the same time yet"
            return Result(control, arm, None, -1.0, 1.0, p_value, log_e, waits)
        return Result(
            control,
            arm,
            arm - control,
            self.higher.bound(alpha / 2, design_effect),
            self.lower.bound(alpha / 2, design_effect),
            p_value,
            log_e,
        )

    def to_text(self) -> str:
        writer = Writer(_RATE, _VERSION)
        write_tally(writer, self.control)
        write_tally(writer, self.arm)
        self.open.write(writer)
        self.higher.write(writer)
        self.lower.write(writer)
        self.shown_higher.write(writer)
        self.shown_lower.write(writer)
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "RateComparison":
        """Raises BrokenText."""
        reader = Reader(text, _RATE, _VERSION)
        control, arm, opened = read_tally(reader), read_tally(reader), OpenBlock.read(reader)
        higher = TwoArms.read(reader, Side.WORSE, 1.0)
        lower = TwoArms.read(reader, Side.NOT_WORSE, 1.0)
        shown = Evidence.read(reader), Evidence.read(reader)
        reader.end()
        return cls(control, arm, opened, higher, lower, *shown)


@dataclass(frozen=True, slots=True)
class Sample:
    """One arm's values so far, since the weights were last changed.

    Totals over a time in which the weights moved compare one hour of one arm with another hour of
    the other: a change of weights starts the sample anew.
    """

    requests: int
    values: int
    """Those that are not 0."""
    estimate: Estimate | None
    """From independent requests, or from hash buckets where callers stick to an arm."""
    bucketed: bool = False


@dataclass(frozen=True, slots=True)
class MeanComparison:
    """A metric that is a value. The sums are kept where they are counted; this remembers what was
    fixed and what was found."""

    effect: float | None = None
    """The smallest difference of interest (> 0): given, or read once from the control."""
    shown: Evidence = _NOTHING

    def add(self, control: Sample, arm: Sample) -> "MeanComparison":
        """After one more look at the running sums."""
        effect = self.effect
        if effect is None and control.requests >= BASELINE and control.estimate is not None:
            effect = effect_of_interest(control.estimate) or None
        found = replace(self, effect=effect)
        if effect is None or found._waits_for(control, arm):
            return found
        difference, variance = _difference(control, arm)
        return replace(found, shown=self.shown.add(means.log_e(difference, variance, effect)))

    def next_segment(self) -> "MeanComparison":
        """The sums begin at nothing. What size of effect is of interest stays."""
        return replace(self, shown=self.shown.next_segment())

    def result(self, control: Sample, arm: Sample, alpha: float = ALPHA) -> Result:
        ours = None if arm.estimate is None else arm.estimate.value
        theirs = None if control.estimate is None else control.estimate.value
        p_value, log_e = min(1.0, math.exp(-self.shown.peak)), self.shown.log_e
        if ours is None or theirs is None:
            why = "no values of both arms yet"
            return Result(theirs, ours, None, -math.inf, math.inf, p_value, log_e, why)
        difference, variance = _difference(control, arm)
        if self.effect is None or (waits := self._waits_for(control, arm)):
            why = waits if self.effect is not None else f"{BASELINE:,} requests of the control"
            return Result(theirs, ours, difference, -math.inf, math.inf, p_value, log_e, why)
        half = means.half_width(variance, self.effect, alpha)
        return Result(
            theirs,
            ours,
            difference,
            difference - half,
            difference + half,
            p_value,
            log_e,
        )

    def _waits_for(self, control: Sample, arm: Sample) -> str:
        for name, sample in (("control", control), ("arm", arm)):
            if sample.estimate is None or sample.requests < means.UNITS:
                return f"the {name} has {sample.requests:,} of {means.UNITS:,} requests"
            if sample.values < means.VALUES:
                return f"the {name} has {sample.values} of {means.VALUES} values that are not 0"
            if sample.bucketed and sample.estimate.units < means.BUCKETS:
                return (
                    f"insufficient clusters: the {name}'s users fall into "
                    f"{sample.estimate.units} of {means.BUCKETS} hash buckets"
                )
        return ""

    def to_text(self) -> str:
        writer = Writer(_MEAN, _VERSION)
        writer.number(self.effect or 0.0)
        self.shown.write(writer)
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "MeanComparison":
        """Raises BrokenText."""
        reader = Reader(text, _MEAN, _VERSION)
        effect, shown = reader.number(), Evidence.read(reader)
        reader.end()
        return cls(effect or None, shown)


def effect_of_interest(control: Estimate) -> float:
    """The size of effect that a test is tuned to, from the control alone: a share of its mean, and
    no less than what its first requests could just tell from chance. Tuned to less, where callers
    are few and unlike, the test would find next to nothing."""
    return max(EFFECT * abs(control.value), math.sqrt(2 * control.variance))


def _difference(control: Sample, arm: Sample) -> tuple[float, float]:
    assert control.estimate is not None
    assert arm.estimate is not None
    return (
        arm.estimate.value - control.estimate.value,
        arm.estimate.variance + control.estimate.variance,
    )


Key = tuple[str, str]
"""An arm and a metric."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What the report says about one arm and one metric."""

    arm: str
    metric: str
    result: Result
    p_value: float
    """With regard to how many comparisons there are: at most alpha where a difference is shown."""
    differs: bool
    """Shown, with the experiment's alpha shared by all metrics and arms."""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole experiment at one look."""

    valid: bool
    compared: tuple[Compared, ...]
    any_differs: float
    """log E of "some arm differs from the control in some metric": the mean of theirs."""


def alpha_for(comparisons: int, alpha: float = ALPHA) -> float:
    """What each of so many comparisons gets of alpha. Give it to `result` for intervals that are
    right all together."""
    return alpha / max(1, comparisons)


def report(results: Mapping[Key, Result], *, valid: bool = True, alpha: float = ALPHA) -> Report:
    """What may be concluded from results; nothing where the arms had not the shares that were
    asked for (`valid`)."""
    adjusted = holm({key: r.p_value for key, r in results.items()})
    compared = tuple(
        Compared(arm, metric, r, p := adjusted[arm, metric], valid and p <= alpha)
        for (arm, metric), r in results.items()
    )
    evidence = [r.log_e for r in results.values()]
    together = log_sum(evidence) - math.log(len(evidence)) if evidence else 0.0
    return Report(valid, compared, together)


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Holm's p-values: each may be compared with one alpha for all hypotheses together.

    The smallest is multiplied by how many there are, the next by one fewer, and so on; none is
    smaller than the one before it.
    """
    adjusted: dict[Key, float] = {}
    least = 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        least = max(least, min(1.0, p_values[key] * (len(p_values) - rank)))
        adjusted[key] = least
    return adjusted


def e_bh(log_es: Mapping[Key, float], alpha: float) -> set[Key]:
    """Which of many secondary findings to report, of which a share of at most alpha is false."""
    ranked = sorted(log_es, key=lambda k: -log_es[k])
    many = len(ranked)
    kept = 0
    for rank, key in enumerate(ranked, start=1):
        if log_es[key] >= math.log(many / (alpha * rank)):
            kept = rank
    return set(ranked[:kept])
