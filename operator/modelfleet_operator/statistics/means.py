"""Means and ratios: rewards, values a model returns, and requests that are alike.

A normal-mixture confidence sequence: the evidence for a difference d with variance V, where effects
of the size tau are of interest. It rests on the central limit theorem, so it starts only once each
arm has enough units and enough values that are not 0 (`enough`).

Where callers stick to an arm, requests of one user are alike and are no units. Users are put into
buckets by a hash of their key, and the buckets are the units: any pair of sums per bucket makes a
ratio (a mean is the ratio of the sum of values to the number of requests).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

UNITS = 2_000
"""Requests that each arm needs before a mean is judged."""
VALUES = 100
"""Values that are not 0 among them."""
BUCKETS = 30
"""Hash buckets that each arm needs."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, or a ratio, and how far it may be off."""

    value: float
    variance: float
    """Of the estimate, not of the single values."""
    units: int
    """Requests, or hash buckets, that it was made from."""


def of_requests(count: int, total: float, squares: float) -> Estimate | None:
    """From the number of independent requests, the sum of their values and the sum of the squares.

    None with fewer than two. Wrong where requests of one user are alike: see `of_buckets`.
    """
    if count < 2:
        return None
    mean = total / count
    spread = max(0.0, squares / count - mean * mean) * count / (count - 1)
    return Estimate(mean, spread / count, count)


def of_buckets(weights: Sequence[float], totals: Sequence[float]) -> Estimate | None:
    """From two running sums per hash bucket: requests (or any denominator) and values.

    Buckets without weight do not count. None with fewer than two others.
    """
    pairs = [(n, s) for n, s in zip(weights, totals, strict=True) if n > 0]
    k, whole = len(pairs), math.fsum(n for n, _ in pairs)
    if k < 2:
        return None
    ratio = math.fsum(s for _, s in pairs) / whole
    spread = math.fsum((s - ratio * n) ** 2 for n, s in pairs)
    return Estimate(ratio, k / (k - 1) * spread / whole**2, k)


CAUTIOUS = 2.0
"""The least design effect before the stable arm has had `FAILURES` failures."""
FAILURES = 20


def design_effect(requests: Sequence[int], failures: Sequence[int]) -> float:
    """How many requests count as one, from the stable arm's hash buckets; at least 1.

    The variance between buckets over what it were if requests were independent.
    """
    found = of_buckets(requests, failures)
    failed, counted = sum(failures), sum(requests)
    least = 1.0 if failed >= FAILURES else CAUTIOUS
    if found is None or not 0 < found.value < 1:
        return least
    return max(least, found.variance / (found.value * (1 - found.value) / counted))


def log_e(difference: float, variance: float, effect: float) -> float:
    """Evidence that the difference is not 0, either way. `effect` (> 0): the smallest that is of
    interest, fixed beforehand."""
    t = effect * effect
    if variance <= 0:
        return math.inf if difference else 0.0
    whole = variance + t
    return math.log(variance / whole) / 2 + t * difference**2 / (2 * variance * whole)


def log_e_above(difference: float, variance: float, effect: float, margin: float = 0.0) -> float:
    """Evidence that the difference is above the margin."""
    d, t = difference - margin, effect * effect
    if variance <= 0:
        return math.inf if d > 0 else 0.0
    z = d / math.sqrt(variance) * math.sqrt(t / (variance + t))
    return math.log(2) + log_e(d, variance, effect) + _log_phi(z)


def half_width(variance: float, effect: float, alpha: float = 0.05) -> float:
    """Half of the interval around the difference; at any time right with 1 - alpha."""
    t = effect * effect
    if variance <= 0:
        return 0.0
    return math.sqrt(
        variance
        * (variance + t)
        / t
        * (2 * math.log(1 / alpha) + math.log((variance + t) / variance))
    )


def _log_phi(z: float) -> float:
    """log of the standard normal distribution function."""
    if z > -30:
        return math.log(math.erfc(-z / math.sqrt(2)) / 2)
    return -z * z / 2 - math.log(-z) - math.log(2 * math.pi) / 2 - 1 / (z * z)
