"""Thousands of pairs of arms at once, judged by the gate's rule.

The gate's own classes judge one pair in a few dozen microseconds, which is too slow for ten
thousand pairs and hundreds of looks. This is the same rule over arrays, made from the same grid,
weights and constants; `tests/unit/benchmarks/test_analysis.py` holds that it gives the same figures
as `Relative` and `Limit`, look by look.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelfleet_operator.statistics.blocks import LEAST
from modelfleet_operator.statistics.mixture import GRID, LOG_WEIGHTS
from modelfleet_operator.statistics.policy import Margins
from modelfleet_operator.statistics.restarts import BLOCKS, FIRST

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_G = np.array(GRID)
_LOG_G = np.log(_G)
_W = np.array(LOG_WEIGHTS)


def log_sum(logs: Floats) -> Floats:
    """Over the last axis."""
    most = logs.max(axis=-1)
    total: Floats = most + np.log(np.exp(logs - most[..., None]).sum(axis=-1))
    return total


class ManyRestarting:
    """`Restarting`, for many."""

    def __init__(self, pairs: int) -> None:
        self.sums = np.full((pairs, len(_G)), math.log(FIRST))
        self.starts = np.ones(pairs)
        self.blocks = np.zeros(pairs, dtype=np.int64)

    def add(self, which: Counts, gained: Floats) -> None:
        """`gained` has a row for each of `which`."""
        due = which[self.blocks[which] == BLOCKS]
        if due.size:
            part = np.log((1 - FIRST) / (self.starts[due] * (self.starts[due] + 1)))
            self.sums[due] = np.logaddexp(self.sums[due], part[:, None])
            self.starts[due] += 1
            self.blocks[due] = 0
        self.sums[which] += gained
        self.blocks[which] += 1

    def log_e(self, which: Counts) -> Floats:
        kept = np.log((1 - FIRST) / self.starts[which])
        return np.logaddexp(log_sum(_W + self.sums[which]), kept)


class ManyRelative:
    """`Relative`, for many: evidence of harm, and where asked for, of harmlessness."""

    def __init__(self, pairs: int, margins: Margins, margin: float | None = None) -> None:
        """`margin`: the stage's, for `harmless`; None: that is not followed."""
        self._margins, self._margin = margins, margin
        self._open = np.zeros((4, pairs), dtype=np.int64)
        self._stable, self._floor = ManyRestarting(pairs), ManyRestarting(pairs)
        self._below_ratio = np.zeros((pairs, len(_G)))
        self._below_margin = np.zeros((pairs, len(_G)))
        self.harm = np.zeros(pairs)
        """The highest log E of "worse" so far."""
        self.harmless = np.zeros(pairs)
        """log E of "not worse" at this moment."""

    def add(self, n_c: Counts, x_c: Counts, n_s: Counts, x_s: Counts) -> None:
        self._open += np.array([n_c, x_c, n_s, x_s])
        n, _, m, _ = self._open
        which = np.flatnonzero((n > 0) & (m > 0) & (n + m >= LEAST))
        if not which.size:
            return
        block = self._open[:, which].astype(float)[:, :, None]
        self._open[:, which] = 0
        n, x, m, y = block
        self._harm(which, n, x, m, y)
        if self._margin is not None:
            self._harmless(which, n, x, m, y)

    def _harm(self, which: Counts, n: Floats, x: Floats, m: Floats, y: Floats) -> None:
        q, floor = self._margins.ratio * n / m, self._margins.floor
        self._stable.add(which, x * _LOG_G + (x + y) * np.log((1 + q) / (1 + _G * q)))
        self._floor.add(which, x * _LOG_G - n * np.log(1 - floor + _G * floor))
        both = np.minimum(self._stable.log_e(which), self._floor.log_e(which))
        self.harm[which] = np.maximum(self.harm[which], both)

    def _harmless(self, which: Counts, n: Floats, x: Floats, m: Floats, y: Floats) -> None:
        assert self._margin is not None
        g = 1 / _G
        q = self._margins.ratio * n / m
        self._below_ratio[which] += -x * _LOG_G + (x + y) * np.log((1 + q) / (1 + g * q))
        q = n / m
        gained = -x * _LOG_G + (x + y) * np.log((1 + q) / (1 + g * q))
        self._below_margin[which] += gained - self._margin * n * (g - 1) / (1 + g * q)
        by_ratio = log_sum(_W + self._below_ratio[which])
        by_margin = log_sum(_W + self._below_margin[which])
        self.harmless[which] = np.logaddexp(by_ratio, by_margin) - math.log(2)


class ManyLimits:
    """`Limit`, for many: evidence of a rate above the limit."""

    def __init__(self, pairs: int, limit: float) -> None:
        self._limit = limit
        self._above = ManyRestarting(pairs)
        self.harm = np.zeros(pairs)

    def add(self, n: Counts, x: Counts) -> None:
        which = np.flatnonzero(n > 0)
        if not which.size:
            return
        ns, xs = n[which, None].astype(float), x[which, None].astype(float)
        limit = self._limit
        self._above.add(which, xs * _LOG_G - ns * np.log(1 - limit + _G * limit))
        self.harm[which] = np.maximum(self.harm[which], self._above.log_e(which))


class ManyRates:
    """`RateComparison`, for many: evidence that the arm's rate is another than the control's."""

    def __init__(self, pairs: int) -> None:
        self._open = np.zeros((4, pairs), dtype=np.int64)
        self._stakes = np.zeros((2, pairs, len(_G)))
        self.shown = np.zeros(pairs)
        """The higher of both sides' highest log E so far."""

    @property
    def p_value(self) -> Floats:
        p: Floats = np.minimum(1.0, 2 * np.exp(-self.shown))
        return p

    def add(
        self, n_c: Counts, x_c: Counts, n_s: Counts, x_s: Counts, effect: Floats | float = 1.0
    ) -> None:
        """`effect`: the design effect as it is known at this look, of each pair or of all."""
        self._open += np.array([n_c, x_c, n_s, x_s])
        n, _, m, _ = self._open
        which = np.flatnonzero((n > 0) & (m > 0) & (n + m >= LEAST))
        if not which.size:
            return
        n, x, m, y = self._open[:, which].astype(float)[:, :, None]
        self._open[:, which] = 0
        by = np.broadcast_to(np.asarray(effect, dtype=float), self.shown.shape)[which, None]
        q = n / m
        for side, (g, log_g) in enumerate(((_G, _LOG_G), (1 / _G, -_LOG_G))):
            self._stakes[side, which] += x * log_g + (x + y) * np.log((1 + q) / (1 + g * q))
            found = log_sum(_W + self._stakes[side, which] / by)
            self.shown[which] = np.maximum(self.shown[which], found)


def of_buckets(weights: Floats, totals: Floats) -> tuple[Floats, Floats, Counts]:
    """`means.of_buckets`, for many: value, variance and number of buckets, by row."""
    k = (weights > 0).sum(axis=1)
    whole = weights.sum(axis=1)
    ratio = totals.sum(axis=1) / whole
    spread = ((totals - ratio[:, None] * weights) ** 2).sum(axis=1)
    return ratio, k / (k - 1) * spread / whole**2, k


Generator = np.random.Generator
Json = dict[str, Any]
