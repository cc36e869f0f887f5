"""The laws of batching, under arrivals, runs and leavers in any order; the clock is a number.

The queue, the rules and the scattering are run without a loop's time: a step is an arrival, a run
of the next batch, a leaver, or time going by.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet_runtime.batching.entry import Entry
from modelfleet_runtime.batching.queue import Bounds, Queue
from modelfleet_runtime.batching.rules import NEVER, Limits, WaitUntil
from modelfleet_runtime.batching.scatter import run_batch
from modelfleet_runtime.errors import BadInput, ClientLeft, Refusal
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import entry

POISON = -1.0

arrivals = st.tuples(st.just("arrive"), st.integers(1, 12), st.sampled_from("abc"), st.booleans())
steps = st.lists(
    st.one_of(
        arrivals,
        st.tuples(st.just("run")),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("pass"), st.floats(0.0, 2.0)),
    ),
    max_size=60,
)


def model(batch: Tensors) -> Tensors:
    """Fails on the rows of the guilty; else each row's answer is ten times the row."""
    if (batch["x"] == POISON).any():
        raise BadInput("poisoned")
    return {"y": batch["x"] * 10}


class World:
    """A queue, a clock, and what was asked of them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.queue = Queue(Bounds(1000))
        self.now = 0.0
        self.entries: list[Entry] = []
        self.guilty: set[int] = set()
        self.first_run: dict[int, int] = {}
        self.batches = 0

    def arrive(self, count: int, kin: str, guilty: bool) -> None:
        number = len(self.entries)
        values = number * 100.0 + np.arange(count)
        if guilty:
            values[-1] = POISON
            self.guilty.add(number)
        made = entry({"x": values}, self.now, self.now + 100, kin)
        self.entries.append(made)
        self.queue.add(made)

    def run(self) -> float:
        """Run the next batch, if one may go; the time at which to ask again, else now."""
        parts = self.queue.take(self.limits, self.now, idle=True)
        if isinstance(parts, WaitUntil):
            return parts.time
        self.batches += 1
        assert 1 <= sum(part.rows for part in parts) <= self.limits.max_rows
        assert len({part.entry.kin for part in parts}) == 1
        for part in parts:
            self.first_run.setdefault(self.entries.index(part.entry), self.batches)
        outcome = run_batch(model, parts)
        for part, answer in zip(parts, outcome.answers, strict=True):
            if isinstance(answer, Refusal):
                self.queue.remove(part.entry)
                part.entry.fail(answer)
            else:
                part.entry.succeed(part, answer)
        return self.now

    def leave(self, index: int) -> None:
        if self.entries:
            one = self.entries[index % len(self.entries)]
            if one.rows:
                self.queue.remove(one)
            one.fail(ClientLeft("left"))

    def drain(self) -> None:
        for _ in range(2000):
            again = self.run()
            if again == NEVER:
                return
            self.now = max(self.now, again)
        raise AssertionError("the queue is never empty: somebody starves")


@settings(max_examples=300, deadline=None)
@given(
    script=steps,
    max_rows=st.integers(1, 16),
    delay=st.sampled_from([0.0, 0.0, 0.5]),
)
def test_each_gets_its_own_rows_whatever_the_batch(
    script: list[tuple[object, ...]],
    max_rows: int,
    delay: float,
) -> None:
    world = World(Limits(max_rows, delay))
    for step in script:
        match step:
            case ("arrive", int(count), str(kin), bool(guilty)):
                world.arrive(count, kin, guilty)
            case ("run",):
                world.run()
            case ("leave", int(index)):
                world.leave(index)
            case ("pass", float(seconds)):
                world.now += seconds
    world.drain()

    assert world.queue.depth == 0
    for number, one in enumerate(world.entries):
        assert one.settled
        error = one.refusal
        if isinstance(error, ClientLeft):
            continue
        if number in world.guilty:
            assert isinstance(error, BadInput)
            continue
        assert error is None
        assert one.outputs is not None
        np.testing.assert_array_equal(one.outputs["y"], one.tensors["x"] * 10)


@settings(max_examples=100, deadline=None)
@given(
    script=st.lists(st.one_of(arrivals, st.tuples(st.just("run"))), max_size=60),
    max_rows=st.integers(1, 16),
)
def test_within_a_kin_nobody_overtakes(script: list[tuple[object, ...]], max_rows: int) -> None:
    world = World(Limits(max_rows))
    for step in script:
        match step:
            case ("arrive", int(count), str(kin), bool()):
                world.arrive(count, kin, False)
            case ("run",):
                world.run()
    world.drain()
    for kin in "abc":
        turns = [world.first_run[n] for n, e in enumerate(world.entries) if e.kin == kin]
        assert turns == sorted(turns)


@settings(max_examples=50, deadline=None)
@given(flood=st.integers(1, 40), max_rows=st.integers(1, 8))
def test_a_flood_of_one_kin_does_not_starve_another(flood: int, max_rows: int) -> None:
    world = World(Limits(max_rows))
    for _ in range(flood):
        world.arrive(1, "a", False)
    world.now += 1
    world.arrive(1, "b", False)
    quiet = len(world.entries) - 1
    before = world.batches
    # The flood goes on: more arrives before every run.
    for _ in range(flood + 1):
        world.now += 1
        world.arrive(max_rows, "a", False)
        world.run()
        if world.entries[quiet].settled:
            break
    assert world.entries[quiet].settled
    assert world.batches - before <= -(-flood // max_rows) + 1
