"""The batcher on a real loop: what is settled when, and by what. Gates instead of sleeps."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.batching.batcher import Batcher
from modelfleet_runtime.batching.entry import Entry, into
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.errors import (
    BadInput,
    ClientLeft,
    DeadlinePassed,
    EngineBroken,
    EngineDead,
    NotReady,
    OutOfMemory,
    QueueFull,
)
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.signature import Signature, Tensors
from tests.unit.runtime.builders import PIXELS, doubling, rows


class Gate:
    """An engine that waits in its run until it is let go on, and records its batches."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.batches: list[int] = []

    def __call__(self, batch: Tensors) -> Tensors:
        self.batches.append(len(batch["x"]))
        self.entered.set()
        assert self.opened.wait(10)
        return doubling()(batch)


def batcher(
    run: Callable[[Tensors], Tensors],
    signature: Signature = PIXELS,
    computes: bool = False,
    **batching: object,
) -> Batcher:
    loop = asyncio.get_running_loop()
    return Batcher(
        run,
        signature,
        Batching.model_validate(batching),
        Metrics("m"),
        Worker(loop),
        loop,
        Pace(computes),
    )


@dataclass
class Asked:
    entry: Entry
    answer: "asyncio.Future[Tensors]"


def submit(to: Batcher, tensors: Tensors, within: float = 60.0) -> Asked:
    now = time.monotonic()
    answer: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()
    return Asked(to.submit(tensors, now, now + within, into(answer)), answer)


async def until(happened: threading.Event) -> None:
    assert await asyncio.to_thread(happened.wait, 10)


async def test_what_arrives_in_one_turn_goes_together() -> None:
    sizes: list[int] = []
    to = batcher(doubling(lambda batch: sizes.append(len(batch["x"]))))
    entries = [submit(to, rows(n)) for n in range(5)]
    for number, one in enumerate(entries):
        np.testing.assert_array_equal((await one.answer)["y"], [[2 * number] * 2])
    assert sizes == [5]


async def test_a_busy_engine_lets_a_batch_grow() -> None:
    gate = Gate()
    to = batcher(gate)
    first = submit(to, rows(1))
    await until(gate.entered)
    others = [submit(to, rows(2, 3)) for _ in range(3)]
    gate.opened.set()
    await asyncio.gather(first.answer, *(one.answer for one in others))
    assert gate.batches == [1, 6]
    assert to.open == 0


async def test_more_rows_than_a_batch_may_have_come_back_whole_and_in_order() -> None:
    sizes: list[int] = []
    to = batcher(doubling(lambda batch: sizes.append(len(batch["x"]))), maxSize=4)
    one = submit(to, rows(*range(10)))
    other = submit(to, rows(77))
    np.testing.assert_array_equal((await one.answer)["y"][:, 0], 2 * np.arange(10))
    np.testing.assert_array_equal((await other.answer)["y"], [[154, 154]])
    assert sizes == [4, 4, 3]


async def test_a_full_queue_refuses_at_once() -> None:
    gate = Gate()
    to = batcher(gate, queueSize=2)
    running = submit(to, rows(1))
    await until(gate.entered)
    waiting = [submit(to, rows(1)) for _ in range(2)]
    with pytest.raises(QueueFull):
        submit(to, rows(1))
    gate.opened.set()
    await asyncio.gather(running.answer, *(one.answer for one in waiting))


async def test_a_queue_is_full_of_bytes_too_but_one_alone_always_fits() -> None:
    gate = Gate()
    to = batcher(gate, queueBytes=100)
    running = submit(to, rows(*range(10)))
    await until(gate.entered)
    large = submit(to, rows(*range(20)))  # 320 bytes
    with pytest.raises(QueueFull, match="320 bytes wait"):
        submit(to, rows(1))
    gate.opened.set()
    await asyncio.gather(running.answer, large.answer)


async def test_a_request_that_is_too_large_may_be_refused() -> None:
    to = batcher(doubling(), maxSize=4, oversize="Refuse")
    with pytest.raises(BadInput, match="has 5 rows; this model takes at most 4"):
        submit(to, rows(*range(5)))
    await submit(to, rows(*range(4))).answer


async def test_several_slots_run_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def run(batch: Tensors) -> Tensors:
        both.wait(10)
        return doubling()(batch)

    loop = asyncio.get_running_loop()
    worker = Worker(loop, threads=2)
    batching = Batching(max_size=1)
    to = Batcher(run, PIXELS, batching, Metrics("m"), worker, loop, Pace(False), slots=2)
    await asyncio.gather(*(submit(to, rows(n)).answer for n in range(4)))
    worker.close()


async def test_a_dead_engine_is_told_once() -> None:
    told: list[str] = []

    def run(_: Tensors) -> Tensors:
        raise EngineDead("the GPU is gone")

    loop = asyncio.get_running_loop()
    to = Batcher(
        run, PIXELS, Batching(), Metrics("m"), Worker(loop), loop, Pace(False), on_dead=told.append
    )
    for _ in range(2):
        with pytest.raises(EngineDead):
            await submit(to, rows(1)).answer
    assert told == ["the GPU is gone"]


async def test_a_deadline_takes_a_request_out_of_the_queue_and_out_of_the_engine() -> None:
    gate = Gate()
    to = batcher(gate)
    running = submit(to, rows(1), within=0.03)
    waiting = submit(to, rows(2, 3), within=0.02)
    patient = submit(to, rows(4))
    with pytest.raises(DeadlinePassed):
        await waiting.answer
    with pytest.raises(DeadlinePassed):
        await running.answer
    gate.opened.set()
    np.testing.assert_array_equal((await patient.answer)["y"], [[8, 8]])
    assert to.open == 0


