"""Arms against the control: difference, interval, an always-valid p-value.

An experiment has no end that is fixed beforehand: somebody looks at it every day and stops when it
is clear. So every interval here is right at all times together, and a p-value is one that may be
looked at as often as one likes.

    RateComparison   a yes/no metric: errors, slow answers, a reward that came or not
    MeanComparison   a value: a reward, what a model returned
    report           all of them, corrected for their number, or invalid
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from modelfleet_operator.statistics import means
from modelfleet_operator.statistics.blocks import OpenBlock, read_tally, write_tally
from modelfleet_operator.statistics.checks import average
from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.means import Estimate
from modelfleet_operator.statistics.mixture import Side, TwoArms, log_sum
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.sample_ratio import SampleRatio

ALPHA = 0.05
BASELINE = 1_000
"""Requests of the control from which the size of effect that is of interest is read."""
EFFECT = 0.05
"""That size, as a share of the control's mean."""

_RATE, _MEAN, _VERSION = "rate", "mean", 1
_NONE, _OPEN = Tally(), OpenBlock()
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


@dataclass(frozen=True, slots=True)
class RateComparison:
    """A yes/no metric of one arm and of the control, over the same periods."""

    control: Tally = _NONE
    arm: Tally = _NONE
    open: OpenBlock = _OPEN
    higher: TwoArms = _HIGHER
    lower: TwoArms = _LOWER
    higher_peak: float = 0.0
    lower_peak: float = 0.0

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
            max(self.higher_peak, higher.log_e(design_effect=design_effect)),
            max(self.lower_peak, lower.log_e(design_effect=design_effect)),
        )

    def result(self, alpha: float = ALPHA, design_effect: float = 1.0) -> Result:
        control, arm = self.control.rate, self.arm.rate
        if control is None or arm is None:
            return Result(control, arm, None, -1.0, 1.0, 1.0, 0.0, "neither arm has requests yet")
        strongest = max(self.higher_peak, self.lower_peak)
        return Result(
            control,
            arm,
            arm - control,
            self.higher.bound(alpha / 2, design_effect),
            self.lower.bound(alpha / 2, design_effect),
            min(1.0, 2 * math.exp(-strongest)),
            average(
                self.higher.log_e(design_effect=design_effect),
                self.lower.log_e(design_effect=design_effect),
            ),
        )

    def to_text(self) -> str:
        writer = Writer(_RATE, _VERSION)
        write_tally(writer, self.control)
        write_tally(writer, self.arm)
        self.open.write(writer)
        self.higher.write(writer)
        self.lower.write(writer)
        writer.numbers((self.higher_peak, self.lower_peak))
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "RateComparison":
        """Raises BrokenText."""
        reader = Reader(text, _RATE, _VERSION)
        control, arm, opened = read_tally(reader), read_tally(reader), OpenBlock.read(reader)
        higher = TwoArms.read(reader, Side.WORSE, 1.0)
        lower = TwoArms.read(reader, Side.NOT_WORSE, 1.0)
        peaks = reader.numbers(2)
        reader.end()
        return cls(control, arm, opened, higher, lower, *peaks)


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
    peak: float = 0.0

    def add(self, control: Sample, arm: Sample) -> "MeanComparison":
        """After one more look at the running sums."""
        effect = self.effect
        if effect is None and control.requests >= BASELINE and control.estimate is not None:
            effect = EFFECT * abs(control.estimate.value) or None
        found = replace(self, effect=effect)
        if effect is None or found._waits_for(control, arm):
            return found
        difference, variance = _difference(control, arm)
        return replace(found, peak=max(self.peak, means.log_e(difference, variance, effect)))

    def result(self, control: Sample, arm: Sample, alpha: float = ALPHA) -> Result:
        ours = None if arm.estimate is None else arm.estimate.value
        theirs = None if control.estimate is None else control.estimate.value
        if ours is None or theirs is None:
            return Result(theirs, ours, None, -math.inf, math.inf, 1.0, 0.0, "no values yet")
        difference, variance = _difference(control, arm)
        if self.effect is None or (waits := self._waits_for(control, arm)):
            why = waits if self.effect is not None else f"{BASELINE:,} requests of the control"
            return Result(theirs, ours, difference, -math.inf, math.inf, 1.0, 0.0, why)
        half = means.half_width(variance, self.effect, alpha)
        return Result(
            theirs,
            ours,
            difference,
            difference - half,
            difference + half,
            min(1.0, math.exp(-self.peak)),
            means.log_e(difference, variance, self.effect),
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
        writer.number(self.peak)
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "MeanComparison":
        """Raises BrokenText."""
        reader = Reader(text, _MEAN, _VERSION)
        effect, peak = reader.number(), reader.number()
        reader.end()
        return cls(effect or None, peak)


def _difference(control: Sample, arm: Sample) -> tuple[float, float]:
    assert control.estimate is not None
    assert arm.estimate is not None
    return (
        arm.estimate.value - control.estimate.value,
        arm.estimate.variance + control.estimate.variance,
    )


@dataclass(frozen=True, slots=True)
class Compared:
    """What the report says about one arm and one metric."""

    arm: str
    metric: str
    result: Result
    primary: bool
    differs: bool
    """Shown, with the experiment's alpha shared by all primary metrics and arms. Of a secondary
    metric: exploratory, with no such guarantee."""


@dataclass(frozen=True, slots=True)
class Report:
    """The whole experiment at one look."""

    valid: bool
    says: str
    compared: tuple[Compared, ...]
    any_differs: float
    """log E of "some arm differs from the control in some primary metric": the mean of theirs."""


def alpha_for(primary: int, arms: int, alpha: float = ALPHA) -> float:
    """What each comparison gets of alpha: so many primary metrics, so many arms with the control
    among them. Give it to `result` for the intervals of primary metrics."""
    return alpha / max(1, primary * (arms - 1))


def report(
    results: Mapping[tuple[str, str], Result],
    primary: Collection[str],
    ratio: SampleRatio,
    alpha: float = ALPHA,
) -> Report:
    """What may be concluded from results by (arm, metric)."""
    first = {key: r for key, r in results.items() if key[1] in primary}
    others = {key: r for key, r in results.items() if key[1] not in primary}
    shown = holm({key: r.p_value for key, r in first.items()}, alpha)
    shown |= {key for key, r in others.items() if r.p_value <= alpha}
    if ratio.broken:
        shown = set()
    compared = tuple(
        Compared(arm, metric, result, metric in primary, (arm, metric) in shown)
        for (arm, metric), result in results.items()
    )
    evidence = [r.log_e for r in first.values()]
    together = log_sum(evidence) - math.log(len(evidence)) if evidence else 0.0
    return Report(not ratio.broken, _says(compared, ratio), compared, together)


def _says(compared: Sequence[Compared], ratio: SampleRatio) -> str:
    if ratio.broken:
        got = ", ".join(f"{count:,}" for count in ratio.counts)
        asked = ", ".join(f"{100 * share:g} %" for share in ratio.shares)
        return (
            f"invalid: the arms got {got} users where {asked} was asked for; something other than "
            "chance decides who goes where, so nothing can be concluded"
        )
    found = [f"{c.arm} differs in {c.metric}" for c in compared if c.primary and c.differs]
    if found:
        return "; ".join(found)
    waits = next((c for c in compared if c.primary and c.result.waits_for), None)
    if waits is not None:
        return f"too early: {waits.arm}, {waits.metric}: {waits.result.waits_for}"
    return "no difference is shown yet"


Key = tuple[str, str]


def holm(p_values: Mapping[Key, float], alpha: float) -> set[Key]:
    """Which of several hypotheses are rejected with one alpha for all together: the smallest
    p-value against alpha / how many, the next against alpha / one fewer, until one fails."""
    rejected: set[Key] = set()
    for rank, key in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        if p_values[key] > alpha / (len(p_values) - rank):
            break
        rejected.add(key)
    return rejected


def e_bh(log_es: Mapping[Key, float], alpha: float) -> set[Key]:
    """Which of many secondary findings to report, of which a share of at most alpha is false."""
    ranked = sorted(log_es, key=lambda k: -log_es[k])
    many = len(ranked)
    kept = 0
    for rank, key in enumerate(ranked, start=1):
        if log_es[key] >= math.log(many / (alpha * rank)):
            kept = rank
    return set(ranked[:kept])
