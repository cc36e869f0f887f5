"""Evidence is a fair bet against the null hypothesis, and its bounds follow from it."""

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics.mixture import Side, TwoArms, log_e, rate_bound
from modelfleet_operator.statistics.outcomes import Block, Tally

SIDES = list(Side)


def chances(n: int, rate: float) -> list[float]:
    """Of 0 to n failures."""
    return [math.comb(n, x) * rate**x * (1 - rate) ** (n - x) for x in range(n + 1)]


def outcomes(n_c: int, rate_c: float, n_s: int, rate_s: float) -> Iterator[tuple[Block, float]]:
    """Every block of so many requests, with its chance."""
    both = itertools.product(enumerate(chances(n_c, rate_c)), enumerate(chances(n_s, rate_s)))
    for (x_c, p_c), (x_s, p_s) in both:
        yield Block(Tally(n_c, x_c), Tally(n_s, x_s)), p_c * p_s


EDGES = [
    (rate, ratio, margin, ratio * rate + margin)
    for rate in (0.0, 0.02, 0.2, 0.5)
    for ratio, margin in ((1.0, 0.0), (1.5, 0.0), (1.0, 0.1), (1.0, -0.1))
    if ratio * rate + margin >= 0
]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("sizes", [(1, 1), (1, 9), (3, 3), (6, 2)])
@pytest.mark.parametrize(("rate", "ratio", "margin", "edge"), EDGES)
def test_on_the_edge_of_the_null_hypothesis_nothing_is_won_on_average(
    side: Side, sizes: tuple[int, int], rate: float, ratio: float, margin: float, edge: float
) -> None:
    expected = sum(
        chance * math.exp(TwoArms(side, ratio).add(block).log_e(margin))
        for block, chance in outcomes(sizes[0], edge, sizes[1], rate)
    )
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("side", SIDES)
def test_rates_and_shares_may_change_from_block_to_block(side: Side) -> None:
    first = list(outcomes(1, 0.05, 4, 0.05))
    second = list(outcomes(3, 0.4, 2, 0.4))
    expected = sum(
        p * q * math.exp(TwoArms(side).add(a).add(b).log_e())
        for (a, p), (b, q) in itertools.product(first, second)
    )
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("limit", [0.001, 0.01, 0.3])
@pytest.mark.parametrize("n", [1, 5, 40])
def test_one_arm_at_its_limit_is_a_fair_bet(side: Side, limit: float, n: int) -> None:
    def expected(rate: float) -> float:
        found = enumerate(chances(n, rate))
        return sum(p * math.exp(log_e(side, limit, Tally(n, x))) for x, p in found)

    assert expected(limit) == pytest.approx(1)
    within = limit / 2 if side is Side.WORSE else limit * 2
    assert expected(within) < 1


tallies = st.integers(1, 5000).flatmap(lambda n: st.builds(Tally, st.just(n), st.integers(0, n)))
blocks = st.builds(Block, tallies, tallies)


@given(blocks, st.integers(2, 5), st.sampled_from(SIDES), st.sampled_from([1.0, 1.5]))
def test_blocks_of_one_split_may_be_merged(
    block: Block, times: int, side: Side, ratio: float
) -> None:
    apart, merged = TwoArms(side, ratio), block
    for _ in range(times):
        apart = apart.add(block)
    for _ in range(times - 1):
        merged += block
    together = TwoArms(side, ratio).add(merged)
    assert apart.log_e(0.001) == pytest.approx(together.log_e(0.001), rel=1e-6, abs=1e-6)


@given(blocks, st.floats(-0.5, 0.5), st.floats(0.001, 0.4))
def test_a_larger_margin_is_harder_to_exceed_and_easier_to_stay_within(
    block: Block, margin: float, more: float
) -> None:
    worse, not_worse = TwoArms(Side.WORSE).add(block), TwoArms(Side.NOT_WORSE).add(block)
    assert worse.log_e(margin + more) <= worse.log_e(margin) + 1e-9
    assert not_worse.log_e(margin + more) >= not_worse.log_e(margin) - 1e-9


@given(blocks)
def test_the_interval_holds_the_difference_and_grows_with_certainty(block: Block) -> None:
    worse, not_worse = TwoArms(Side.WORSE).add(block), TwoArms(Side.NOT_WORSE).add(block)
    assert block.candidate.rate is not None
    assert block.stable.rate is not None
    difference = block.candidate.rate - block.stable.rate
    lows = [worse.bound(alpha) for alpha in (0.001, 0.01, 0.05)]
    highs = [not_worse.bound(alpha) for alpha in (0.05, 0.01, 0.001)]
    assert [*lows, difference, *highs] == sorted([*lows, difference, *highs])
    if -1 < lows[-1] < 1:
        assert worse.log_e(lows[-1]) == pytest.approx(math.log(20), abs=1e-3)


@given(tallies)
def test_one_arms_interval_holds_its_rate(arm: Tally) -> None:
    low, high = (rate_bound(side, arm, 0.025) for side in SIDES)
    assert arm.rate is not None
    assert 0 <= low <= arm.rate + 1e-9
    assert arm.rate - 1e-9 <= high <= 1


def test_nothing_counted_is_nothing_known() -> None:
    assert TwoArms(Side.WORSE, 1.5).bound(0.05) == -1.5
    assert TwoArms(Side.NOT_WORSE).bound(0.05) == 1
    assert [rate_bound(side, Tally(), 0.05) for side in SIDES] == [0, 1]


@given(blocks, st.floats(1.0, 10.0))
def test_requests_that_are_alike_prove_less(block: Block, effect: float) -> None:
    arms = TwoArms(Side.WORSE).add(block)
    assert arms.log_e(design_effect=effect) <= max(0.0, arms.log_e()) + 1e-9


def test_more_failures_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="3 failures of 2 requests"):
        Tally(2, 3)
