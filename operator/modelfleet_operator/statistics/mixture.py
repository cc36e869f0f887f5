"""Yes/no outcomes: how strong is the evidence, and between which bounds does the truth lie?

A bet against the null hypothesis. Each point g of a grid stakes on failures being g times as
frequent as the null hypothesis allows; a prior over the grid mixes the stakes, so nobody has to
know beforehand how bad "bad" is. For two arms, a failure of the candidate multiplies a stake by
1 + u and a failure of the stable arm by 1 - u*q, with q = ratio * n_c/n_s and
u = (g - 1)/(1 + g*q). The expectation of the product is at most 1 while

    worse:      rate of the candidate <= ratio * rate of the stable arm + margin
    not worse:  rate of the candidate >= ratio * rate of the stable arm + margin

holds within each block, whatever the rates are, however they drift, and whatever shares of the
traffic the arms have. Sides differ in the grid: g, or 1/g.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.outcomes import Block, Tally

POINTS = 25
GRID = tuple(1 + 0.01 * 2 ** (k / 2) for k in range(POINTS))
"""From 1 % more failures to 42 times as many."""

Stakes = tuple[float, ...]
"""The logarithm of what each grid point's stake has become."""

NOTHING: Stakes = (0.0,) * POINTS


class Side(Enum):
    """What is to be shown, the null hypothesis being the opposite."""

    WORSE = "worse"
    NOT_WORSE = "not worse"


def log_sum(logs: Sequence[float]) -> float:
    """log(sum(exp(v) for v in logs)) without overflow; -inf for nothing."""
    most = max(logs, default=-math.inf)
    if math.isinf(most):
        return most
    return most + math.log(math.fsum(math.exp(v - most) for v in logs))


def _log_weights() -> tuple[float, ...]:
    """A normal prior over log2(g - 1), centred on twice the failures."""
    raw = [-((math.log2(g - 1) / 2.5) ** 2) / 2 for g in GRID]
    total = log_sum(raw)
    return tuple(r - total for r in raw)


LOG_WEIGHTS = _log_weights()

_FACTORS = {Side.WORSE: GRID, Side.NOT_WORSE: tuple(1 / g for g in GRID)}
_LOG_FACTORS = {side: tuple(map(math.log, gs)) for side, gs in _FACTORS.items()}


def mixed(stakes: Sequence[float], design_effect: float = 1.0) -> float:
    """log E of stakes that are mixed by the prior.

    `design_effect` (>= 1) says how many requests count as one, where those of one user are alike.
    """
    return log_sum([w + s / design_effect for w, s in zip(LOG_WEIGHTS, stakes, strict=True)])


def against_limit(side: Side, limit: float, arm: Tally) -> Stakes:
    """What one arm's outcomes do to the stakes; null hypothesis: its rate is <= limit (worse), or
    >= limit (not worse). The limit is a share, 0 to 1."""
    n, x = arm.requests, arm.failures
    return tuple(
        x * log_g - n * math.log(1 - limit + g * limit)
        for g, log_g in zip(_FACTORS[side], _LOG_FACTORS[side], strict=True)
    )


def against_stable(side: Side, ratio: float, block: Block) -> Stakes:
    """What one block does to the stakes of the two-arm test at margin 0; all 0 where an arm had no
    requests, because then there is nothing to compare with."""
    if not block.comparable:
        return NOTHING
    q = ratio * block.candidate.requests / block.stable.requests
    x, both = block.candidate.failures, block.candidate.failures + block.stable.failures
    if not both:
        return NOTHING
    return tuple(
        x * log_g + both * math.log((1 + q) / (1 + g * q))
        for g, log_g in zip(_FACTORS[side], _LOG_FACTORS[side], strict=True)
    )


def log_e(side: Side, limit: float, arm: Tally, design_effect: float = 1.0) -> float:
    """Evidence that one arm's rate is above (worse) or below (not worse) the limit, 0 to 1."""
    return mixed(against_limit(side, limit, arm), design_effect)


def rate_bound(side: Side, arm: Tally, alpha: float, design_effect: float = 1.0) -> float:
    """Worse: the lower bound of one arm's rate; not worse: the upper one. Each is wrong at any
    time with a probability of at most alpha: use half of it for an interval."""
    wanted = -math.log(alpha)

    def evidence(limit: float) -> float:
        return log_e(side, limit, arm, design_effect)

    if side is Side.WORSE:
        return _falls_below(evidence, wanted, 0.0, 1.0) if arm.failures else 0.0
    return _rises_above(evidence, wanted, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class TwoArms:
    """The candidate against the stable arm: evidence for every margin at once.

    The margin is additive and may have any sign; `ratio` is fixed from the start.
    """

    side: Side
    ratio: float = 1.0
    stakes: Stakes = NOTHING
    costs: Stakes = NOTHING
    """What a margin of 1 takes off each stake."""

    def add(self, block: Block) -> "TwoArms":
        """One more block; one in which an arm had no requests changes nothing."""
        if not block.comparable:
            return self
        n = block.candidate.requests
        q = self.ratio * n / block.stable.requests
        gained = against_stable(self.side, self.ratio, block)
        costs = [n * (g - 1) / (1 + g * q) for g in _FACTORS[self.side]]
        return replace(
            self,
            stakes=tuple(a + b for a, b in zip(self.stakes, gained, strict=True)),
            costs=tuple(a + b for a, b in zip(self.costs, costs, strict=True)),
        )

    def at(self, margin: float) -> Stakes:
        return tuple(a - margin * b for a, b in zip(self.stakes, self.costs, strict=True))

    def log_e(self, margin: float = 0.0, design_effect: float = 1.0) -> float:
        return mixed(self.at(margin), design_effect)

    def bound(self, alpha: float, design_effect: float = 1.0) -> float:
        """Worse: the lower bound of (candidate - ratio * stable); not worse: the upper one.

        Wrong at any time with a probability of at most alpha: use half of it for an interval. With
        nothing counted it is the whole range, -ratio or 1.
        """
        wanted = -math.log(alpha)

        def evidence(margin: float) -> float:
            return self.log_e(margin, design_effect)

        if self.side is Side.WORSE:
            return _falls_below(evidence, wanted, -self.ratio, 1.0)
        return _rises_above(evidence, wanted, -self.ratio, 1.0)

    def write(self, writer: Writer) -> None:
        writer.numbers(self.stakes)
        writer.numbers(self.costs)

    @classmethod
    def read(cls, reader: Reader, side: Side, ratio: float) -> "TwoArms":
        return cls(side, ratio, reader.numbers(POINTS), reader.numbers(POINTS))


_HALVINGS = 32
"""To within 1e-9."""


def _falls_below(
    falling: Callable[[float], float], wanted: float, low: float, high: float
) -> float:
    """Where a falling function meets `wanted`; `low` or `high` where it does not."""
    if falling(low) < wanted:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) >= wanted else (low, middle)
    return low


def _rises_above(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a rising function meets `wanted`; `low` or `high` where it does not."""
    return -_falls_below(lambda v: rising(-v), wanted, -high, -low)
