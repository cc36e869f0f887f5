"""Notice that a client hung up while its request waits.

ASGI tells it only to one who asks with `receive`, and asking takes a task. Most requests are
answered before that would be worth it, so a task is made only for those that have waited a while.
"""

import asyncio
from collections.abc import Callable

from modelfleet_runtime.incoming import Receive

LOOK_EVERY = 0.1
"""Seconds. A request waits between one and two of these before anybody listens for its client."""


class Hangups:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._young: set[Waiter] = set()
        self._older: set[Waiter] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, receive: Receive, left: Callable[[], None]) -> "Waiter":
        """Call `left` once if the client hangs up, until the waiter is given to `forget`."""
        waiter = Waiter(receive, left)
        self._young.add(waiter)
        if self._timer is None:
            self._timer = self._loop.call_later(LOOK_EVERY, self._look)
        return waiter

    def forget(self, waiter: "Waiter") -> None:
        self._young.discard(waiter)
        self._older.discard(waiter)
        if waiter.task is not None:
            waiter.task.cancel()

    def _look(self) -> None:
        for waiter in self._older:
            waiter.task = self._loop.create_task(waiter.listen())
        self._older, self._young = self._young, set()
        self._timer = self._loop.call_later(LOOK_EVERY, self._look) if self._older else None


class Waiter:
    __slots__ = ("_left", "_receive", "task")

    def __init__(self, receive: Receive, left: Callable[[], None]) -> None:
        self._receive = receive
        self._left = left
        self.task: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left()
