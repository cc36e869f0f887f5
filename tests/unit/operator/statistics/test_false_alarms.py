"""A short form of `make bench-analysis`: the gate's own classes, a look every 50 requests."""

import math
from random import Random

import pytest

from modelfleet_operator.statistics.checks import Relative
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.policy import Margins

NO_MARGIN = Margins(ratio=1.0)
PAIRS, LOOKS, PER_LOOK = 120, 60, 50
RAMP = (0.05, 0.2, 0.5)


def stopped(seed: int, share: float, stable: float, candidate: float, drift: float = 1) -> int:
    """How many of the pairs are ever found worse; share 0: a ramp."""
    rng, found = Random(seed), 0
    for _ in range(PAIRS):
        check = Relative.start(NO_MARGIN)
        for look in range(LOOKS):
            factor = drift ** (look / LOOKS)
            part = share or RAMP[look * len(RAMP) // LOOKS]
            n = sum(rng.random() < part for _ in range(PER_LOOK))
            x = sum(rng.random() < candidate * factor for _ in range(n))
            y = sum(rng.random() < stable * factor for _ in range(PER_LOOK - n))
            check = check.add(Block(Tally(n, x), Tally(PER_LOOK - n, y)), 10, 1)
            if check.harm >= math.log(20):
                found += 1
                break
    return found


@pytest.mark.parametrize(
    ("share", "rate", "drift"),
    [(0.05, 0.01, 1), (0.5, 0.05, 1), (0, 0.004, 10), (0, 0.04, 0.1)],
    ids=["5/95 at 1 %", "50/50 at 5 %", "a ramp while errors rise", "a ramp while errors fall"],
)
def test_equal_arms_are_stopped_in_at_most_five_percent(
    share: float, rate: float, drift: float
) -> None:
    assert stopped(11, share, rate, rate, drift) <= 0.05 * PAIRS


def test_a_candidate_that_is_much_worse_is_stopped() -> None:
    assert stopped(12, 0.5, 0.01, 0.06) >= 0.95 * PAIRS
