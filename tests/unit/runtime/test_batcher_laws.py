"""The laws of the whole batcher, under arrivals, leavers, deadlines and failures in any order.

The loop's time and the engine's turns are the test's, so a thousand of mixes take seconds, and each
can be run again.
"""

from typing import Any, cast

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet_contract import Batching
from modelfleet_runtime.batching.batcher import Batcher
from modelfleet_runtime.batching.entry import Entry
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.errors import (
    BadInput,
    ClientLeft,
    DeadlinePassed,
    EngineBroken,
    NotReady,
    OutOfMemory,
    QueueFull,
    Refusal,
)
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import spec
from tests.unit.runtime.virtual import ManualWorker, VirtualLoop

WIDE = Signature((spec("x", DType.FP32, -1, -1),), (spec("y", DType.FP32, -1, -1),), batched=True)
POISON = -1.0
MEMORY = 6
"""Rows that the engine has memory for."""

configurations = st.fixed_dictionaries(
    {},
    optional={
        "maxSize": st.integers(1, 12),
        "maxDelay": st.sampled_from(["0s", "500ms"]),
        "preferredSizes": st.lists(st.integers(1, 12), max_size=3, unique=True),
        "queueSize": st.integers(1, 20),
        "queueBytes": st.integers(50, 2000),
        "oversize": st.sampled_from(["Split", "Refuse"]),
        "padding": st.just([{"input": "x", "value": 0}]),
        "priorities": st.just(
            {
                "levels": 3,
                "default": 2,
                "queues": [
                    {"level": 2, "timeout": "700ms", "onTimeout": "Defer"},
                    {"level": 3, "timeout": "300ms", "queueSize": 4},
                ],
            }
        ),
    },
)
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("arrive"),
            st.integers(1, 20),
            st.integers(1, 20),
            st.sampled_from(["good", "good", "good", "poison"]),
            st.sampled_from([0.4, 1.0, 30.0]),
            st.integers(0, 3),
        ),
        st.tuples(st.just("run"), st.integers(0, 2)),
        st.tuples(st.just("turn")),
        st.tuples(st.just("leave"), st.integers(0, 60)),
        st.tuples(st.just("pass"), st.floats(0.0, 1.5)),
    ),
    max_size=80,
)


class World:
    def __init__(self, batching: Batching, slots: int, memory: int) -> None:
        self.batching = batching
        self.loop = VirtualLoop()
        self.worker = ManualWorker()
        self.memory = memory
        self.running = 0
        self.metrics = Metrics("m")
        self.batcher = Batcher(
            self.model,
            WIDE,
            batching,
            self.metrics,
            cast(Any, self.worker),
            cast(Any, self.loop),
            Pace(computes=False),
            now=self.loop.time,
            slots=slots,
        )
        self.slots = slots
        self.asked: list[tuple[Entry, Tensors, bool]] = []
        self.settled: dict[int, int] = {}

    def model(self, batch: Tensors) -> Tensors:
        """Ten times each value. Fails on the guilty, and on more rows than it has memory for."""
        x = batch["x"]
        assert len(x) >= 1
        if len(x) > self.memory:
            raise OutOfMemory("too many rows")
        if (x == POISON).any():
            raise BadInput("poisoned")
        return {"y": x * 10}

    def done(self, entry: Entry) -> None:
        assert (entry.outputs is None) != (entry.refusal is None)
        self.settled[id(entry)] = self.settled.get(id(entry), 0) + 1

    def arrive(self, rows: int, width: int, kind: str, time: float, priority: int) -> None:
        number = len(self.asked) + 1
        x = (np.full((rows, width), number) + np.arange(rows)[:, None] / 100).astype(np.float32)
        if kind == "poison":
            x[-1] = POISON
        now = self.loop.now
        before = self.batcher.open
        try:
            entry = self.batcher.submit({"x": x}, now, now + time, self.done, priority)
        except (QueueFull, BadInput) as refusal:
            assert self.batcher.open == before
            if isinstance(refusal, BadInput):
                assert rows > self.batching.max_size or priority
            return
        assert id(entry) not in self.settled
        self.asked.append((entry, {"x": x}, kind == "poison"))

    def step(self, step: tuple[Any, ...]) -> None:
        match step:
            case ("arrive", rows, width, kind, time, priority):
                self.arrive(rows, width, kind, time, priority)
            case ("run", index):
                if self.worker.jobs:
                    self.worker.run(index % len(self.worker.jobs))
            case ("turn",):
                self.loop.settle()
            case ("leave", index):
                if self.asked:
                    self.batcher.leave(self.asked[index % len(self.asked)][0])
            case ("pass", seconds):
                self.loop.now += seconds
        assert len(self.worker.jobs) <= self.slots

    def drain(self) -> None:
        for _ in range(5000):
            self.loop.settle()
            if self.worker.jobs:
                self.worker.run()
            elif self.batcher.open:
                following = self.loop.next_timer()
                assert following is not None, "requests wait and nothing will ever come of it"
                self.loop.now = max(self.loop.now, following)
            else:
                return
        raise AssertionError("some requests are never answered")


