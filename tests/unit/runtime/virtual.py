"""A loop whose time the test owns, and an engine's threads whose turn the test decides."""

import heapq
import itertools
from collections.abc import Callable
from typing import Any


class Handle:
    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualLoop:
    """The part of an event loop that the batcher uses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._soon: list[Handle] = []
        self._later: list[tuple[float, int, Handle]] = []
        self._numbers = itertools.count()

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], object]) -> Handle:
        handle = Handle(callback)
        self._soon.append(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[[], object]) -> Handle:
        handle = Handle(callback)
        heapq.heappush(self._later, (self.now + delay, next(self._numbers), handle))
        return handle

    def turn(self) -> bool:
        """Run what is due; whether anything was."""
        due, self._soon = self._soon, []
        while self._later and self._later[0][0] <= self.now:
            due.append(heapq.heappop(self._later)[2])
        ran = False
        for handle in due:
            if handle.callback is not None:
                handle.callback()
                ran = True
        return ran

    def settle(self) -> None:
        """Turn until nothing is due."""
        for _ in range(10_000):
            if not self.turn() and not self._soon:
                return
        raise AssertionError("the loop never comes to rest")

    def next_timer(self) -> float | None:
        while self._later and self._later[0][2].callback is None:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None


class ManualWorker:
    """Jobs wait until the test runs one of them."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any], None], Any]] = []

    def post(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.jobs.append((work, done, failed))

    def run(self, index: int = 0) -> None:
        """One of the jobs to its end, its callback included."""
        work, done, failed = self.jobs.pop(index)
        try:
            result = work()
        except BaseException as error:
            failed(error)
        else:
            done(result)
