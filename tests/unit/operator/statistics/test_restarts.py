"""Many starts held in one set of sums are what they would be one by one."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics import restarts
from modelfleet_operator.statistics.mixture import (
    Side,
    TwoArms,
    against_limit,
    against_stable,
    log_e,
    log_sum,
)
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.restarts import FIRST, Restarting


def one_by_one(tallies: list[Tally], limit: float, every: int) -> float:
    """The definition: each start apart, with its part of the stake; what is kept back lies idle."""
    starts = list(range(0, len(tallies), every))
    parts = [FIRST, *((1 - FIRST) / (j * (j + 1)) for j in range(1, len(starts)))]
    logs = [
        math.log(part) + log_e(Side.WORSE, limit, sum(tallies[start:], Tally()))
        for start, part in zip(starts, parts, strict=True)
    ]
    return log_sum([*logs, math.log(1 - sum(parts))])


@given(st.lists(st.integers(0, 10), min_size=1, max_size=14))
def test_the_sum_is_that_of_the_single_starts(failures: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restarts, "BLOCKS", 3)
        tallies = [Tally(10, x) for x in failures]
        summed = Restarting()
        for tally in tallies:
            summed = summed.add(against_limit(Side.WORSE, 0.1, tally))
        assert summed.log_e == pytest.approx(one_by_one(tallies, 0.1, 3))


def test_starting_again_is_still_a_fair_bet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restarts, "BLOCKS", 2)
    limit, expected = 0.3, 0.0
    for ends in itertools.product((0, 1), repeat=9):
        process, chance = Restarting(), 1.0
        for failed in ends:
            process = process.add(against_limit(Side.WORSE, limit, Tally(1, failed)))
            chance *= limit if failed else 1 - limit
        expected += chance * math.exp(process.log_e)
    assert expected == pytest.approx(1)


def test_at_the_beginning_nothing_is_won_or_lost() -> None:
    assert Restarting().log_e == pytest.approx(0)


def test_a_break_is_found_after_good_times_that_a_single_process_would_remember() -> None:
    good = Block(Tally(250, 2), Tally(4750, 48))
    bad = Block(Tally(25, 2), Tally(475, 5))
    single, again = TwoArms(Side.WORSE), Restarting()
    for block in [good] * 300 + [bad] * 40:
        single = single.add(block)
        again = again.add(against_stable(Side.WORSE, 1.0, block))
    assert single.log_e() < 0
    assert again.log_e > math.log(1000)
