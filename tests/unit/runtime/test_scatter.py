"""A batch that fails: how many runs find the guilty, and what memory teaches."""

import math
from collections.abc import Sequence, Set

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.batching.padding import Padding
from modelfleet_runtime.batching.room import PATIENCE, Room
from modelfleet_runtime.batching.scatter import MOST_CRASHES, Run, run_batch
from modelfleet_runtime.errors import BadInput, EngineCrashed, EngineDead, OutOfMemory, Refusal
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import entry


def parts(*rows: int) -> list[Part]:
    """A whole request for each number of rows, filled with its place."""
    entries = [entry({"x": np.full((n, 1), place, float)}) for place, n in enumerate(rows)]
    return [one.cut(one.rows) for one in entries]


@given(n=st.integers(2, 64), guilty=st.sets(st.integers(0, 63)))
def test_the_guilty_fail_alone_within_a_bound_of_runs(n: int, guilty: set[int]) -> None:
    runs = 0

    def run(batch: Tensors) -> Tensors:
        nonlocal runs
        runs += 1
        if guilty & set(batch["x"].ravel().astype(int).tolist()):
            raise BadInput("poisoned")
        return {"y": batch["x"]}

    outcome = run_batch(run, parts(*[1] * n))
    for place, answer in enumerate(outcome.answers):
        if place in guilty:
            assert isinstance(answer, BadInput)
        else:
            assert not isinstance(answer, Exception)
            assert answer["y"].item() == place
    assert runs <= n + 2 * math.ceil(math.log2(n)) + 1


def test_one_guilty_of_32_costs_few_runs() -> None:
    runs = 0

    def run(batch: Tensors) -> Tensors:
        nonlocal runs
        runs += 1
        if 13 in batch["x"]:
            raise BadInput("poisoned")
        return {"y": batch["x"]}

    run_batch(run, parts(*[1] * 32))
    assert runs == 11


@given(rows=st.lists(st.integers(1, 9), min_size=1, max_size=12), memory=st.integers(1, 8))
def test_out_of_memory_halves_until_it_fits(rows: list[int], memory: int) -> None:
    """A single request too: its rows are run apart and come back together."""

    def run(batch: Tensors) -> Tensors:
        if len(batch["x"]) > memory:
            raise OutOfMemory("no")
        return {"y": batch["x"]}

    outcome = run_batch(run, parts(*rows))
    for place, (count, answer) in enumerate(zip(rows, outcome.answers, strict=True)):
        assert not isinstance(answer, Exception)
        assert answer["y"].tolist() == [[place]] * count
    assert bool(outcome.no_memory) == (sum(rows) > memory)


def test_no_memory_for_one_row_is_said() -> None:
    def run(_: Tensors) -> Tensors:
        raise OutOfMemory("no")

    outcome = run_batch(run, parts(1, 2))
    assert all(isinstance(answer, OutOfMemory) for answer in outcome.answers)


def test_a_dead_engine_is_not_asked_again() -> None:
    runs = 0

    def run(_: Tensors) -> Tensors:
        nonlocal runs
        runs += 1
        raise EngineDead("the GPU is gone")

    outcome = run_batch(run, parts(1, 1, 1))
    assert outcome.dead == "the GPU is gone"
    assert [type(answer) for answer in outcome.answers] == [EngineDead] * 3
    assert runs == 1


def crashing(guilty: Set[int], refused: Set[int] = frozenset()) -> tuple[Run, list[int]]:
    """A run that takes its process along, and the rows of each that did."""
    crashes: list[int] = []

    def run(batch: Tensors) -> Tensors:
        members = set(batch["x"].ravel().astype(int).tolist())
        if guilty & members:
            crashes.append(len(batch["x"]))
            raise EngineCrashed("gone")
        if refused & members:
            raise BadInput("poisoned")
        return {"y": batch["x"]}

    return run, crashes


