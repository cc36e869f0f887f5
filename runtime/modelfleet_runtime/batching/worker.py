"""The engine's threads: one job each at a time, and none dies of one."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

log = logging.getLogger("modelfleet.batching")

T = TypeVar("T")
_Job = Callable[[], None]


class Worker:
    """Daemon threads, so that an engine that hangs cannot keep the process from ending."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int = 1) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = 0
        self.grow(threads)

    def grow(self, threads: int) -> None:
        """So many jobs may run at once from now on; never fewer than before."""
        while self._threads < threads:
            self._threads += 1
            threading.Thread(target=self._live, name=f"engine-{self._threads}", daemon=True).start()

    def post(
        self,
        work: Callable[[], T],
        done: Callable[[T], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Run `work` on a thread; then, on the loop, `done` with its result or `failed`."""

        def job() -> None:
            try:
                result = work()
            except BaseException as error:
                self._back(failed, error)
            else:
                self._back(done, result)

        self._jobs.put(job)

    async def call(self, work: Callable[[], T]) -> T:
        """The result of `work`, run on a thread; what it raises is raised here."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: T) -> None:
            if not future.done():
                future.set_result(result)

        def failed(error: BaseException) -> None:
            if not future.done():
                future.set_exception(error)

        self.post(work, done, failed)
        return await future

    def close(self) -> None:
        """No more jobs after those that wait."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _back(self, callback: Callable[[T], None], value: T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
            self._loop.call_soon_threadsafe(callback, value)

    def _live(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
