"""Arms against the control."""

import math
from dataclasses import replace
from random import Random

import pytest

from modelfleet_operator.statistics import means
from modelfleet_operator.statistics.experiment import (
    MeanComparison,
    RateComparison,
    Result,
    Sample,
    alpha_for,
    e_bh,
    holm,
    report,
)
from modelfleet_operator.statistics.outcomes import Tally


def drawn(rng: Random, n: int, rate: float) -> Tally:
    return Tally(n, sum(rng.random() < rate for _ in range(n)))


def rates(control: float, arm: float, periods: int, seed: int = 1) -> RateComparison:
    rng, comparison = Random(seed), RateComparison()
    for _ in range(periods):
        comparison = comparison.add(drawn(rng, 80, control), drawn(rng, 20, arm), 10)
    return comparison


def test_a_difference_that_is_there_is_found_with_its_interval() -> None:
    result = rates(0.02, 0.08, 200).result()
    assert result.p_value < 0.001
    assert result.difference is not None
    assert result.low < result.difference < result.high
    assert 0 < result.low < 0.06 < result.high
    assert result.lift is not None
    lift, low, high = result.lift
    assert low < lift < high
    assert lift == pytest.approx(3, abs=1)


def test_better_is_found_as_worse_is() -> None:
    result = rates(0.08, 0.02, 300).result()
    assert result.p_value < 0.05
    assert result.high < 0


def test_the_p_value_never_rises_again() -> None:
    rng, comparison, seen = Random(2), RateComparison(), 1.0
    for number in range(300):
        arm = 0.06 if number < 100 else 0.02
        comparison = comparison.add(drawn(rng, 80, 0.02), drawn(rng, 20, arm), 10)
        now = comparison.result().p_value
        assert now <= seen
        seen = now


def test_before_anything_came() -> None:
    result = RateComparison().result()
    assert (result.difference, result.low, result.high, result.p_value) == (None, -1, 1, 1)
    assert result.lift is None


def sample(values: list[float]) -> Sample:
    estimate = means.of_requests(len(values), sum(values), sum(v * v for v in values))
    return Sample(len(values), sum(v != 0 for v in values), estimate)


def normal(n: int, mean: float, seed: int) -> Sample:
    rng = Random(seed)
    return sample([rng.gauss(mean, 1) for _ in range(n)])


def test_a_mean_waits_for_enough_of_both_arms() -> None:
    few = MeanComparison(0.1).result(normal(5000, 3, 1), normal(1999, 3, 2))
    assert few.waits_for == "the arm has 1,999 of 2,000 requests"
    assert few.p_value == 1
    zeros = sample([0.0] * 4950 + [1.0] * 50)
    assert MeanComparison(0.1).result(zeros, normal(5000, 3, 1)).waits_for == (
        "the control has 50 of 100 values that are not 0"
    )
    assert "1,000 requests" in MeanComparison().result(zeros, zeros).waits_for


def test_few_hash_buckets_are_insufficient_clusters() -> None:
    good = normal(5000, 3, 1)
    clustered = Sample(
        5000, 5000, means.of_buckets([500] * 10, [1500 + i for i in range(10)]), True
    )
    result = MeanComparison(0.1).result(good, clustered)
    assert result.waits_for == (
        "insufficient clusters: the arm's users fall into 10 of 30 hash buckets"
    )


def test_a_mean_that_differs_is_found() -> None:
    control, arm = normal(8000, 3, 1), normal(8000, 3.2, 2)
    comparison = MeanComparison().add(control, arm)
    assert comparison.effect == pytest.approx(0.15, rel=0.05)
    result = comparison.result(control, arm)
    assert result.p_value < 0.001
    assert result.difference is not None
    assert 0 < result.low < result.difference < result.high


def test_the_effect_of_interest_is_no_smaller_than_what_chance_does() -> None:
    noisy = Sample(1000, 1000, means.Estimate(3, 0.08, 40), bucketed=True)
    assert MeanComparison().add(noisy, noisy).effect == pytest.approx(0.4)


