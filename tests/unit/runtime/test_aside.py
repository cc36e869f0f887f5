"""Work in threads: what is held for it is given back when it has ended, and not before."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from modelfleet_runtime.aside import THREADS, Aside
from modelfleet_runtime.errors import BadInput, DeadlinePassed, QueueFull
from modelfleet_runtime.incoming import Bodies, Share
from modelfleet_runtime.limits import RequestLimits

LATER = 60.0


def aside() -> tuple[Aside, Bodies]:
    bodies = Bodies(RequestLimits(body_bytes=1000, bodies_bytes=1000))
    return Aside(bodies), bodies


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def test_the_result_comes_back_and_nothing_is_held_any_more() -> None:
    here, bodies = aside()
    assert await here.do(lambda: bodies.held, 100, time.monotonic() + LATER) == 100
    assert bodies.held == 0


async def test_what_it_raises_comes_back() -> None:
    here, bodies = aside()

    def work() -> None:
        raise BadInput("no")

    with pytest.raises(BadInput, match="no"):
        await here.do(work, 100, time.monotonic() + LATER)
    assert bodies.held == 0


async def test_without_room_it_is_not_begun() -> None:
    here, bodies = aside()
    began = threading.Event()
    Share(bodies).hold(1)
    with pytest.raises(QueueFull):
        await here.do(began.set, 1000, time.monotonic() + LATER)
    assert (began.is_set(), bodies.held) == (False, 1)


@pytest.mark.parametrize("how", ["late", "cancelled"])
async def test_a_thread_that_nobody_waits_for_holds_what_it_has(how: str) -> None:
    here, bodies = aside()
    began, go = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert go.wait(10)

    time_left = 0.05 if how == "late" else LATER
    task = asyncio.create_task(here.do(work, 100, time.monotonic() + time_left))
    assert await asyncio.to_thread(began.wait, 10)
    if how == "late":
        with pytest.raises(DeadlinePassed):
            await task
    else:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert bodies.held == 100
    go.set()
    await until(lambda: bodies.held == 0)


async def test_what_has_not_begun_in_time_is_not_begun() -> None:
    here, bodies = aside()
    go, begun = threading.Event(), threading.Event()
    before = [
        asyncio.create_task(here.do(lambda: go.wait(10), 100, time.monotonic() + LATER))
        for _ in range(THREADS)
    ]
    await until(lambda: bodies.held == 100 * THREADS)
    with pytest.raises(DeadlinePassed):
        await here.do(begun.set, 100, time.monotonic() + 0.05)
    await until(lambda: bodies.held == 100 * THREADS)
    go.set()
    await asyncio.gather(*before)
    assert (begun.is_set(), bodies.held) == (False, 0)


async def test_a_coroutine_that_nobody_awaits_is_closed() -> None:
    here, bodies = aside()
    go = threading.Event()

    async def never() -> None: ...

    made = never()

    def work() -> Any:
        assert go.wait(10)
        return made

    with pytest.raises(DeadlinePassed):
        await here.do(work, 100, time.monotonic() + 0.05)
    go.set()
    await until(lambda: bodies.held == 0)
    await until(lambda: inspect.getcoroutinestate(made) == inspect.CORO_CLOSED)
