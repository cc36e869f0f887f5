"""Means, and requests that are alike."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics import means

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=50)


@given(VALUES)
def test_a_mean_of_requests_is_the_textbooks(values: list[float]) -> None:
    found = means.of_requests(len(values), sum(values), sum(v * v for v in values))
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values)
    assert found is not None
    assert found.value == pytest.approx(mean)
    assert found.variance == pytest.approx(variance, abs=1e-6)


@given(VALUES)
def test_buckets_of_one_request_each_are_requests(values: list[float]) -> None:
    requests = means.of_requests(len(values), sum(values), sum(v * v for v in values))
    buckets = means.of_buckets([1.0] * len(values), values)
    assert requests is not None
    assert buckets is not None
    assert buckets.value == pytest.approx(requests.value)
    assert buckets.variance == pytest.approx(requests.variance, abs=1e-6)


def test_too_little_is_no_estimate() -> None:
    assert means.of_requests(1, 5.0, 25.0) is None
    assert means.of_buckets([3, 0, 0], [1, 0, 0]) is None


def test_requests_are_one_by_one_when_users_are_not_alike_and_many_when_they_are() -> None:
    rng = Random(7)
    apart = [sum(rng.random() < 0.1 for _ in range(50)) for _ in range(400)]
    alike = [50 * (rng.random() < 0.1) for _ in range(400)]
    requests = [50] * 400
    assert means.design_effect(requests, apart) == pytest.approx(1, abs=0.2)
    assert means.design_effect(requests, alike) == pytest.approx(50, rel=0.1)


def test_the_design_effect_is_cautious_before_there_are_failures() -> None:
    assert means.design_effect([50] * 400, [0] * 400) == 2
    assert means.design_effect([50] * 400, [1] * 19 + [0] * 381) >= 2
    assert means.design_effect([50] * 400, [1] * 20 + [0] * 380) < 2


@given(st.floats(-1, 1), st.floats(1e-6, 1), st.floats(1e-3, 1))
def test_the_interval_is_what_the_evidence_does_not_exclude(
    difference: float, variance: float, effect: float
) -> None:
    half = means.half_width(variance, effect, 0.05)
    assert means.log_e(half, variance, effect) == pytest.approx(math.log(20))
    assert means.log_e(difference, variance, effect) == means.log_e(-difference, variance, effect)


@given(st.floats(-50, 50), st.floats(0.01, 10), st.floats(0.01, 10))
def test_one_sided_evidence_rises_with_the_difference(
    difference: float, variance: float, effect: float
) -> None:
    here = means.log_e_above(difference, variance, effect)
    assert math.isfinite(here)
    assert means.log_e_above(difference + 0.1, variance, effect) >= here - 1e-6
    assert means.log_e_above(difference, variance, effect, 0.1) <= here + 1e-6


def test_without_variance_any_difference_is_certain() -> None:
    assert means.log_e(0.1, 0, 0.1) == math.inf
    assert means.log_e(0, 0, 0.1) == 0
    assert means.log_e_above(-0.1, 0, 0.1) == 0
    assert means.half_width(0, 0.1) == 0
