"""Standing experiments: equal variants that are looked at again and again, by requests that are
drawn each on its own, and by callers who stick to a variant and are of very different zeal."""

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

import numpy as np

from benchmarks.analysis.many import Counts, Floats, Generator, ManyRates, of_buckets
from benchmarks.analysis.runs import ALPHA, Row
from benchmarks.analysis.traffic import Traffic
from modelfleet_operator.statistics import means, sample_ratio
from modelfleet_operator.statistics.callers import BUCKETS
from modelfleet_operator.statistics.experiment import BASELINE, EFFECT

SHARES = (0.5, 0.2)
USERS = 3_000
LOOKS = 60
PER_USER = 0.15
"""Requests of a user between two looks, on average."""
PART = 250
"""Pairs that are simulated at a time."""


def requests_on_their_own(pairs: int) -> Iterator[Row]:
    """Errors of two equal variants, each request drawn anew."""
    for seed, share in enumerate(SHARES, start=7001):
        for rate in (0.001, 0.01, 0.05):
            traffic = Traffic(rate, rate, share, looks=400)
            rng, many = np.random.default_rng(seed * 10 + round(rate * 1000)), ManyRates(pairs)
            for look in range(traffic.looks):
                many.add(*traffic.draw(rng, look, pairs))
            wrong = 100 * float((many.p_value <= ALPHA).mean())
            case = f"errors {100 * rate:g} %, {_split(share)}, each request drawn anew"
            yield Row("experiment", case, wrong, "%", 100 * ALPHA)


class Crowd:
    """The users of many pairs of variants: each sticks to a variant, and falls into a bucket."""

    def __init__(self, rng: Generator, pairs: int, share: float, lift: float = 1.0) -> None:
        """`lift`: so many times the clicks in the variant that is compared with the control."""
        self._rng, self.pairs = rng, pairs
        # The busiest of a hundred sends some thirty times as many as the one in the middle.
        zeal = np.exp(1.5 * rng.standard_normal((pairs, USERS)))
        self._rate = PER_USER * zeal / zeal.mean(axis=1, keepdims=True)
        arm = (rng.random((pairs, USERS)) < share).astype(np.int64)
        bucket = rng.integers(0, BUCKETS, (pairs, USERS))
        row = np.arange(pairs)[:, None]
        self._place = ((row * 2 + arm) * BUCKETS + bucket).ravel()
        # Half of the users never fail and never click, the others do by a rate of their own.
        tends = rng.random((pairs, USERS)) < 0.5
        self.fails = np.where(tends, 0.1 * rng.beta(1, 2, (pairs, USERS)), 0.0)
        clicks = np.where(tends, rng.beta(2, 3, (pairs, USERS)), 0.0)
        self.clicks = np.minimum(1.0, clicks * np.where(arm == 1, lift, 1.0))

    def look(self, *rates: Floats) -> tuple[Floats, list[Floats]]:
        """Requests, and of them those that fall under each rate; by pair, variant and bucket."""
        requests = self._rng.poisson(self._rate)
        counted = [self._rng.binomial(requests, rate) for rate in rates]
        return self._sums(requests), [self._sums(each) for each in counted]

    def _sums(self, counts: Counts) -> Floats:
        size = self.pairs * 2 * BUCKETS
        sums = np.bincount(self._place, counts.ravel(), size).astype(np.float64)
        return sums.reshape(self.pairs, 2, BUCKETS)


@dataclass(frozen=True)
class Shown:
    """Of many pairs, which were ever found to differ."""

    errors: Floats
    errors_naive: Floats
    """As if each request were drawn anew."""
    value: Floats
    value_naive: Floats
    ratio: Floats


