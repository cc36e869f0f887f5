"""Latency limits as yes/no outcomes, and quantiles for people to read.

"p99 <= 250 ms" says the same as "at most 1 % of the requests take longer than 250 ms". Where 250 is
a bound of the router's histogram the requests above it are counted exactly, and nothing has to be
interpolated. Where it lies between two bounds, a violation is proved with the requests above the
upper one and compliance with those above the lower one; what lies between proves nothing, however
many requests come.
"""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from modelfleet_operator.statistics.mixture import Side, log_e
from modelfleet_operator.statistics.outcomes import Tally

# fmt: off
LADDER: tuple[float, ...] = (
    1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400,
    500, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000, 4000, 5000, 7500, 10000, 15000, 30000, 60000,
)
"""Bounds in ms with which a quantile is read to within 8 %."""
# fmt: on


def bounds_for(limits: tuple[float, ...]) -> tuple[float, ...]:
    """The bounds that a router's histogram needs, in ms: the ladder, and every configured limit."""
    return tuple(sorted({*LADDER, *limits}))


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many requests took how long.

    `bounds` are in ms and ascend; `counts` has one entry more: those up to the first bound, those
    between two, and last those above all.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError(
                f"{len(self.bounds)} bounds make {len(self.bounds) + 1} buckets, "
                f"and there are {len(self.counts)} counts: the last counts what is above all bounds"
            )
        if any(a >= b for a, b in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError(f"the bounds {self.bounds} must ascend")
        if min(self.counts) < 0:
            raise ValueError(f"the counts {self.counts} must not be negative")

    def __add__(self, other: "Histogram") -> "Histogram":
        if self.bounds != other.bounds:
            raise ValueError(f"histograms of bounds {self.bounds} and {other.bounds} do not add up")
        return Histogram(
            self.bounds, tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        )

    @property
    def total(self) -> int:
        return sum(self.counts)

    def surely_above(self, limit: float) -> Tally:
        """Requests that took longer than the smallest bound >= limit: what proves a violation."""
        return Tally(self.total, sum(self.counts[bisect_left(self.bounds, limit) + 1 :]))

    def perhaps_above(self, limit: float) -> Tally:
        """Requests that may have taken longer than limit: what compliance has to be proved with."""
        return Tally(self.total, sum(self.counts[bisect_right(self.bounds, limit) :]))

    def decides(self, limit: float) -> bool:
        """The limit is a bound: whichever side the truth is on, it can be shown."""
        return limit in self.bounds


def undecidable(limit: float, bounds: tuple[float, ...]) -> str:
    """What cannot be decided about a limit with these bounds, and what to do; empty if nothing."""
    if limit in bounds:
        return ""
    at = bisect_left(bounds, limit)
    low = f"{bounds[at - 1]:g}" if at else "0"
    high = f"{bounds[at]:g} ms" if at < len(bounds) else "infinity"
    return (
        f"{limit:g} ms is no bound of the latency histogram: requests between {low} and {high} "
        f"cannot be told to be within it or beyond; add {limit:g} to the router's bounds"
    )


def quantile(histogram: Histogram, share: float) -> float | None:
    """The latency in ms that a share of the requests does not exceed (0.99: p99), estimated.

    Interpolated within its bucket by ratio, as latencies spread; the last bound where it lies above
    all; None where nothing was counted. For people to read: nothing is decided on it.
    """
    rank, before = share * histogram.total, 0
    if not histogram.total:
        return None
    for at, bound in enumerate(histogram.bounds):
        inside = histogram.counts[at]
        if inside and before + inside >= rank:
            part = max(0.0, rank - before) / inside
            floor = histogram.bounds[at - 1] if at else 0.0
            return floor * (bound / floor) ** part if floor > 0 else floor + (bound - floor) * part
        before += inside
    return histogram.bounds[-1] if histogram.bounds else None


def quantile_interval(
    histogram: Histogram, share: float, alpha: float = 0.05, design_effect: float = 1.0
) -> tuple[float, float]:
    """Between which bounds the quantile lies, in ms; at any time right with 1 - alpha.

    0 and infinity where too little is known. No correction for the many bounds: what is above one
    is above all smaller ones.
    """
    wanted, slow = math.log(2 / alpha), 1 - share
    low, high = 0.0, math.inf
    for bound in histogram.bounds:
        above = histogram.surely_above(bound)
        if log_e(Side.WORSE, slow, above, design_effect) >= wanted:
            low = bound
        elif log_e(Side.NOT_WORSE, slow, above, design_effect) >= wanted:
            high = bound
            break
    return low, high


def relative_limit(stable: Histogram, share: float) -> float | None:
    """The limit in ms by which a candidate's tail is compared with the stable arm's: the smallest
    bound at or above the stable arm's quantile, the largest bound where there is none.

    Taken once from the first requests of a stage and then kept: a limit that followed the data that
    it judges would not be one. None where nothing was counted.
    """
    point = quantile(stable, share)
    if point is None:
        return None
    at = bisect_left(stable.bounds, point)
    return stable.bounds[min(at, len(stable.bounds) - 1)]
