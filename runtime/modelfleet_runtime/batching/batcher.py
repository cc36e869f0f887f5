"""Requests in, answers out; in between batches run in the engine, one for each of its slots.

All state belongs to the event loop's thread. An engine's thread is given the parts of one batch and
gives back an `Outcome`; it settles nothing.

Every accepted request is settled exactly once: by its rows, by the refusal of its run, by its
deadline or `run_out`, by `leave` when its client hung up, or by `close`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from modelfleet_contract import Batching, Oversize
from modelfleet_runtime.batching.axes import padding_for
from modelfleet_runtime.batching.deadlines import Deadlines
from modelfleet_runtime.batching.entry import Entry, Part, into
from modelfleet_runtime.batching.forecast import Forecast
from modelfleet_runtime.batching.levels import Levels
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.batching.queue import Bounds, Queue
from modelfleet_runtime.batching.room import Room
from modelfleet_runtime.batching.rules import DEFERRED, NEVER, Limits, WaitUntil
from modelfleet_runtime.batching.scatter import Outcome, Run, timed
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.errors import (
    BadInput,
    ClientLeft,
    DeadlinePassed,
    EngineBroken,
    NotReady,
    QueueFull,
    Refusal,
)
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.signature import Signature, Tensors
from modelfleet_runtime.tracing import Tracing

log = logging.getLogger("modelfleet.batching")


class Batcher:
    """The queue and the engine's slots. Methods are called on the loop's thread."""

    def __init__(
        self,
        run: Run,
        signature: Signature,
        batching: Batching,
        metrics: Metrics,
        worker: Worker,
        loop: asyncio.AbstractEventLoop,
        pace: Pace,
        now: Callable[[], float] = time.monotonic,
        slots: int = 1,
        on_dead: Callable[[str], None] | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        """`worker` has at least `slots` threads. `on_dead` hears once why nothing will run again.

        Raises `ValueError` where `batching` asks for what this model cannot have.
        """
        self.signature = signature
        self.batching = batching
        self._run = run
        self._metrics = metrics
        self._worker = worker
        self._loop = loop
        self._pace = pace
        self._now = now
        self._slots = slots
        self._on_dead = on_dead
        self._tracing = tracing
        self._limits = Limits(
            batching.max_size,
            batching.max_delay / timedelta(seconds=1),
            tuple(batching.preferred_sizes),
            alone=not signature.batched,
        )
        self._refused_rows = (
            batching.max_size
            if batching.oversize is Oversize.REFUSE and signature.batched
            else NEVER
        )
        self._padding = padding_for(batching, signature)
        self._room = Room(batching.max_size)
        self._forecast = Forecast(slots)
        self._levels = Levels(batching)
        bounds = Bounds(batching.queue_size, batching.queue_bytes, self._levels.bounds)
        self._queue = Queue(bounds, self._levels.ranked)
        self._open = Deadlines()
        self._accepted = 0
        self._running = 0
        self.running_since: float | None = None
        """Since when the engine's slots have run without one of them finishing; None when idle."""
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_at = NEVER
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        metrics.queue_depth.set_function(lambda: self._queue.depth)
        metrics.queue_bytes.set_function(lambda: self._queue.size)

    @property
    def open(self) -> int:
        """Requests that were accepted and are not answered."""
        return len(self._open)

    def submit(
        self,
        tensors: Tensors,
        arrived: float,
        deadline: float,
        done: Callable[[Entry], None],
        priority: int = 0,
    ) -> Entry:
        """Accept a request (times as of `time.monotonic`; `priority` 0 is the default level).
        `done` is called once, on the loop's thread and never from within this call, when the entry
        is settled.

        Raises `BadInput` (not the model's inputs), `QueueFull`, `DeadlinePassed` or `NotReady`.
        """
        if self._closed:
            raise NotReady("the server has stopped")
        signature = self.signature
        rows = signature.rows(tensors)
        if rows > self._refused_rows:
            raise BadInput(
                f"the request has {rows} rows; this model takes at most {self._refused_rows} in one"
            )
        now = self._now()
        if deadline <= now:
            self._metrics.deadlines_passed.inc()
            raise DeadlinePassed("the request's time was over before it could wait for a batch")
        padding = self._padding
        kin = signature.kin(tensors) if padding is None else padding.kin(tensors)
        level = self._levels.of(priority)
        if self._running and self._queue.depth:
            self._check_time(now, deadline, level)
        self._accepted = number = self._accepted + 1
        entry = Entry(tensors, rows, kin, arrived, deadline, done, level, _size(tensors), number)
        patience = arrived + self._levels.wait(level)
        if patience < deadline:
            entry.leave_at = patience
        self._queue.add(entry)
        self._open.add(entry)
        if entry.leave_at < self._sweep_at:
            self._sweep_from(entry.leave_at)
        if self._running < self._slots:
            self._wake()
        return entry

    async def ask(
        self, tensors: Tensors, arrived: float, deadline: float, priority: int = 0
    ) -> Tensors:
        """`submit`, for one who can wait. Cancelled, the request leaves. Raises `Refusal`."""
        answer: asyncio.Future[Tensors] = self._loop.create_future()
        entry = self.submit(tensors, arrived, deadline, into(answer), priority)
        try:
            return await answer
        except asyncio.CancelledError:
            self.leave(entry)
            raise

    def leave(self, entry: Entry) -> None:
        """The client hung up: its request no longer waits. A run that has begun goes on.
        A settled entry stays as it is."""
        if not entry.settled:
            self._metrics.clients_left.inc()
            self._refuse(entry, ClientLeft("the client left"))

    def run_out(self, entry: Entry, refusal: DeadlinePassed) -> None:
        """As `leave`, for a client that waits for no more than this refusal."""
        if not entry.settled:
            self._metrics.deadlines_passed.inc()
            self._refuse(entry, refusal)

    def close(self) -> None:
        """Refuse what still waits, and all that comes."""
        self._closed = True
        for entry in self._open:
            self._refuse(entry, NotReady("the server has stopped"))
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()

    # -- joining

    def _check_time(self, now: float, deadline: float, level: int) -> None:
        """Only asked while others wait: an idle engine shows by itself how long it takes."""
        ahead = self._running + self._queue.batches_before(level, self._limits.max_rows)
        expected = self._forecast.answered_in(ahead)
        if now + expected > deadline:
            raise QueueFull(
                "the queue is too long for the request's time: the answer would take about "
                f"{expected:.3g} s"
            )

    # -- gathering

    def _wake(self) -> None:
        """Look at the queue once in the next turn: what arrives in this turn goes together."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._woken = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._running < self._slots and not self._closed:
            now = self._now()
            if self._sweep_at <= now:  # who is late already costs the batch no row
                self._sweep()
            verdict = self._queue.take(self._limits, now, idle=True)
            if isinstance(verdict, WaitUntil):
                if verdict.time != NEVER:
                    self._timer = self._loop.call_later(max(0.0, verdict.time - now), self._turn)
                return
            if self._start(verdict, now):
                return  # it ran at once: the loop has others to see first

    # -- running

    def _start(self, parts: Sequence[Part], now: float) -> bool:
        """Whether the batch was run at once."""
        metrics = self._metrics
        rows = 0
        for part in parts:
            rows += part.rows
            if part.start == 0:
                metrics.queue_seconds.observe(now - part.entry.arrived)
        if not self._running:
            self.running_since = now
        self._running += 1
        metrics.batch_rows.observe(rows)
        metrics.rows.inc(rows)
        run = self._run
        if self._tracing is not None:
            run = self._tracing.batch(run, [part.entry.span for part in parts], rows, now)
        if self._slots == 1 and self._pace.on_loop(rows):
            try:
                outcome = timed(run, parts, self._padding)
            except BaseException as error:
                self._broke(parts, rows, now, error)
            else:
                self._finish(parts, rows, now, outcome)
            return True
        self._worker.post(
            lambda: timed(run, parts, self._padding),
            lambda outcome: self._finish(parts, rows, now, outcome),
            lambda error: self._broke(parts, rows, now, error),
        )
        return False

    def _broke(self, parts: Sequence[Part], rows: int, began: float, error: BaseException) -> None:
        """Something failed outside the model's run: a bug of ours, and no reason to stop."""
        log.error("a batch was lost to a fault of the server", exc_info=error)
        refusal = EngineBroken("the server failed; its log has the details")
        self._finish(parts, rows, began, Outcome([refusal] * len(parts)))

    def _finish(self, parts: Sequence[Part], rows: int, began: float, outcome: Outcome) -> None:
        self._running -= 1
        now = self._now()
        self.running_since = now if self._running else None
        self._pace.note(rows, outcome.busy)
        self._forecast.ran(now - began)
        self._metrics.engine_seconds.observe(now - began)
        try:
            for part, answer in zip(parts, outcome.answers, strict=True):
                entry = part.entry
                if isinstance(answer, Refusal):
                    self._refuse(entry, answer)
                elif entry.succeed(part, answer):
                    self._open.discard(entry)
            self._learn(outcome)
        finally:  # whatever happens to these, the others do not wait for it
            if self._queue.depth:
                self._wake()

    def _learn(self, outcome: Outcome) -> None:
        """What this batch says of the next ones."""
        if outcome.retried:
            self._metrics.batch_failures.inc()
        if outcome.padded:
            self._metrics.padded_values.inc(outcome.padded)
        if outcome.no_memory:
            self._metrics.out_of_memory.inc(len(outcome.no_memory))
            self._room.ran_out(outcome.no_memory)
        else:
            self._room.succeeded()
        if self._room.rows != self._limits.max_rows:
            log.warning("batches have at most %d rows from now on", self._room.rows)
            self._limits = replace(self._limits, max_rows=self._room.rows)
        if outcome.inseparable and not self._limits.alone:
            self._limits = replace(self._limits, alone=True)
            self.signature = self.signature.unbatched()
        if outcome.dead is not None and self._on_dead is not None:
            self._on_dead(outcome.dead)
            self._on_dead = None

    # -- leaving

    def _refuse(self, entry: Entry, refusal: Refusal) -> None:
        self._open.discard(entry)
        if entry.rows:
            self._queue.remove(entry)
        entry.fail(refusal)

    def _sweep_from(self, deadline: float) -> None:
        """One timer for all deadlines, at the least of them: most requests are answered long
        before theirs, and a timer for each would cost more than its batch."""
        self._sweep_at = deadline
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._sweeper = self._loop.call_later(max(0.0, deadline - self._now()), self._sweep)

    def _sweep(self) -> None:
        self._sweep_at = NEVER
        now = self._now()
        while (entry := self._open.pop(now)) is not None:
            if entry.deadline <= now:
                self._metrics.deadlines_passed.inc()
                self._refuse(entry, DeadlinePassed("the request's time is over"))
            else:
                self._waited_enough(entry)
        following = self._open.next()
        if following != NEVER:
            self._sweep_from(following)

    def _waited_enough(self, entry: Entry) -> None:
        """As long as it may. One that is being run already goes on."""
        if entry.cursor or self._levels.defers(entry.level):
            entry.leave_at = entry.deadline
            self._open.add(entry)
            if not entry.cursor:
                self._queue.move(entry, DEFERRED)
            return
        self._metrics.deadlines_passed.inc()
        self._refuse(entry, DeadlinePassed("the request has waited for as long as it may"))


def _size(tensors: Tensors) -> int:
    """Bytes."""
    size = 0
    for array in tensors.values():
        if array.dtype.kind == "O":
            size += sum(map(len, array.ravel().tolist()))
        else:
            size += array.nbytes
    return size
