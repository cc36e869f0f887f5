"""Who may wait, for how long, and who is told when their time is over."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import Batching
from modelfleet_runtime.batching.deadlines import Deadlines
from modelfleet_runtime.batching.entry import Entry
from modelfleet_runtime.batching.levels import Levels
from modelfleet_runtime.batching.queue import Bounds, Queue
from modelfleet_runtime.batching.rules import NEVER
from modelfleet_runtime.errors import BadInput, QueueFull
from tests.unit.runtime.builders import entry


def sized(size: int, level: int = 1) -> Entry:
    made = entry({"x": np.zeros((1, 1), np.float32)}, level=level)
    made.size = size
    return made


@pytest.mark.parametrize(
    ("bounds", "waiting", "comes", "message"),
    [
        (Bounds(2), [(1, 1), (1, 1)], (1, 1), "the queue is full: 2 requests wait"),
        (Bounds(9, size=100), [(60, 1)], (41, 1), "the queue is full: 60 bytes wait"),
        (
            Bounds(9, of_level={2: 1}),
            [(1, 2), (1, 1)],
            (1, 2),
            "the queue is full: 1 requests of priority 2 wait",
        ),
    ],
)
def test_a_full_queue_says_which_bound_it_is(
    bounds: Bounds, waiting: list[tuple[int, int]], comes: tuple[int, int], message: str
) -> None:
    queue = Queue(bounds, ranked=True)
    for size, level in waiting:
        queue.add(sized(size, level))
    with pytest.raises(QueueFull) as refused:
        queue.add(sized(*comes))
    assert refused.value.message == message
    assert queue.depth == len(waiting)


def test_one_larger_than_all_that_may_wait_is_taken_while_nobody_waits() -> None:
    queue = Queue(Bounds(9, size=100))
    queue.add(sized(1000))
    with pytest.raises(QueueFull):
        queue.add(sized(1))


def test_what_is_ahead_of_a_level_does_not_count_those_behind_it() -> None:
    queue = Queue(Bounds(99), ranked=True)
    for _ in range(8):
        queue.add(sized(1, level=3))
    queue.add(sized(1, level=2))
    assert [queue.batches_before(level, 4) for level in (1, 2, 3)] == [0, 1, 2]


@given(st.lists(st.tuples(st.sampled_from("adp"), st.integers(0, 30)), max_size=200))
def test_deadlines_come_in_order_and_only_for_those_who_are_open(
    steps: list[tuple[str, int]],
) -> None:
    open_ones: dict[int, Entry] = {}
    deadlines = Deadlines()
    for what, number in steps:
        if what == "a":
            made = entry({"x": np.zeros((1, 1), np.float32)}, deadline=float(number))
            open_ones[made.number] = made
            deadlines.add(made)
        elif what == "d" and open_ones:
            gone = open_ones.pop(list(open_ones)[number % len(open_ones)])
            deadlines.discard(gone)
            deadlines.discard(gone)
        elif what == "p":
            while (late := deadlines.pop(float(number))) is not None:
                assert late.leave_at == min(one.leave_at for one in open_ones.values())
                deadlines.discard(open_ones.pop(late.number))
            assert all(one.leave_at > number for one in open_ones.values())
        assert len(deadlines) == len(open_ones)
        assert list(deadlines) == list(open_ones.values())
        assert deadlines.next() == min((e.leave_at for e in open_ones.values()), default=NEVER)


def test_deadlines_keep_little_of_those_who_were_answered_long_before() -> None:
    deadlines = Deadlines()
    for _ in range(5000):
        made = entry({"x": np.zeros((1, 1), np.float32)})
        deadlines.add(made)
        deadlines.discard(made)
    assert len(deadlines._heap) < 500


def levels(**priorities: object) -> Levels:
    asked = {"queueTimeout": "2s", "onQueueTimeout": "Defer", "priorities": priorities}
    return Levels(Batching.model_validate(asked))


def test_a_level_has_its_own_bounds_and_else_those_of_all() -> None:
    made = levels(
        levels=3,
        default=2,
        queues=[
            {"level": 1, "queueTimeout": "1s"},
            {"level": 3, "onQueueTimeout": "Refuse", "queueSize": 7},
        ],
    )
    assert [made.of(priority) for priority in (0, 1, 2, 3)] == [2, 1, 2, 3]
    assert [made.wait(level) for level in (1, 2, 3)] == [1.0, 2.0, 2.0]
    assert [made.defers(level) for level in (1, 2, 3)] == [True, True, False]
    assert made.bounds == {3: 7}


def test_a_level_that_is_not_there_is_refused_and_without_levels_all_are_one() -> None:
    with pytest.raises(BadInput, match=r"priority 4 .* from 1 \(first\) to 3"):
        levels(levels=3, default=2).of(4)
    plain = Levels(Batching())
    assert plain.of(4) == plain.of(0) == 1
    assert plain.wait(1) == NEVER
    assert not plain.ranked


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"maxSize": 8, "preferredSizes": [4, 16]}, "preferredSizes name 16"),
        ({"priorities": {"levels": 2, "default": 3}}, "default is 3, and there are 2 levels"),
        (
            {"priorities": {"levels": 2, "default": 1, "queues": [{"level": 3}]}},
            "queues name level 3 of 2 levels",
        ),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(
    asked: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Batching.model_validate(asked)
