"""When is a block complete?"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics.blocks import LEAST, PATIENCE, OpenBlock
from modelfleet_operator.statistics.outcomes import Block, Tally


def block(n_c: int, n_s: int, x_c: int = 0, x_s: int = 0) -> Block:
    return Block(Tally(n_c, x_c), Tally(n_s, x_s))


@pytest.mark.parametrize(
    ("n_c", "n_s", "closes"),
    [(1, 9, True), (9, 1, True), (1, 8, False), (0, 50, False), (50, 0, False), (5, 5, True)],
)
def test_it_needs_ten_requests_and_one_of_each_arm(n_c: int, n_s: int, closes: bool) -> None:
    opened, closed = OpenBlock().add(block(n_c, n_s), 10)
    assert (closed == block(n_c, n_s)) is closes
    assert opened.block == (Block() if closes else block(n_c, n_s))


def test_what_is_open_goes_into_the_next() -> None:
    opened, _ = OpenBlock().add(block(0, 40, x_s=2), 10)
    _, closed = opened.add(block(2, 30, x_c=1), 10)
    assert closed == block(2, 70, x_c=1, x_s=2)


def test_what_one_arm_saw_alone_for_too_long_is_dropped() -> None:
    opened, _ = OpenBlock().add(block(0, 40), PATIENCE - 10)
    opened, closed = opened.add(block(0, 40), 10)
    assert closed is None
    opened, closed = opened.add(block(1, 20), 10)
    assert closed == block(1, 20)
    assert opened == OpenBlock()


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 20), st.integers(1, 20)), max_size=60))
def test_nothing_is_invented_and_every_block_is_whole(
    periods: list[tuple[int, int, int]],
) -> None:
    opened, closed = OpenBlock(), []
    for n_c, n_s, seconds in periods:
        opened, done = opened.add(block(n_c, n_s, x_c=n_c // 2), seconds)
        closed += [done] if done else []
    assert all(b.comparable for b in closed)
    assert all(b.candidate.requests + b.stable.requests >= LEAST for b in closed)
    got = sum((b.candidate.requests for b in closed), opened.block.candidate.requests)
    assert got <= sum(n_c for n_c, _, _ in periods)
