"""What one experiment remembers between two looks, and how a look adds to it.

A *trial* compares arms with the control by each metric. A segment begins whenever the shares
change: all that is counted begins at nothing, and the evidence of the segments before stays.
"""

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from modelfleet_operator.statistics import means
from modelfleet_operator.statistics.callers import Callers, Column, Counted, Sums, Values
from modelfleet_operator.statistics.counters import Pod, Snapshot, Traffic
from modelfleet_operator.statistics.encoding import BrokenText, Reader, Writer
from modelfleet_operator.statistics.experiment import (
    Key,
    MeanComparison,
    RateComparison,
    Result,
    Sample,
)
from modelfleet_operator.statistics.latency import relative_limit
from modelfleet_operator.statistics.outcomes import Tally
from modelfleet_operator.statistics.sample_ratio import ALPHA, SampleRatio, mismatch_by_buckets
from modelfleet_operator.statistics.segments import Evidence

BASELINE = 1_000
"""Requests of the control from which a latency's limit is read where none is given."""
TAIL = 0.95
"""The share of the control's requests that are within that limit."""
ASSUMED_EFFECT = 3.0
"""So many requests count as one where callers stick and nobody counts by caller."""

MANY_ALIKE = 4.0
"""A design effect above which it is too rough an approximation to be trusted alone: arms are
compared bucket by bucket as well, and what both find counts."""

_NO_CALLERS = "callers stick to a variant, and no pod has seen who they are"


class Measure(Enum):
    """What a metric is of."""

    ERRORS = "errors"
    SLOW = "slow"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Metric:
    """By what arms are compared."""

    name: str
    """Of all metrics of a trial, only this one has it."""
    measure: Measure
    limit_ms: float | None = None
    """What is slow; None: what is slower than the control's p95, read once."""
    value: str = ""
    """The name under which pods count it."""
    missing_is_zero: bool = False
    """A request without the value counts with 0; else it does not count."""


@dataclass(frozen=True, slots=True)
class Design:
    """What is compared. Another design is another trial."""

    control: str
    arms: tuple[str, ...]
    """All, the control and the shadows among them."""
    metrics: tuple[Metric, ...]
    sticky: bool = False
    """Requests of one caller go to one arm, and are alike."""
    shadows: tuple[str, ...] = ()
    """They get copies. Nobody acts on their answers, so they have no values."""

    def pairs(self, *measures: Measure) -> Iterable[tuple[str, Metric]]:
        """Every arm but the control, with each metric by which it is compared."""
        for arm in self.arms:
            for metric in self.metrics:
                asked = metric.measure in (measures or Measure)
                unseen = metric.measure is Measure.VALUE and arm in self.shadows
                if arm != self.control and asked and not unseen:
                    yield arm, metric

    def by_mean(self) -> Iterable[tuple[str, Metric]]:
        """Those that are compared by means of requests or of buckets: values, and errors where
        callers stick."""
        return self.pairs(Measure.VALUE, *((Measure.ERRORS,) if self.sticky else ()))

    def asked(self, counted: Mapping[str, Sums]) -> Mapping[str, Sums]:
        """Of what pods have counted, by arm, what is needed. Pods count every value that the spec
        declares, and the resource has no room for all of them."""
        names = {metric.value for metric in self.metrics if metric.measure is Measure.VALUE}
        return {
            arm: sums.only(() if arm in self.shadows else names, by_caller=self.sticky)
            for arm, sums in counted.items()
        }

    @property
    def fingerprint(self) -> int:
        return zlib.crc32(repr(self).encode())


_NOTHING, _NOBODY = Evidence(), Callers()