def sticky_callers(pairs: int) -> Iterator[Row]:
    """Two variants whose callers stick, compared by buckets."""
    for seed, share in enumerate(SHARES, start=7101):
        found, split, bar = _in_parts(seed, pairs, share), _split(share), 100 * ALPHA
        for case, shown, held in (
            ("errors, by buckets", found.errors, bar),
            ("errors, as if each request were drawn anew", found.errors_naive, None),
            ("a value, by buckets", found.value, bar),
            ("a value, as if each request were drawn anew", found.value_naive, None),
            ("sample ratio, by buckets, alpha .001", found.ratio, 0.5),
        ):
            case = f"{split}, sticky callers, {case}"
            yield Row("experiment", case, 100 * float(shown.mean()), "%", held)
        better = _in_parts(seed + 100, max(1, pairs // 4), share, lift=1.5)
        case = f"{split}, sticky callers, a value half as high again, by buckets: found"
        yield Row("experiment", case, 100 * float(better.value.mean()), "%")


def _in_parts(seed: int, pairs: int, share: float, lift: float = 1.0) -> Shown:
    """So that it fits into memory."""
    rng = np.random.default_rng(seed)
    parts = [
        _sticky(Crowd(rng, min(PART, pairs - done), share, lift), share)
        for done in range(0, pairs, PART)
    ]
    return Shown(*(np.concatenate(each) for each in zip(*map(astuple, parts), strict=True)))


def _sticky(crowd: Crowd, share: float) -> Shown:
    pairs = crowd.pairs
    shape = (pairs, 2, BUCKETS)
    requests, failed, clicked = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    errors, naive = ManyRates(pairs), ManyRates(pairs)
    size = np.zeros(pairs)
    shown, shown_naive, ratio = np.zeros(pairs), np.zeros(pairs), np.zeros(pairs)
    for _ in range(LOOKS):
        came, (fails, clicks) = crowd.look(crowd.fails, crowd.clicks)
        requests, failed, clicked = requests + came, failed + fails, clicked + clicks
        n_c, x_c, n_s, x_s = (
            a[:, arm].sum(axis=1).astype(np.int64) for arm in (1, 0) for a in (came, fails)
        )
        effects = [design_effect(requests[:, i], failed[:, i]) for i in (0, 1)]
        errors.add(n_c, x_c, n_s, x_s, np.maximum(*effects))
        naive.add(n_c, x_c, n_s, x_s)
        control, arm = (of_buckets(requests[:, i], clicked[:, i]) for i in (0, 1))
        first = (size == 0) & (requests[:, 0].sum(axis=1) >= BASELINE)
        of_interest = np.maximum(EFFECT * control[0], np.sqrt(2 * control[1]))
        size = np.where(first, of_interest, size)
        enough = (requests.sum(axis=2) >= means.UNITS).all(axis=1) & (size > 0)
        enough &= (clicked.sum(axis=2) >= means.VALUES).all(axis=1)
        enough &= (control[2] >= means.BUCKETS) & (arm[2] >= means.BUCKETS)
        rates, counts = clicked.sum(axis=2) / requests.sum(axis=2), requests.sum(axis=2)
        alone = (rates * (1 - rates) / counts).sum(axis=1)
        for pair in np.flatnonzero(enough).tolist():
            difference = float(arm[0][pair] - control[0][pair])
            for all_of, variance in (
                (shown, arm[1][pair] + control[1][pair]),
                (shown_naive, alone[pair]),
            ):
                found = means.log_e(difference, float(variance), float(size[pair]))
                all_of[pair] = max(all_of[pair], found)
        for pair in range(pairs):
            off = sample_ratio.mismatch_by_buckets(requests[pair].tolist(), (1 - share, share))
            ratio[pair] = max(ratio[pair], off or 0.0)
    wanted = -np.log(ALPHA)
    return Shown(
        errors=(errors.p_value <= ALPHA).astype(float),
        errors_naive=(naive.p_value <= ALPHA).astype(float),
        value=1.0 * (shown >= wanted),
        value_naive=1.0 * (shown_naive >= wanted),
        ratio=1.0 * (ratio >= -np.log(sample_ratio.ALPHA)),
    )


def design_effect(requests: Floats, failures: Floats) -> Floats:
    """`means.design_effect`, for many."""
    value, variance, _ = of_buckets(requests, failures)
    alone = value * (1 - value) / requests.sum(axis=1)
    least = np.where(failures.sum(axis=1) >= means.FAILURES, 1.0, means.CAUTIOUS)
    measured = np.divide(variance, alone, out=least.copy(), where=alone > 0)
    effect: Floats = np.maximum(least, measured)
    return effect


def dead_arms(runs: int) -> Iterator[Row]:
    """A variant that gets nothing: after how many requests of the others is that said?"""
    for share in SHARES:
        needed = 0
        watch = sample_ratio.SampleRatio.start((1 - share, share))
        while not watch.broken:
            needed += 1
            watch = watch.add((1, 0))
        case = f"sample ratio, {_split(share)}, the smaller variant gets nothing"
        yield Row("experiment", case, needed, "requests", 100)
        rng = np.random.default_rng(7300)
        users = [_users_until_said(rng, share) for _ in range(runs)]
        case = f"{case}, sticky callers, by buckets"
        yield Row("experiment", case, float(np.max(users)), "users", 200)


def _users_until_said(rng: Generator, share: float) -> int:
    buckets = np.zeros((2, BUCKETS))
    users = 0
    while True:
        users += 1
        buckets[0, int(rng.integers(0, BUCKETS))] += int(rng.poisson(5)) + 1
        found = sample_ratio.mismatch_by_buckets(buckets.tolist(), (1 - share, share))
        if found is not None and found >= -np.log(sample_ratio.ALPHA):
            return users


def _split(share: float) -> str:
    return f"{100 * (1 - share):g}/{100 * share:g}"


SECTIONS: tuple[tuple[str, Callable[[int], Iterator[Row]], int], ...] = (
    ("equal variants: differences that are not there", requests_on_their_own, 10_000),
    ("equal variants with sticky callers", sticky_callers, 1_000),
    ("dead variants", dead_arms, 50),
)
"""Title, rows, and how many pairs each row simulates."""
