"""Standing experiments: equal variants that are looked at again and again, by requests that are
drawn each on its own, and by callers who stick to a variant and are of very different zeal."""

from collections.abc import Callable, Iterator

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

    def __init__(self, rng: Generator, pairs: int, share: float) -> None:
        self._rng, self._pairs = rng, pairs
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
        self.clicks = np.where(tends, rng.beta(2, 3, (pairs, USERS)), 0.0)

    def look(self, *rates: Floats) -> tuple[Floats, list[Floats]]:
        """Requests, and of them those that fall under each rate; by pair, variant and bucket."""
        requests = self._rng.poisson(self._rate)
        counted = [self._rng.binomial(requests, rate) for rate in rates]
        return self._sums(requests), [self._sums(each) for each in counted]

    def _sums(self, counts: Counts) -> Floats:
        size = self._pairs * 2 * BUCKETS
        sums: Floats = np.bincount(self._place, counts.ravel(), size)
        return sums.reshape(self._pairs, 2, BUCKETS)


def sticky_callers(pairs: int) -> Iterator[Row]:
    """Errors and a value of two equal variants whose callers stick, compared by buckets."""
    for seed, share in enumerate(SHARES, start=7101):
        rng = np.random.default_rng(seed)
        errors, naive, values, ratio = (np.zeros(pairs, dtype=bool) for _ in range(4))
        done = 0
        while done < pairs:
            some = min(250, pairs - done)
            found = _sticky(rng, some, share)
            for all_of, part in zip((errors, naive, values, ratio), found, strict=True):
                all_of[done : done + some] = part
            done += some
        split = _split(share)
        bar = 100 * ALPHA
        for case, wrong, held in (
            (f"errors, {split}, sticky callers, by buckets", errors, bar),
            (f"errors, {split}, sticky callers, as if each request were drawn anew", naive, None),
            (f"a value, {split}, sticky callers, by buckets", values, bar),
            (f"sample ratio, {split}, sticky callers, by buckets, alpha .001", ratio, 0.5),
        ):
            yield Row("experiment", case, 100 * float(wrong.mean()), "%", held)


def _sticky(rng: Generator, pairs: int, share: float) -> tuple[Floats, ...]:
    crowd = Crowd(rng, pairs, share)
    shape = (pairs, 2, BUCKETS)
    requests, failed, clicked = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    by_effect, naive = ManyRates(pairs), ManyRates(pairs)
    effect_size = np.zeros(pairs)
    value, ratio = np.zeros(pairs), np.zeros(pairs)
    for _ in range(LOOKS):
        came, (fails, clicks) = crowd.look(crowd.fails, crowd.clicks)
        requests, failed, clicked = requests + came, failed + fails, clicked + clicks
        block = [a[:, arm].sum(axis=1).astype(np.int64) for arm in (1, 0) for a in (came, fails)]
        by_effect.add(*block, _design_effect(requests[:, 0], failed[:, 0]))
        naive.add(*block)
        arms = [of_buckets(requests[:, arm], clicked[:, arm]) for arm in (0, 1)]
        enough = np.ones(pairs, dtype=bool)
        for arm, (_, _, k) in enumerate(arms):
            enough &= (requests[:, arm].sum(axis=1) >= means.UNITS) & (k >= means.BUCKETS)
            enough &= clicked[:, arm].sum(axis=1) >= means.VALUES
        first = (effect_size == 0) & (requests[:, 0].sum(axis=1) >= BASELINE)
        effect_size[first] = EFFECT * arms[0][0][first]
        for pair in np.flatnonzero(enough & (effect_size > 0)):
            difference = arms[1][0][pair] - arms[0][0][pair]
            variance = arms[1][1][pair] + arms[0][1][pair]
            value[pair] = max(value[pair], means.log_e(difference, variance, effect_size[pair]))
        for pair in range(pairs):
            found = sample_ratio.mismatch_by_buckets(requests[pair], (1 - share, share))
            ratio[pair] = max(ratio[pair], found or 0.0)
    return (
        by_effect.p_value <= ALPHA,
        naive.p_value <= ALPHA,
        value >= -np.log(ALPHA),
        ratio >= -np.log(sample_ratio.ALPHA),
    )


def _design_effect(requests: Floats, failures: Floats) -> Floats:
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
        buckets[0, rng.integers(0, BUCKETS)] += rng.poisson(5) + 1
        found = sample_ratio.mismatch_by_buckets(buckets, (1 - share, share))
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