@dataclass(frozen=True, slots=True)
class Trial:
    """All that was learnt."""

    design: Design
    shares: Mapping[str, int]
    """Of the arms that have one."""
    ratio: SampleRatio
    """Counts requests when they are sent: a slow arm answers later. Of no meaning where callers
    stick."""
    ratio_by_callers: Evidence = _NOTHING
    traffic: Mapping[str, Traffic] = field(default_factory=dict)
    """Of this segment, by arm."""
    callers: Callers = _NOBODY
    rates: Mapping[Key, RateComparison] = field(default_factory=dict)
    values: Mapping[Key, MeanComparison] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    """In ms, by metric: what is slow."""

    @classmethod
    def start(cls, design: Design, shares: Mapping[str, int]) -> "Trial":
        """`shares`: parts of any whole. Raises ValueError where no arm has one."""
        given = given_of(design, shares)
        return cls(
            design,
            given,
            SampleRatio.start(_parts(given)),
            rates={
                (arm, metric.name): RateComparison()
                for arm, metric in design.pairs(Measure.ERRORS, Measure.SLOW)
            },
            values={(arm, m.name): MeanComparison() for arm, m in design.by_mean()},
            limits={m.name: m.limit_ms for m in design.metrics if m.limit_ms is not None},
        )

    def with_shares(self, shares: Mapping[str, int]) -> "Trial":
        """A new segment, where these are others than those of now."""
        given = given_of(self.design, shares)
        if given == self.shares:
            return self
        return replace(
            self,
            shares=given,
            ratio=self.ratio.change(_parts(given)),
            ratio_by_callers=self.ratio_by_callers.next_segment(),
            traffic={},
            callers=self.callers.next_segment(),
            rates={key: each.next_segment() for key, each in self.rates.items()},
            values={key: each.next_segment() for key, each in self.values.items()},
        )

    def add(
        self, period: Mapping[str, Traffic], seconds: float, counted: Counted | None = None
    ) -> "Trial":
        """What came in one period of so many seconds, by arm, and what pods have counted so far."""
        traffic = {
            arm: _joined(self.traffic.get(arm), period.get(arm, Traffic()))
            for arm in self.design.arms
        }
        callers = self.callers
        if counted is not None:
            callers = callers.add(replace(counted, arms=self.design.asked(counted.arms)))
        seen = replace(self, traffic=traffic, callers=callers, limits=self._limits(traffic))
        sent = [period.get(arm, Traffic()).sent for arm in self.shares]
        return replace(
            seen,
            ratio=self.ratio if self.design.sticky else self.ratio.add(sent),
            ratio_by_callers=seen._ratio_by_callers(),
            rates=seen._rates(period, seconds, self.limits),
            values={
                key: mean.add(seen._sample(self.design.control, key[1]), seen._sample(*key))
                if seen._has_units(key)
                else mean
                for key, mean in self.values.items()
            },
        )

    def _limits(self, traffic: Mapping[str, Traffic]) -> Mapping[str, float]:
        limits = dict(self.limits)
        known = traffic[self.design.control].latency
        for metric in self.design.metrics:
            wanted = metric.measure is Measure.SLOW and metric.name not in limits
            if wanted and known is not None and known.total >= BASELINE:
                limit = relative_limit(known, TAIL)
                limits |= {} if limit is None else {metric.name: limit}
        return limits

    def _rates(
        self, period: Mapping[str, Traffic], seconds: float, limits: Mapping[str, float]
    ) -> Mapping[Key, RateComparison]:
        """By limits that were fixed before what they judge."""
        rates = dict(self.rates)
        none = Traffic()
        control = period.get(self.design.control, none)
        for arm, metric in self.design.pairs(Measure.ERRORS, Measure.SLOW):
            ours = period.get(arm, none)
            if metric.measure is Measure.SLOW and metric.name not in limits:
                continue
            limit = limits.get(metric.name)
            key = (arm, metric.name)
            rates[key] = rates[key].add(
                _tally(control, limit), _tally(ours, limit), seconds, self.effect(arm, metric)
            )
        return rates

    def effect(self, arm: str, metric: Metric) -> float:
        """How many requests count as one, where an arm is compared by a yes/no metric: the larger
        of its own and the control's, since either may have the callers who always fail."""
        if not self.design.sticky:
            return 1.0
        if not self.measured(metric):
            return ASSUMED_EFFECT
        both = self.callers.of(self.design.control), self.callers.of(arm)
        return max(
            means.design_effect(
                [int(n) for n in each.requests.buckets], [int(x) for x in each.errors.buckets]
            )
            for each in both
        )

    def measured(self, metric: Metric) -> bool:
        """The pods count by caller what the metric is of. They do not know how long a request took
        on its way."""
        known = self.callers.of(self.design.control).requests.known >= means.BUCKETS
        return known and metric.measure is not Measure.SLOW

    def compared_limit(self, metric: Metric) -> float | None:
        """In ms, the bound of the routers' histogram beyond which requests count as slow: the limit
        itself, or the next one above it."""
        limit = self.limits.get(metric.name)
        known = self.traffic.get(self.design.control, Traffic()).latency
        if limit is None or known is None:
            return limit
        return next((bound for bound in known.bounds if bound >= limit), limit)

    def _ratio_by_callers(self) -> Evidence:
        if not self.design.sticky:
            return self.ratio_by_callers
        arms = [self.callers.of(arm).requests.buckets for arm in self.shares]
        found = mismatch_by_buckets(arms, _parts(self.shares))
        return self.ratio_by_callers if found is None else self.ratio_by_callers.add(found)

    @property
    def mismatched(self) -> bool:
        """The arms do not get the shares that were asked for. It stays so."""
        wrong = self.ratio_by_callers.peak if self.design.sticky else self.ratio.peak
        return wrong >= -math.log(ALPHA)

    @property
    def ratio_known(self) -> bool:
        """There is something from which it can be told."""
        if not self.design.sticky:
            return sum(self.ratio.counts) > 0
        buckets = zip(*(self.callers.of(arm).requests.buckets for arm in self.shares), strict=True)
        return sum(any(bucket) for bucket in buckets) >= means.BUCKETS

    def result(self, arm: str, metric: Metric, alpha: float) -> Result:
        key = (arm, metric.name)
        if metric.measure is not Measure.VALUE:
            effect = self.effect(arm, metric)
            found = self.rates[key].result(alpha, effect)
            if metric.measure is Measure.SLOW and metric.name not in self.limits:
                waits = f"{BASELINE:,} requests of {self.design.control}, of which p95 is the limit"
                return replace(found, waits_for=waits)
            if effect <= MANY_ALIKE or key not in self.values:
                return found
            pair = self._sample(self.design.control, metric.name), self._sample(*key)
            return found.and_also(self.values[key].result(*pair, alpha))
        samples = self._sample(self.design.control, metric.name), self._sample(*key)
        if self._has_units(key):
            return self.values[key].result(*samples, alpha)
        control, ours = (self._mean(each, metric) for each in (self.design.control, arm))
        both = control is not None and ours is not None
        waits = _NO_CALLERS if both else "no values of both arms yet"
        return Result(
            control,
            ours,
            ours - control if control is not None and ours is not None else None,
            -math.inf,
            math.inf,
            min(1.0, math.exp(-self.values[key].shown.peak)),
            self.values[key].shown.log_e,
            waits,
        )

    def _metric(self, name: str) -> Metric:
        return next(metric for metric in self.design.metrics if metric.name == name)

    def _has_units(self, key: Key) -> bool:
        """What varies independently can be told: requests, or buckets where callers stick."""
        if not self.design.sticky:
            return True
        return all(self.callers.of(arm).requests.known > 0 for arm in (self.design.control, key[0]))

    def _mean(self, arm: str, metric: Metric) -> float | None:
        sums = self.callers.of(arm)
        requests, total, _, _ = _sums(sums, metric)
        return total.whole / requests.whole if requests.whole else None

    def _sample(self, arm: str, metric: str) -> Sample:
        """One arm's values so far in this segment."""
        requests, total, squares, nonzero = _sums(self.callers.of(arm), self._metric(metric))
        if self.design.sticky:
            estimate = means.of_buckets(requests.buckets, total.buckets)
            return Sample(int(sum(requests.buckets)), int(nonzero), estimate, bucketed=True)
        estimate = means.of_requests(int(requests.whole), total.whole, squares)
        return Sample(int(requests.whole), int(nonzero), estimate)

    def to_text(self) -> str:
        """Some 0.6 KB for each comparison by a yes/no metric; where callers stick 1 to 2 KB more
        for each arm, and up to 2.5 KB for each of its values; twice that once a pod is gone."""
        writer = Writer("seg", 1)
        self.ratio_by_callers.write(writer)
        parts = {
            "design": self.design.fingerprint,
            "shares": dict(self.shares),
            "ratio": self.ratio.to_text(),
            "ratioByCallers": writer.text(),
            "traffic": Snapshot(0.0, {"": Pod(0.0, self.traffic)}).to_text(),
            "callers": self.callers.to_text(),
            "rates": [[*key, each.to_text()] for key, each in self.rates.items()],
            "values": [[*key, each.to_text()] for key, each in self.values.items()],
            "limits": dict(self.limits),
        }
        return json.dumps(parts, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str, design: Design) -> "Trial":
        """Raises BrokenText, also where it was written under another design."""
        try:
            parts = json.loads(text)
            if parts["design"] != design.fingerprint:
                raise BrokenText("the trial's text is of another design")
            reader = Reader(parts["ratioByCallers"], "seg", 1)
            by_callers = Evidence.read(reader)
            reader.end()
            return cls(
                design,
                {str(arm): int(share) for arm, share in parts["shares"].items()},
                SampleRatio.from_text(parts["ratio"]),
                by_callers,
                Snapshot.from_text(parts["traffic"]).pods[""].arms,
                Callers.from_text(parts["callers"]),
                {(a, m): RateComparison.from_text(each) for a, m, each in parts["rates"]},
                {(a, m): MeanComparison.from_text(each) for a, m, each in parts["values"]},
                {str(name): float(limit) for name, limit in parts["limits"].items()},
            )
        except (KeyError, TypeError, AttributeError, ValueError) as wrong:
            if isinstance(wrong, BrokenText):
                raise
            raise BrokenText(f"the trial's text cannot be read: {wrong}") from wrong


