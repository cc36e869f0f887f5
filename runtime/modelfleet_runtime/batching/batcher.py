"""Requests in, answers out; in between one batch at a time runs in the engine.

All state belongs to the event loop's thread. The engine's thread is given the parts of one batch
and gives back an `Outcome`; it settles nothing.

Every accepted request is settled exactly once: by its rows, by the refusal of its run, by its
deadline, by `leave` when its client hung up, or by `close`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from modelfleet_contract import Batching
from modelfleet_runtime.batching.entry import Entry, Part, into
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.batching.queue import Queue
from modelfleet_runtime.batching.rules import NEVER, Limits, WaitUntil
from modelfleet_runtime.batching.scatter import Outcome, Run, timed
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.errors import (
    ClientLeft,
    DeadlinePassed,
    EngineBroken,
    NotReady,
    Refusal,
)
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.signature import Signature, Tensors

log = logging.getLogger("modelfleet.batching")


class Batcher:
    """The queue and the engine's slot. Methods are called on the loop's thread."""

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
    ) -> None:
        self.signature = signature
        self._run = run
        self._metrics = metrics
        self._worker = worker
        self._loop = loop
        self._pace = pace
        self._now = now
        self._limits = Limits(
            batching.max_size,
            batching.max_delay / timedelta(seconds=1),
            alone=not signature.batched,
        )
        self._queue = Queue(batching.queue_size)
        self._open: set[Entry] = set()
        self._busy = False
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._sweep_at = NEVER
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        metrics.queue_depth.set_function(lambda: self._queue.depth)

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
    ) -> Entry:
        """Accept a request (times as of `time.monotonic`). `done` is called once, on the loop's
        thread and never from within this call, when the entry is settled.

        Raises `BadInput` (not the model's inputs), `QueueFull`, `DeadlinePassed` or `NotReady`.
        """
        if self._closed:
            raise NotReady("the server has stopped")
        signature = self.signature
        rows = signature.rows(tensors)
        if deadline <= self._now():
            raise DeadlinePassed("the request's time was over before it could wait for a batch")
        entry = Entry(tensors, rows, signature.kin(tensors), arrived, deadline, done)
        self._queue.add(entry)
        self._open.add(entry)
        if deadline < self._sweep_at:
            self._sweep_from(deadline)
        if not self._busy:
            self._wake()
        return entry

    async def ask(self, tensors: Tensors, arrived: float, deadline: float) -> Tensors:
        """`submit`, for one who can wait. Cancelled, the request leaves. Raises `Refusal`."""
        answer: asyncio.Future[Tensors] = self._loop.create_future()
        entry = self.submit(tensors, arrived, deadline, into(answer))
        try:
            return await answer
        except asyncio.CancelledError:
            self.leave(entry)
            raise

    def leave(self, entry: Entry) -> None:
        """The client hung up: its request no longer waits. A run that has begun goes on.
        A settled entry stays as it is."""
        self._refuse(entry, ClientLeft("the client left"))

    def close(self) -> None:
        """Refuse what still waits, and all that comes."""
        self._closed = True
        for entry in list(self._open):
            self._refuse(entry, NotReady("the server has stopped"))
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()

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
        if self._busy or self._closed:
            return
        now = self._now()
        verdict = self._queue.take(self._limits, now, idle=True)
        if isinstance(verdict, WaitUntil):
            if verdict.time != NEVER:
                self._timer = self._loop.call_later(max(0.0, verdict.time - now), self._turn)
            return
        self._start(verdict, now)

    # -- running

    def _start(self, parts: Sequence[Part], now: float) -> None:
        rows = 0
        for part in parts:
            rows += part.rows
            if part.start == 0:
                self._metrics.queue_seconds.observe(now - part.entry.arrived)
        self._busy = True
        self._metrics.batch_rows.observe(rows)
        self._metrics.rows.inc(rows)
        if self._pace.on_loop(rows):
            try:
                outcome = timed(self._run, parts)
            except BaseException as error:
                self._broke(parts, rows, now, error)
            else:
                self._finish(parts, rows, now, outcome)
            return
        self._worker.post(
            lambda: timed(self._run, parts),
            lambda outcome: self._finish(parts, rows, now, outcome),
            lambda error: self._broke(parts, rows, now, error),
        )

    def _broke(self, parts: Sequence[Part], rows: int, began: float, error: BaseException) -> None:
        """Something failed outside the model's run: a bug of ours, and no reason to stop."""
        log.error("a batch was lost to a fault of the server", exc_info=error)
        refusal = EngineBroken("the server failed; its log has the details")
        self._finish(parts, rows, began, Outcome([refusal] * len(parts)))

    def _finish(self, parts: Sequence[Part], rows: int, began: float, outcome: Outcome) -> None:
        self._busy = False
        self._pace.note(rows, outcome.busy)
        self._metrics.engine_seconds.observe(self._now() - began)
        if outcome.retried:
            self._metrics.batch_failures.inc()
        if outcome.inseparable and not self._limits.alone:
            self._limits = Limits(self._limits.max_rows, alone=True)
            self.signature = self.signature.unbatched()
        try:
            for part, answer in zip(parts, outcome.answers, strict=True):
                entry = part.entry
                if isinstance(answer, Refusal):
                    self._refuse(entry, answer)
                elif entry.succeed(part, answer):
                    self._open.discard(entry)
        finally:  # whatever happens to these, the others do not wait for it
            if self._queue.depth:
                self._wake()

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
        self._sweeper, self._sweep_at = None, NEVER
        now = self._now()
        for entry in [entry for entry in self._open if entry.deadline <= now]:
            self._refuse(entry, DeadlinePassed("the request's time is over"))
        if self._open:
            self._sweep_from(min(entry.deadline for entry in self._open))
