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
from modelfleet_runtime.batching.rules import DEFERRED, PASSES
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


def reachable(asked: dict[str, Any]) -> list[int]:
    return [size for size in asked.get("preferredSizes", []) if size <= asked.get("maxSize", 32)]


configurations = st.fixed_dictionaries(
    {},
    optional={
        "maxSize": st.integers(1, 12),
        "maxDelay": st.sampled_from(["0s", "500ms"]),
        "preferredSizes": st.lists(st.integers(1, 12), max_size=3, unique=True),
        "queueTimeout": st.sampled_from(["200ms", "2s"]),
        "onQueueTimeout": st.sampled_from(["Refuse", "Defer"]),
        "queueSize": st.integers(1, 20),
        "queueBytes": st.integers(50, 2000),
        "oversize": st.sampled_from(["Split", "Refuse"]),
        "padding": st.just([{"input": "x", "value": 0}]),
        "priorities": st.just(
            {
                "levels": 3,
                "default": 2,
                "queues": [
                    {"level": 2, "queueTimeout": "700ms", "onQueueTimeout": "Defer"},
                    {"level": 3, "queueTimeout": "300ms", "queueSize": 4},
                ],
            }
        ),
    },
).map(lambda asked: asked | {"preferredSizes": reachable(asked)})
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


class AtOnce(Pace):
    """Every batch is run on the loop."""

    def on_loop(self, rows: int) -> bool:
        return True


class World:
    def __init__(self, batching: Batching, slots: int, memory: int, on_loop: bool = False) -> None:
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
            AtOnce(True) if on_loop else Pace(computes=False),
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
    assert not world.batcher._queue._kins
    assert world.batcher.open == 0


@settings(max_examples=600, deadline=None)
@given(
    script=steps,
    batching=configurations,
    slots=st.integers(1, 3),
    memory=st.sampled_from([1000, 1000, MEMORY, 1]),
    on_loop=st.booleans(),
)
def test_everybody_is_answered_once_with_their_own_rows(
    script: list[tuple[Any, ...]],
    batching: dict[str, Any],
    slots: int,
    memory: int,
    on_loop: bool,
) -> None:
    world = World(Batching.model_validate(batching), slots, memory, on_loop)
    for step in script:
        world.step(step)
    world.drain()
    check(world, (ClientLeft, DeadlinePassed))
    refusals = [type(entry.refusal) for entry, _, _ in world.asked]
    assert world.metrics.clients_left.value == refusals.count(ClientLeft)
    assert world.metrics.deadlines_passed.value == refusals.count(DeadlinePassed)


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
@given(
    flood=st.integers(1, 8),
    before=st.integers(0, 10),
    last=st.sampled_from([3, DEFERRED]),
    own_time=st.sampled_from([0.05, 1e6]),
)
def test_a_flood_of_the_first_level_does_not_starve_the_last(
    flood: int, before: int, last: int, own_time: float
) -> None:
    """Whoever joins with k others waiting is run within (PASSES + 1) (k + 1) batches, after the
    one that runs, whatever its level, and whatever comes later. And the time that a client gives
    itself buys it nothing."""
    asked = {
        "maxSize": 2,
        "queueSize": 5000,
        "onQueueTimeout": "Defer",
        "queueTimeout": "1ms" if last == DEFERRED else "900000s",
        "priorities": {
            "levels": 3,
            "default": 1,
            "queues": [{"level": 1, "queueTimeout": "900000s"}],
        },
    }
    world = World(Batching.model_validate(asked), 1, 1000)
    world.arrive(1, 1, "good", 1e6, 1)
    world.loop.settle()
    for _ in range(before):
        world.arrive(1, 1, "good", 1e6, 1)
    world.arrive(1, 1, "good", 1e6, 3)
    poor = world.asked[-1][0]
    batches = 0
    while not poor.settled:
        for _ in range(flood + 1):
            world.arrive(1, 1, "good", 1e6, 1)
        # Others of the poor one's level, who are in more of a hurry.
        world.arrive(1, 1, "good", own_time, 3)
        world.loop.now += 0.01
        world.worker.run()
        world.loop.settle()
        batches += 1
        assert batches <= (PASSES + 1) * (before + 1) + 1
    assert poor.refusal is None
    first = [entry for entry, _, _ in world.asked if entry.level == 1 and entry.outputs]
    assert len(first) >= min(batches, PASSES)


def test_a_lower_level_has_one_batch_of_eight_and_no_more() -> None:
    asked = {"maxSize": 1, "queueSize": 5000, "priorities": {"levels": 2, "default": 1}}
    world = World(Batching.model_validate(asked), 1, 1000)
    world.arrive(1, 1, "good", 1e6, 1)
    world.loop.settle()
    for _ in range(100):
        world.arrive(1, 1, "good", 1e6, 2)
    for _ in range(100):
        world.arrive(1, 1, "good", 1e6, 1)
    for _ in range(81):
        world.worker.run()
        world.loop.settle()
    level_of = {id(entry): entry.level for entry, _, _ in world.asked}
    assert [level_of[one] for one in world.settled] == [1] + ([1] * PASSES + [2]) * 10


def test_one_who_is_late_is_in_no_batch_though_no_timer_has_told() -> None:
    world = World(Batching.model_validate({"maxSize": 4}), 1, 1000)
    world.arrive(1, 1, "good", 10.0, 0)
    world.loop.settle()
    world.arrive(1, 2, "good", 1.0, 0)
    world.arrive(1, 2, "good", 10.0, 0)
    world.loop.now += 2.0
    world.worker.run()
    world.batcher._turn()  # before the loop's timers
    assert [type(entry.refusal) for entry, _, _ in world.asked] == [
        type(None), DeadlinePassed, type(None)
    ]  # fmt: skip
    assert world.metrics.rows.value == 2
