"""How weights move: the laws, and the drawn examples."""

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.router.intervals import MOST, first, moved
from modelfleet_operator.router.routes import weights
from modelfleet_operator.router.site import WHOLE, Intervals
from tests.unit.operator.router.builders import split

NAMES = ("a", "b", "c", "d")


@st.composite
def shares(draw: st.DrawFn, names: tuple[str, ...] = NAMES) -> dict[str, int]:
    cuts = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=len(names) - 1,
                                max_size=len(names) - 1)))  # fmt: skip
    bounds = [0, *cuts, WHOLE]
    return {name: high - low for name, low, high in zip(names, bounds, bounds[1:], strict=False)}


def movers(before: Intervals, after: Intervals) -> dict[tuple[str, str], int]:
    """On how many of the 10000 places another revision is found, by the old and the new one."""
    ends = [list(accumulate(each.parts for each in line)) for line in (before, after)]
    cuts = sorted({0, *ends[0], *ends[1]})
    found: dict[tuple[str, str], int] = {}
    for low, high in pairwise(cuts):
        old = before[bisect_right(ends[0], low)].revision
        new = after[bisect_right(ends[1], low)].revision
        if old != new:
            found[old, new] = found.get((old, new), 0) + high - low
    return found


def shrinking(before: Mapping[str, int], after: Mapping[str, int]) -> int:
    return sum(max(0, parts - after.get(name, 0)) for name, parts in before.items())


@given(st.lists(shares(), min_size=2, max_size=8))
def test_only_those_move_who_must_and_only_from_who_shrinks_to_who_grows(
    steps: list[dict[str, int]],
) -> None:
    line = first(steps[0])
    for before, after in pairwise(steps):
        now = moved(line, after)
        assert weights(now) == {name: parts for name, parts in after.items() if parts}
        assert sum(each.parts for each in now) == WHOLE
        who = movers(line, now)
        assert sum(who.values()) == shrinking(before, after)
        for old, new in who:
            assert after[old] < before[old]
            assert after[new] > before[new]
        line = now


@given(st.lists(shares(), min_size=2, max_size=60))
def test_the_line_stays_short_and_whole(steps: list[dict[str, int]]) -> None:
    line = first(steps[0])
    for after in steps[1:]:
        line = moved(line, after, most=8)
        assert len(line) <= 8
        assert weights(line) == {name: parts for name, parts in after.items() if parts}
        assert all(left.revision != right.revision
                   for left, right in pairwise(line))  # fmt: skip


@given(st.lists(st.integers(0, WHOLE), min_size=2, max_size=12))
def test_with_two_arms_there_is_one_boundary_and_a_ramp_moves_nobody_back(
    ramp: list[int],
) -> None:
    line = first({"b": ramp[0], "a": WHOLE - ramp[0]})
    for parts in ramp[1:]:
        now = moved(line, {"b": parts, "a": WHOLE - parts})
        assert len(now) <= 2
        grows = parts >= weights(line).get("b", 0)
        assert not movers(line, now) or movers(line, now).keys() == (
            {("a", "b")} if grows else {("b", "a")}
        )
        line = now


@given(shares())
def test_the_same_weights_move_nothing(wanted: dict[str, int]) -> None:
    line = first(wanted)
    assert moved(line, wanted) == line


def test_a_third_arm_takes_from_the_one_that_shrinks_and_not_from_its_neighbour() -> None:
    """b, c, a with 10/10/80 to 10/30/60: cumulative weights alone would move b's callers too."""
    before = split(b=1000, c=1000, a=8000)
    wanted = {"digits-b": 1000, "digits-c": 3000, "digits-a": 6000}
    assert moved(before, wanted) == split(b=1000, c=3000, a=6000)
    other = {"digits-b": 3000, "digits-c": 1000, "digits-a": 6000}
    assert movers(before, moved(before, other)) == {("digits-a", "digits-b"): 2000}


def test_a_new_revision_inside_one_variant_does_not_touch_the_other_variants_share() -> None:
    before = split(a=8000, b=2000)
    after = moved(before, {"digits-a": 6000, "digits-c": 2000, "digits-b": 2000})
    assert movers(before, after) == {("digits-a", "digits-c"): 2000}


def test_too_many_pieces_are_put_in_order_again() -> None:
    line = first({"a": 5000, "b": 5000})
    for turn in range(200):
        third = turn % 3
        wanted = {"a": 5000 - third * 100, "b": 4000 + third * 37, "c": 1000 + third * 63}
        line = moved(line, wanted)
        assert len(line) <= MOST


def test_a_line_that_is_not_whole_is_begun_anew() -> None:
    assert moved(split(a=5000), {"digits-a": WHOLE}) == split(a=WHOLE)
    assert moved((), {"x": 4000, "y": 6000}) == first({"x": 4000, "y": 6000})


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"a": 5000}, "the weights sum to 5000: they must sum to 10000"),
        ({"a": 10_001, "b": -1}, "b has a weight below 0"),
    ],
)
def test_weights_that_are_none_are_refused(wanted: dict[str, int], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        first(wanted)
    with pytest.raises(ValueError, match=why):
        moved(split(a=WHOLE), wanted)
