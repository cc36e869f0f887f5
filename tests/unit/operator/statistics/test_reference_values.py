"""The formulas give the figures that an independent implementation gave, to six digits."""

import math

import pytest

from modelfleet_operator.statistics import latency, means, sample_ratio
from modelfleet_operator.statistics.latency import Histogram
from modelfleet_operator.statistics.mixture import (
    GRID,
    LOG_WEIGHTS,
    Side,
    TwoArms,
    log_e,
    log_sum,
    rate_bound,
)
from modelfleet_operator.statistics.outcomes import Block, Tally

WORSE, NOT_WORSE = Side.WORSE, Side.NOT_WORSE
FALLING = [(50, 3, 950, 8), (100, 5, 900, 10), (200, 12, 800, 7)]
GOOD = [(2000, 10, 8000, 80), (2000, 16, 8000, 80)]


def near(value: float) -> object:
    return pytest.approx(value, abs=1e-6)


def two_arms(side: Side, ratio: float, blocks: list[tuple[int, int, int, int]]) -> TwoArms:
    arms = TwoArms(side, ratio)
    for n_c, x_c, n_s, x_s in blocks:
        arms = arms.add(Block(Tally(n_c, x_c), Tally(n_s, x_s)))
    return arms


def test_g_the_grid_and_its_weights() -> None:
    assert [GRID[k] for k in (0, 12, 24)] == [near(1.01), near(1.64), near(41.96)]
    weights = [math.exp(LOG_WEIGHTS[k]) for k in (0, 12, 24)]
    assert weights == [near(0.002371), near(0.078378), near(0.008163)]


def test_t1_one_block_in_which_the_candidate_is_worse() -> None:
    arms = two_arms(WORSE, 1, [(1000, 20, 1000, 10)])
    assert arms.log_e() == near(0.945186)
    assert arms.log_e(0.005) == near(-0.231104)
    assert arms.bound(0.05) == near(-0.005742)


def test_t2_to_t4_a_ratio_a_design_effect_and_a_lower_bound() -> None:
    arms = two_arms(WORSE, 1.5, FALLING)
    assert arms.log_e() == near(7.276775)
    assert arms.log_e(design_effect=2) == near(3.257664)
    assert arms.bound(0.05) == near(0.011118)


def test_t5_to_t7_not_worse_by_a_ratio_by_a_margin_and_by_either() -> None:
    by_ratio, by_margin = two_arms(NOT_WORSE, 1.5, GOOD), two_arms(NOT_WORSE, 1, GOOD)
    assert by_ratio.log_e() == near(7.969926)
    assert by_margin.log_e(0.005) == near(9.313509)
    assert by_margin.bound(0.05) == near(0.001410)
    assert log_sum([by_ratio.log_e(), by_margin.log_e(0.005)]) - math.log(2) == near(8.852195)


def test_t8_blocks_without_one_of_the_arms_are_nothing() -> None:
    assert two_arms(WORSE, 1, [(0, 0, 50, 1), (10, 2, 0, 0)]).log_e() == near(0)


def test_o1_to_o4_one_arm() -> None:
    assert log_e(WORSE, 0.01, Tally(1000, 20)) == near(2.647213)
    assert log_e(NOT_WORSE, 0.01, Tally(1000, 2)) == near(3.836291)
    assert rate_bound(WORSE, Tally(1000, 20), 0.025) == near(0.008972)
    assert rate_bound(NOT_WORSE, Tally(1000, 20), 0.025) == near(0.037186)
    assert rate_bound(WORSE, Tally(500, 0), 0.05) == near(0)
    assert rate_bound(NOT_WORSE, Tally(500, 0), 0.05) == near(0.009062)


BOUNDS = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0)


@pytest.mark.parametrize(
    ("counts", "share", "low", "point", "high"),
    [
        ((4000, 4500, 900, 300, 150, 80, 50, 15, 5), 0.99, 250, 280.174295, 400),
        ((4000, 4500, 900, 300, 150, 80, 50, 15, 5), 0.5, 50, 58.326452, 100),
        ((40, 45, 9, 3, 1, 0, 0, 0, 0), 0.99, 100, 200.894569, math.inf),
    ],
    ids=["Q1", "Q2", "Q3"],
)
def test_q_quantiles(
    counts: tuple[int, ...], share: float, low: float, point: float, high: float
) -> None:
    histogram = Histogram(BOUNDS, counts)
    assert latency.quantile(histogram, share) == near(point)
    assert latency.quantile_interval(histogram, share) == (low, high)


def test_m1_and_m2_means() -> None:
    assert means.log_e(0.05, 0.0004, 0.1) == near(1.375759)
    assert means.half_width(0.0004, 0.1) == near(0.062031)
    assert means.log_e_above(0.05, 0.0004, 0.1) == near(2.061767)
    assert means.log_e_above(-0.05, 0.0004, 0.1) == near(-2.876775)


def test_c1_hash_buckets() -> None:
    requests, failures = (10, 20, 30, 40, 50), (1, 4, 3, 10, 7)
    found = means.of_buckets(requests, failures)
    assert found is not None
    assert found.value == near(0.166667)
    assert found.variance == pytest.approx(0.000987654, rel=1e-6)
    assert means.design_effect(requests, failures) == near(1.066667)


def test_s_sample_ratio() -> None:
    counts, shares = (5200, 4800), (0.5, 0.5)
    assert sample_ratio.log_e(counts, shares, 20) == near(4.866178)
    assert sample_ratio.log_e(counts, shares, 2000) == near(5.772474)
    assert sample_ratio.mismatch(counts, shares) == near(5.418665)
    assert sample_ratio.mismatch((0, 100, 100), (0.2, 0.4, 0.4)) == near(32.531631)


def test_waiting_times_without_a_failure_are_those_of_the_documentation() -> None:
    def needed(limit: float, alpha: float) -> int:
        n = 1
        while log_e(NOT_WORSE, limit, Tally(n, 0)) < -math.log(alpha):
            n += 1
        return n

    assert [needed(0.01, a) for a in (0.05, 0.01)] == [453, 651]
    assert [needed(0.005, a) for a in (0.05, 0.01)] == [908, 1304]