def test_values_that_never_vary_are_certain_and_can_be_kept() -> None:
    ones, twos = sample([1.0] * 3000), sample([2.0] * 3000)
    comparison = MeanComparison().add(ones, twos)
    result = comparison.result(ones, twos)
    assert (result.low, result.high, result.p_value) == (1, 1, 0)
    assert MeanComparison.from_text(comparison.to_text()) == comparison
    tiny = replace(twos, estimate=means.Estimate(2, 1e-300, 3000))
    assert MeanComparison.from_text(comparison.add(ones, tiny).to_text()).shown.peak > 1e5


def test_the_effect_of_interest_is_read_once() -> None:
    first = MeanComparison().add(normal(1000, 3, 1), normal(10, 3, 2))
    later = first.add(normal(9000, 30, 1), normal(9000, 30, 2))
    assert first.effect is not None
    assert later.effect == first.effect


def found(p_value: float, waits_for: str = "") -> Result:
    return Result(0.1, 0.2, 0.1, 0.0, 0.2, p_value, -math.log(p_value), waits_for)


def test_several_arms_and_metrics_share_one_alpha() -> None:
    made = report({("b", "errors"): found(0.02), ("c", "errors"): found(0.04)})
    assert {(c.arm, c.metric): c.differs for c in made.compared} == {
        ("b", "errors"): True,
        ("c", "errors"): True,
    }
    made = report({("b", "errors"): found(0.03), ("c", "errors"): found(0.04)})
    assert not any(c.differs for c in made.compared)
    assert alpha_for(4) == pytest.approx(0.0125)


def test_a_mismatch_of_shares_makes_everything_invalid() -> None:
    made = report({("b", "errors"): found(1e-9)}, valid=False)
    assert not made.valid
    assert not any(c.differs for c in made.compared)


def test_whether_any_arm_differs_is_the_mean_of_their_evidence() -> None:
    made = report({("b", "e"): found(0.01), ("c", "e"): found(1.0)})
    assert made.any_differs == pytest.approx(math.log((100 + 1) / 2))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04], [0.02, 0.04]),
        ([0.03, 0.04], [0.06, 0.06]),
        ([0.016, 0.026, 0.04], [0.048, 0.052, 0.052]),
        ([0.06, 0.001, 0.02], [0.06, 0.003, 0.04]),
        ([0.7, 0.9], [1, 1]),
        ([], []),
    ],
)
def test_holm(p_values: list[float], adjusted: list[float]) -> None:
    keys = {(str(i), "m"): p for i, p in enumerate(p_values)}
    assert list(holm(keys)) == sorted(keys, key=lambda k: keys[k])
    assert [holm(keys)[key] for key in keys] == pytest.approx(adjusted)


@pytest.mark.parametrize("better", [True, False])
def test_evidence_goes_on_where_the_counts_begin_at_nothing(better: bool) -> None:
    before = rates(0.08, 0.02, 300).next_segment()
    nothing = before.result()
    assert (nothing.arm, nothing.waits_for != "") == (None, True)
    assert nothing.p_value < 0.05
    rng = Random(7)
    after = before
    for _ in range(200):
        arm = 0.02 if better else 0.08
        after = after.add(drawn(rng, 50, 0.08), drawn(rng, 50, arm), 10)
    assert after.result().p_value <= nothing.p_value
    assert (after.shown_lower.log_e > before.shown_lower.log_e) is better
    assert RateComparison.from_text(after.to_text()).arm == after.arm


@pytest.mark.parametrize(
    ("e_values", "kept"), [([100, 45, 1], 2), ([59, 1, 1], 0), ([20, 20, 20], 3), ([], 0)]
)
def test_e_bh(e_values: list[float], kept: int) -> None:
    keys = {(str(i), "m"): math.log(e) for i, e in enumerate(e_values)}
    assert e_bh(keys, 0.05) == {(str(i), "m") for i in range(kept)}
