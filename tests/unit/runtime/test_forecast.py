"""Who is refused because their turn would come too late."""

import numpy as np
import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.batching.forecast import Forecast
from modelfleet_runtime.errors import ClientLeft, QueueFull
from tests.unit.runtime.test_batcher_laws import World, check


def world() -> World:
    made = World(Batching.model_validate({"maxSize": 2, "queueSize": 1000}), 1, 1000)
    for _ in range(5):  # batches of one second
        made.arrive(1, 1, "good", 60.0, 0)
        made.loop.settle()
        made.loop.now += 1.0
        made.worker.run()
        made.loop.settle()
    return made


def submit(to: World, time: float) -> None:
    now = to.loop.now
    to.batcher.submit({"x": np.ones((1, 1), np.float32)}, now, now + time, to.done)


def test_one_whose_answer_would_be_late_is_refused_at_once() -> None:
    to = world()
    for _ in range(9):
        submit(to, 60.0)
        to.loop.settle()
    # One batch runs and four are ahead.
    with pytest.raises(QueueFull, match="about 6 s"):
        submit(to, 5.0)
    submit(to, 7.0)
    to.drain()
    check(to, (ClientLeft,))


def test_an_idle_engine_refuses_nobody() -> None:
    to = world()
    submit(to, 0.1)
    assert to.batcher.open == 1


def test_a_first_one_in_line_is_let_in_whatever_its_time() -> None:
    to = world()
    submit(to, 60.0)
    to.loop.settle()
    submit(to, 0.1)
    assert to.batcher.open == 2


def test_one_slow_batch_refuses_nobody() -> None:
    forecast = Forecast(slots=1)
    for _ in range(20):
        forecast.ran(0.01)
    forecast.ran(10.0)
    assert forecast.answered_in(0) < 3.0
    forecast.ran(0.01)
    assert forecast.answered_in(0) == 0.01


def test_several_slots_share_what_is_ahead() -> None:
    forecast = Forecast(slots=4)
    forecast.ran(1.0)
    assert [forecast.answered_in(n) for n in (0, 3, 4, 8)] == [1.0, 1.0, 2.0, 3.0]