@pytest.mark.parametrize("guilty", range(8))
def test_one_who_takes_the_process_along_costs_two_and_half_of_the_batch(guilty: int) -> None:
    run, crashes = crashing({guilty})
    outcome = run_batch(run, parts(*[1] * 8))
    failed = [isinstance(answer, EngineCrashed) for answer in outcome.answers]
    assert failed == [place // 4 == guilty // 4 for place in range(8)]
    assert crashes == [8, 4]


@given(
    n=st.integers(1, 40),
    guilty=st.sets(st.integers(0, 39)),
    refused=st.sets(st.integers(0, 39)),
)
def test_a_batch_costs_no_more_than_three_processes(
    n: int, guilty: set[int], refused: set[int]
) -> None:
    run, crashes = crashing(guilty, refused)
    outcome = run_batch(run, parts(*[1] * n))
    assert len(crashes) <= MOST_CRASHES
    assert len(outcome.answers) == n
    for place, answer in enumerate(outcome.answers):
        if not isinstance(answer, Refusal):
            assert place not in guilty | refused
            assert answer["y"].item() == place


def test_who_left_in_the_meantime_is_not_run_alone() -> None:
    batch = parts(1, 1, 1)
    seen: list[list[float]] = []

    def run(tensors: Tensors) -> Tensors:
        seen.append(tensors["x"].ravel().tolist())
        if len(seen) == 1:
            batch[2].entry.fail(BadInput("left"))
        raise BadInput("no")

    run_batch(run, batch)
    assert [2.0] not in seen


def test_a_half_that_has_left_is_not_run_again() -> None:
    batch = parts(1, 1, 1, 1)
    runs: list[int] = []

    def run(tensors: Tensors) -> Tensors:
        runs.append(len(tensors["x"]))
        if len(runs) == 1:
            for part in batch[:2]:
                part.entry.fail(BadInput("left"))
            raise BadInput("no")
        return tensors

    run_batch(run, batch)
    assert runs == [4, 2]


def test_rows_that_cannot_be_told_apart_are_not_put_together_from_halves() -> None:
    (one,) = parts(4)

    def run(tensors: Tensors) -> Tensors:
        if len(tensors["x"]) > 2:
            raise OutOfMemory("no")
        return {"y": tensors["x"].sum(keepdims=True)}

    (answer,) = run_batch(run, [one]).answers
    assert isinstance(answer, OutOfMemory)


def no_memory(*_: object, **__: object) -> None:
    raise MemoryError


def test_no_memory_to_put_halves_together_is_that_requests_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(tensors: Tensors) -> Tensors:
        if len(tensors["x"]) > 2:
            raise OutOfMemory("no")
        return {"y": tensors["x"]}

    (one,) = parts(4)
    monkeypatch.setattr(np, "concatenate", no_memory)
    (answer,) = run_batch(run, [one]).answers
    assert isinstance(answer, OutOfMemory)


def test_no_memory_to_put_pieces_together_is_that_requests_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = entry({"x": np.zeros((4, 1))})
    first, last = one.cut(2), one.cut(2)
    monkeypatch.setattr(np, "concatenate", no_memory)
    assert not one.succeed(first, {"y": np.zeros((2, 1))})
    assert one.succeed(last, {"y": np.zeros((2, 1))})
    assert isinstance(one.refusal, OutOfMemory)


def test_no_memory_to_cut_a_padded_batch_halves_it() -> None:
    class NoRoom(Padding):
        def cut(self, answers: object, parts: Sequence[Part], batch: Tensors) -> None:
            if len(parts) > 1:
                raise MemoryError

    padding = NoRoom({"x": 0}, {"x": ((1, "n"),)}, {}, ())
    members = [entry({"x": np.ones((1, n), np.float32)}) for n in (2, 3)]
    outcome = run_batch(lambda batch: {"y": batch["x"]}, [e.cut(1) for e in members], padding)
    assert [answer["y"].shape for answer in outcome.answers if isinstance(answer, dict)] == [
        (1, 2),
        (1, 3),
    ]
    assert outcome.no_memory == [2]


@pytest.mark.parametrize(
    ("most", "out", "then"),
    [
        (32, [32], 16),
        (32, [32, 16], 16),
        (32, [7], 3),
        (2, [2], 1),
        (32, [1], 32),
        (32, [32, 16, 8, 4, 2, 1], 32),
    ],
)
def test_room_shrinks_below_what_failed_unless_one_row_did(
    most: int, out: list[int], then: int
) -> None:
    room = Room(most)
    room.ran_out(out)
    assert room.rows == then


def test_room_grows_back_after_many_batches() -> None:
    room = Room(32)
    room.ran_out([32])
    room.ran_out([16])
    assert room.rows == 8
    sizes = []
    for _ in range(2 * PATIENCE + 5):
        room.succeeded()
        sizes.append(room.rows)
    assert sizes == [8] * (PATIENCE - 1) + [16] * PATIENCE + [32] * 6
