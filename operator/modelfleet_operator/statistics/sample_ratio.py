"""Did the arms get the shares of users that were asked for?

A mismatch means that something chose who went where, and then no comparison means anything. Counted
are users when first seen, where callers stick to an arm, and requests only where each is assigned
on its own: with sticky users a few busy ones make correct requests look wrong. Count at assignment
and not at the answer, without retries, and leave out the polls until all routers serve the weights.

Evidence is a mixture of two Dirichlet priors around the shares asked for: the wide one sees an arm
that is dead within a hundred users, the narrow one a drift of a percent.

Where nobody counts users, but requests by a hash bucket of the user, the buckets are the units: how
each bucket's requests are shared out says how far chance can go (`mismatch_by_buckets`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelfleet_operator.statistics import means
from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.mixture import log_sum

CONCENTRATIONS = (20.0, 2000.0)
ALPHA = 0.001

_KIND, _VERSION = "srm", 1


def log_e(counts: Sequence[int], shares: Sequence[float], concentration: float) -> float:
    """Evidence against the shares under one prior. The shares sum to 1; where one is 0, any count
    of it is infinite evidence."""
    known = [(c, p) for c, p in zip(counts, shares, strict=True) if p > 0]
    total = sum(c for c, _ in known)
    if total != sum(counts):
        return math.inf
    lgamma, k = math.lgamma, concentration
    return (
        lgamma(k)
        - lgamma(k + total)
        + math.fsum(lgamma(k * p + c) - lgamma(k * p) - c * math.log(p) for c, p in known)
    )


def mismatch(counts: Sequence[int], shares: Sequence[float]) -> float:
    """log E of both priors together."""
    return log_sum([log_e(counts, shares, k) for k in CONCENTRATIONS]) - math.log(2)


def mismatch_by_buckets(arms: Sequence[Sequence[float]], shares: Sequence[float]) -> float | None:
    """log E from requests of each arm by hash bucket of the caller; None with fewer than 30 buckets
    that have any. The shares are above 0 and sum to 1.

    How far a bucket's requests are from the shares that were asked for is what chance does, also
    where a bucket has a single busy user: so the variance is taken around these shares, and an arm
    that gets nothing stands out by as many standard errors as the root of the number of buckets.
    """
    sums = [math.fsum(bucket) for bucket in zip(*arms, strict=True)]
    k, whole = sum(n > 0 for n in sums), math.fsum(sums)
    if k < means.BUCKETS:
        return None
    found = []
    for arm, share in zip(arms, shares, strict=True):
        off = [n - share * both for n, both in zip(arm, sums, strict=True)]
        variance = k / (k - 1) * math.fsum(v * v for v in off) / whole**2
        # Not less than if each request were drawn anew.
        variance = max(variance, share * (1 - share) / whole)
        effect = min(share, 1 - share) / 2
        found.append(means.log_e(math.fsum(off) / whole, variance, effect) if effect > 0 else 0.0)
    return log_sum(found) - math.log(len(found))


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """The watch over one experiment, through all changes of its shares."""

    shares: tuple[float, ...]
    """What was asked for, in the order of the arms; sums to 1."""
    counts: tuple[int, ...]
    """Since the shares were last changed."""
    before: float = 0.0
    """log E of the segments before."""
    peak: float = 0.0

    @classmethod
    def start(cls, shares: Sequence[float]) -> "SampleRatio":
        if not shares or min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-9):
            raise ValueError(
                f"the shares {tuple(shares)} must be >= 0 and sum to 1, as 0.8 and 0.2"
            )
        return cls(tuple(shares), (0,) * len(shares))

    def add(self, counts: Sequence[int]) -> "SampleRatio":
        """Newly assigned users (or requests) of each arm."""
        summed = tuple(a + b for a, b in zip(self.counts, counts, strict=True))
        added = replace(self, counts=summed)
        return replace(added, peak=max(self.peak, added.log_e))

    def change(self, shares: Sequence[float]) -> "SampleRatio":
        """Other shares are asked for, perhaps of other arms. What was found so far stands."""
        return replace(SampleRatio.start(shares), before=self.log_e, peak=self.peak)

    @property
    def log_e(self) -> float:
        return self.before + mismatch(self.counts, self.shares)

    @property
    def broken(self) -> bool:
        """The shares are not what was asked for. It stays so: what was compared is spoilt."""
        return self.peak >= -math.log(ALPHA)

    def to_text(self) -> str:
        writer = Writer(_KIND, _VERSION)
        writer.count(len(self.shares))
        for share, count in zip(self.shares, self.counts, strict=True):
            writer.number(share)
            writer.count(count)
        writer.number(self.before)
        writer.number(self.peak)
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "SampleRatio":
        """Raises BrokenText."""
        reader = Reader(text, _KIND, _VERSION)
        pairs = [(reader.number(), reader.count()) for _ in range(reader.count())]
        before, peak = reader.number(), reader.number()
        reader.end()
        return cls(tuple(p for p, _ in pairs), tuple(c for _, c in pairs), before, peak)
