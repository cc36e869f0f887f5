"""Did the arms get the shares that were asked for?"""

import math
from random import Random

import pytest

from modelfleet_operator.statistics.sample_ratio import SampleRatio, log_e, mismatch


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.2, 0.3, 0.5)])
def test_the_evidence_is_a_fair_bet(shares: tuple[float, ...]) -> None:
    """Over every way in which eight users may fall."""
    n, expected = 8, 0.0

    def ways(left: int, arms: int) -> list[tuple[int, ...]]:
        if arms == 1:
            return [(left,)]
        return [(c, *rest) for c in range(left + 1) for rest in ways(left - c, arms - 1)]

    for counts in ways(n, len(shares)):
        chance = float(math.factorial(n))
        for count, share in zip(counts, shares, strict=True):
            chance *= share**count / math.factorial(count)
        expected += chance * math.exp(mismatch(counts, shares))
    assert expected == pytest.approx(1)


def test_a_correct_split_is_left_alone_and_a_dead_arm_is_seen_soon() -> None:
    rng = Random(5)
    right = dead = SampleRatio.start((0.8, 0.2))
    for _ in range(100):
        small = sum(rng.random() < 0.2 for _ in range(50))
        right, dead = right.add((50 - small, small)), dead.add((1, 0))
    assert not right.broken
    assert dead.broken


def test_what_was_found_stands_when_the_shares_change() -> None:
    broken = SampleRatio.start((0.5, 0.5)).add((200, 0))
    assert broken.broken
    assert broken.change((0.8, 0.2)).broken
    partly = SampleRatio.start((0.5, 0.5)).add((60, 40))
    after = partly.change((0.8, 0.2))
    assert after.log_e == pytest.approx(partly.log_e)
    assert after.add((80, 20)).counts == (80, 20)


def test_an_arm_of_no_share_that_gets_users_is_wrong_at_once() -> None:
    assert log_e((10, 1), (1.0, 0.0), 20) == math.inf
    assert log_e((10, 0), (1.0, 0.0), 20) == pytest.approx(0)


@pytest.mark.parametrize("shares", [(), (0.5, 0.6), (1.5, -0.5)])
def test_shares_that_are_none(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        SampleRatio.start(shares)