async def test_time_that_is_over_is_refused_before_the_queue() -> None:
    to = batcher(doubling())
    with pytest.raises(DeadlinePassed):
        submit(to, rows(1), within=-1.0)


async def test_a_client_that_left_costs_no_rows() -> None:
    gate = Gate()
    to = batcher(gate)
    running = submit(to, rows(1))
    await until(gate.entered)
    gone, stays = submit(to, rows(5)), submit(to, rows(6))
    to.leave(gone.entry)
    to.leave(gone.entry)
    gate.opened.set()
    with pytest.raises(ClientLeft):
        await gone.answer
    await asyncio.gather(running.answer, stays.answer)
    assert gate.batches == [1, 1]


async def test_a_waiter_that_is_cancelled_harms_nobody() -> None:
    gate = Gate()
    to = batcher(gate)
    running = submit(to, rows(1))
    await until(gate.entered)
    cancelled, stays = submit(to, rows(5)), submit(to, rows(6))
    cancelled.answer.cancel()
    gate.opened.set()
    await asyncio.gather(running.answer, stays.answer)
    assert to.open == 0


@pytest.mark.parametrize(
    ("raised", "heard"),
    [
        (BadInput("bad"), BadInput),
        (EngineBroken("broken"), EngineBroken),
        (MemoryError(), OutOfMemory),
        (RuntimeError("secret"), EngineBroken),
    ],
)
async def test_only_the_guilty_fails(raised: Exception, heard: type[Exception]) -> None:
    def run(batch: Tensors) -> Tensors:
        if (batch["x"] == 13).any():
            raise raised
        return doubling()(batch)

    to = batcher(run)
    good, guilty, other = submit(to, rows(1)), submit(to, rows(13)), submit(to, rows(2))
    with pytest.raises(heard) as caught:
        await guilty.answer
    assert "secret" not in str(caught.value)
    np.testing.assert_array_equal((await good.answer)["y"], [[2, 2]])
    np.testing.assert_array_equal((await other.answer)["y"], [[4, 4]])
    # The engine goes on.
    np.testing.assert_array_equal((await submit(to, rows(3)).answer)["y"], [[6, 6]])


async def test_a_model_whose_rows_cannot_be_told_apart_is_run_for_each_alone() -> None:
    sizes: list[int] = []

    def summing(batch: Tensors) -> Tensors:
        sizes.append(len(batch["x"]))
        return {"y": batch["x"].sum(keepdims=True)[0]}

    to = batcher(summing)
    one, other = submit(to, rows(1)), submit(to, rows(2))
    assert (await one.answer)["y"].item() == 4
    assert (await other.answer)["y"].item() == 8
    assert sizes == [2, 1, 1]
    later = [submit(to, rows(3)) for _ in range(2)]
    await asyncio.gather(*(entry.answer for entry in later))
    assert sizes[3:] == [1, 1]


async def test_a_model_without_rows_is_run_for_one_request_at_a_time() -> None:
    shapes: list[tuple[int, ...]] = []
    to = batcher(doubling(lambda batch: shapes.append(batch["x"].shape)), PIXELS.unbatched())
    await asyncio.gather(*(submit(to, rows(1, 2)).answer for _ in range(3)))
    assert shapes == [(2, 4)] * 3


async def test_max_delay_waits_for_company_while_idle() -> None:
    sizes: list[int] = []
    to = batcher(
        doubling(lambda batch: sizes.append(len(batch["x"]))),
        maxSize=3,
        maxDelay=timedelta(seconds=30),
    )
    first = submit(to, rows(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not sizes
    second = submit(to, rows(2, 3))  # which makes it full
    await asyncio.gather(first.answer, second.answer)
    assert sizes == [3]


async def test_quick_models_are_run_on_the_loop_once_they_are_known_to_be_quick() -> None:
    threads: set[str] = set()
    to = batcher(doubling(lambda _: threads.add(threading.current_thread().name)), computes=True)
    for _ in range(100):
        await submit(to, rows(1)).answer
    assert threads == {"engine-1", threading.main_thread().name}


async def test_close_settles_everything() -> None:
    gate = Gate()
    to = batcher(gate)
    running = submit(to, rows(1))
    await until(gate.entered)
    waiting = submit(to, rows(2))
    to.close()
    for one in (running, waiting):
        with pytest.raises(NotReady):
            await one.answer
    gate.opened.set()
    with pytest.raises(NotReady):
        submit(to, rows(1))


async def test_a_request_that_is_not_the_models_is_refused_before_the_queue() -> None:
    to = batcher(doubling())
    with pytest.raises(BadInput, match=r"shape \[1,3\]; expected \[-1,4\]"):
        submit(to, {"x": np.zeros((1, 3), np.float32)})
    assert to.open == 0


async def test_pieces_that_do_not_fit_fail_their_request_and_nobody_else() -> None:
    """A model that pads to the longest of its batch gives each piece another width."""

    def ragged(tensors: Tensors) -> Tensors:
        rows = len(tensors["x"])
        return {"y": np.zeros((rows, rows), np.float32)}

    to = batcher(ragged, maxSize=4)
    torn = submit(to, rows(*range(6)))
    other = submit(to, rows(1))
    with pytest.raises(EngineBroken, match="does not fit"):
        await torn.answer
    assert (await other.answer)["y"].shape[0] == 1