def check(world: World, ended: tuple[type[Refusal], ...]) -> None:
    for entry, tensors, guilty in world.asked:
        assert world.settled[id(entry)] == 1
        refusal = entry.refusal
        if isinstance(refusal, ended):
            continue
        if guilty:
            assert isinstance(refusal, (BadInput, OutOfMemory, EngineBroken))
            continue
        if isinstance(refusal, OutOfMemory):
            assert world.memory < 1
            continue
        assert refusal is None, refusal
        assert entry.outputs is not None
        np.testing.assert_array_equal(entry.outputs["y"], tensors["x"] * 10)
    assert world.batcher._queue.depth == 0
    assert world.batcher._queue.size == 0
    assert world.batcher._queue.rows == 0
    assert world.batcher._queue.kins == 0
    assert world.batcher.open == 0


@settings(max_examples=600, deadline=None)
@given(
    script=steps,
    batching=configurations,
    slots=st.integers(1, 3),
    memory=st.sampled_from([1000, 1000, MEMORY, 1]),
)
def test_everybody_is_answered_once_with_their_own_rows(
    script: list[tuple[Any, ...]], batching: dict[str, Any], slots: int, memory: int
) -> None:
    world = World(Batching.model_validate(batching), slots, memory)
    for step in script:
        world.step(step)
    world.drain()
    check(world, (ClientLeft, DeadlinePassed))


@settings(max_examples=200, deadline=None)
@given(script=steps, batching=configurations, slots=st.integers(1, 3), at=st.integers(0, 80))
def test_closing_in_the_middle_answers_everybody(
    script: list[tuple[Any, ...]], batching: dict[str, Any], slots: int, at: int
) -> None:
    world = World(Batching.model_validate(batching), slots, 1000)
    for step in script[:at]:
        world.step(step)
    world.batcher.close()
    assert world.batcher.open == 0
    while world.worker.jobs:  # runs that had begun come to their end, and change nothing
        world.worker.run()
    world.loop.settle()
    check(world, (ClientLeft, DeadlinePassed, NotReady))


@settings(max_examples=100, deadline=None)
@given(flood=st.integers(2, 30), time=st.sampled_from([2.0, 8.0]))
def test_a_flood_of_the_first_level_does_not_starve_the_last(flood: int, time: float) -> None:
    """One of the last level is run once half of its time is over, however many come before it."""
    priorities = {"levels": 3, "default": 1}
    batching = {"maxSize": 2, "queueSize": 5000, "priorities": priorities}
    world = World(Batching.model_validate(batching), 1, 1000)
    world.arrive(1, 1, "good", time, 1)
    world.loop.settle()
    world.arrive(1, 1, "good", time, 3)
    last = world.asked[-1][0]
    began = world.loop.now
    while not last.settled:
        for _ in range(flood):
            world.arrive(1, 1, "good", 1000.0, 1)
        world.loop.now += 0.1
        world.worker.run()
        world.loop.settle()
    assert last.refusal is None
    assert world.loop.now - began <= time / 2 + 0.3