def shares_in(text: str, design: Design) -> Mapping[str, int] | None:
    """Those of a trial's text, without reading the rest of it, which may take half a second; None
    where that is no text of this design."""
    try:
        parts = json.loads(text)
        if parts["design"] != design.fingerprint:
            return None
        return {str(arm): int(share) for arm, share in parts["shares"].items()}
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def given_of(design: Design, shares: Mapping[str, int]) -> Mapping[str, int]:
    """Those of the arms that have one."""
    return {arm: shares[arm] for arm in design.arms if shares.get(arm, 0) > 0}


def _parts(shares: Mapping[str, int]) -> Sequence[float]:
    whole = sum(shares.values())
    return [share / whole for share in shares.values()]


def _joined(before: Traffic | None, came: Traffic) -> Traffic:
    """Routers that are given other bounds start the histogram anew."""
    if before is None:
        return came
    old, new = before.latency, came.latency
    if old is not None and new is not None and old.bounds != new.bounds:
        before = replace(before, latency=None)
    return before + came


def _tally(traffic: Traffic, limit_ms: float | None) -> Tally:
    """Errors, or with a limit, requests that took longer."""
    if limit_ms is None:
        return Tally(traffic.requests, traffic.errors)
    return Tally() if traffic.latency is None else traffic.latency.surely_above(limit_ms)


def _sums(sums: Sums, metric: Metric) -> tuple[Column, Column, float, float]:
    """Of how many requests, the sum of the values, of their squares, and how many are not 0."""
    if metric.measure is Measure.ERRORS:
        failed = math.fsum(sums.errors.buckets)
        return sums.requests, sums.errors, failed, failed
    value = sums.values.get(metric.value, Values())
    requests = sums.requests if metric.missing_is_zero else value.requests
    return requests, value.total, value.squares, value.nonzero
