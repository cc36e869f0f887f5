"""Latency limits become yes/no outcomes, and quantiles are read from buckets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics.latency import (
    LADDER,
    Histogram,
    bounds_for,
    quantile,
    quantile_interval,
    relative_limit,
    undecidable,
)
from modelfleet_operator.statistics.outcomes import Tally

BOUNDS = (100.0, 250.0, 500.0)
SEEN = Histogram(BOUNDS, (50, 30, 15, 5))


@pytest.mark.parametrize(
    ("limit", "surely", "perhaps"),
    [
        (250, 20, 20),  # a bound: exact
        (300, 5, 20),  # between two: what is up to 500 may be either
        (50, 50, 100),  # below all: nothing can be shown to be within it
        (900, 0, 5),  # above all: no violation can be shown
    ],
)
def test_requests_beyond_a_limit(limit: float, surely: int, perhaps: int) -> None:
    assert SEEN.surely_above(limit) == Tally(100, surely)
    assert SEEN.perhaps_above(limit) == Tally(100, perhaps)


def test_what_cannot_be_decided_is_said_with_what_to_do() -> None:
    assert undecidable(250, BOUNDS) == ""
    assert SEEN.decides(250)
    assert not SEEN.decides(300)
    assert undecidable(300, BOUNDS) == (
        "300 ms is no bound of the latency histogram: requests between 250 and 500 ms cannot be "
        "told to be within it or beyond; add 300 to the router's bounds"
    )
    assert "between 500 and infinity" in undecidable(900, BOUNDS)
    assert "between 0 and 100 ms" in undecidable(50, BOUNDS)


def test_every_configured_limit_is_among_the_bounds() -> None:
    assert set(bounds_for((270.0, 250.0))) == {*LADDER, 270.0}
    assert list(bounds_for((270.0,))) == sorted(bounds_for((270.0,)))


@pytest.mark.parametrize(
    ("bounds", "counts", "why"),
    [
        ((1, 2), (1, 2), "2 bounds make 3 buckets, and there are 2 counts"),
        ((2, 1), (0, 0, 0), "must ascend"),
        ((1, 2), (1, -1, 0), "must not be negative"),
    ],
)
def test_what_is_no_histogram(bounds: tuple[int, ...], counts: tuple[int, ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Histogram(bounds, counts)


def test_histograms_of_other_bounds_are_not_added() -> None:
    with pytest.raises(ValueError, match="do not add up"):
        SEEN + Histogram((1.0,), (0, 0))


counts = st.lists(st.integers(0, 500), min_size=4, max_size=4).map(tuple)


@given(counts, st.sampled_from([0.5, 0.95, 0.99]))
def test_the_interval_holds_the_estimate(made: tuple[int, ...], share: float) -> None:
    histogram = Histogram(BOUNDS, made)
    point, (low, high) = quantile(histogram, share), quantile_interval(histogram, share)
    assert (point is None) is (histogram.total == 0)
    assert low <= high
    if point is not None:
        assert low <= point <= high


@given(counts)
def test_quantiles_are_in_order(made: tuple[int, ...]) -> None:
    found = [quantile(Histogram(BOUNDS, made), share) for share in (0.1, 0.5, 0.9, 0.99)]
    known = [value for value in found if value is not None]
    assert known == sorted(known)


def test_the_interval_narrows_with_more_of_the_same() -> None:
    widths = []
    for times in (1, 10, 100):
        histogram = Histogram(LADDER, tuple(times * (20 < i < 30) for i in range(len(LADDER) + 1)))
        low, high = quantile_interval(histogram, 0.9)
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] == math.inf


@pytest.mark.parametrize(
    ("made", "limit"),
    [
        ((1000, 0, 0, 0), 100),
        ((900, 95, 5, 0), 250),
        ((900, 50, 50, 0), 500),
        ((900, 0, 0, 100), 500),  # beyond all bounds: the last is the best there is
        ((0, 0, 0, 0), None),
    ],
)
def test_the_tail_is_compared_at_a_bound_at_or_above_the_stable_arms_quantile(
    made: tuple[int, ...], limit: float | None
) -> None:
    assert relative_limit(Histogram(BOUNDS, made), 0.99) == limit
