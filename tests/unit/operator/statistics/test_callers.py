"""Sums by caller: what pods have counted together, and what cannot be told."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics.callers import BUCKETS, Callers, Column, Counted, Sums, Values
from modelfleet_operator.statistics.encoding import BrokenText, Reader, Writer


def sums(requests: float, errors: float = 0, bucket: int = 5, clicks: float = 0) -> Sums:
    return Sums(
        Column.of(requests, {bucket: requests}),
        Column.of(errors, {bucket: errors}),
        {"clicked": Values(Column.of(requests, {bucket: requests}), Column.of(clicks, {}), clicks)},
    )


def look(at: float, a: Sums, b: Sums, complete: bool = True, **started: float) -> Counted:
    pods = started or {"one": 0.0, "two": 0.0}
    return Counted(at, pods, {"a": a, "b": b}, ["a-1", "b-1"], complete)


def test_the_first_look_is_what_the_next_is_compared_with() -> None:
    first = Callers().add(look(10, sums(100), sums(50)))
    assert first.of("a").requests.whole == 0
    second = first.add(look(40, sums(130, 2), sums(60), one=0, two=0))
    assert second.of("a").requests.whole == 30
    assert second.of("a").errors.buckets[5] == 2
    assert second.of("b").requests.whole == 10


def test_a_pod_that_came_since_counts_from_its_first_request() -> None:
    known = Callers().add(look(10, sums(100), sums(50)))
    known = known.add(look(40, sums(120), sums(58), one=0, two=0, three=30))
    assert known.of("a").requests.whole == 20
    assert known.of("b").requests.whole == 8


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("a pod is gone", look(40, sums(70), sums(40), one=0)),
        ("a pod started again", look(40, sums(70), sums(40), one=0, three=41)),
        ("a pod is seen late", look(40, sums(300), sums(90), one=0, two=0, old=1)),
        ("a count fell", look(40, sums(110), sums(40))),
        ("other revisions", replace(look(40, sums(110), sums(60)), revisions=["a-2", "b-1"])),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_came_before_a_change_of_pods_is_left_out_for_every_arm(
    name: str, now: Counted
) -> None:
    known = Callers().add(look(0.5, sums(90), sums(45))).add(look(10, sums(100), sums(50)))
    after = known.add(now)
    assert after.totals == known.totals, name
    more = {arm: each + sums(7) for arm, each in now.arms.items()}
    following = after.add(replace(now, at=70, arms=more))
    assert following.of("a").requests.whole == known.of("a").requests.whole + 7
    assert following.of("b").requests.whole == known.of("b").requests.whole + 7


def test_a_pod_that_does_not_answer_is_waited_for() -> None:
    known = Callers().add(look(10, sums(100), sums(50)))
    assert known.add(look(40, sums(60), sums(20), complete=False)) == known
    assert known.add(look(70, sums(130), sums(70))).of("a").requests.whole == 30


def test_values_may_fall_and_counts_may_not() -> None:
    known = Callers().add(look(10, sums(100, clicks=-3), sums(50)))
    known = known.add(look(40, sums(110, clicks=-9.5), sums(55)))
    assert known.of("a").values["clicked"].total.whole == -6.5


columns = st.builds(
    Column.of,
    st.floats(0, 1e9),
    st.dictionaries(st.integers(0, 1023), st.floats(-1e9, 1e9) | st.integers(-5, 10**9)),
)


@given(columns)
def test_a_column_comes_back_from_its_text(column: Column) -> None:
    writer = Writer("col", 1)
    column.write(writer)
    assert Column.read(Reader(writer.text(), "col", 1)) == column


def test_everything_comes_back_from_its_text() -> None:
    known = Callers().add(look(10, sums(1), sums(5))).add(look(40, sums(9, clicks=0.1), sums(5)))
    assert Callers.from_text(known.to_text()) == known
    with pytest.raises(BrokenText):
        Callers.from_text(known.to_text()[:-8])


def test_many_buckets_are_folded() -> None:
    column = Column.of(9, {3: 2, 3 + BUCKETS: 4, 7: 1})
    assert column.buckets[3] == 6
    assert column.known == 2
