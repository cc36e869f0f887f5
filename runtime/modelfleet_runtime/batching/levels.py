"""Levels of priority: which one a request has, and how long it may wait there."""

from datetime import timedelta

from modelfleet_contract import Batching, OnQueueTimeout
from modelfleet_runtime.batching.rules import DEFERRED, NEVER
from modelfleet_runtime.errors import BadInput


class Levels:
    def __init__(self, batching: Batching) -> None:
        priorities = batching.priorities
        self._most = priorities.levels if priorities else 0
        self._default = priorities.default if priorities else 1
        self._timeouts: dict[int, float] = {}
        self._defer: set[int] = set()
        self.bounds: dict[int, int] = {}
        """Requests of one level that may wait, where it has a bound of its own."""
        own = {queue.level: queue for queue in priorities.queues} if priorities else {}
        for level in range(1, max(self._most, 1) + 1):
            queue = own.get(level)
            timeout = (queue and queue.queue_timeout) or batching.queue_timeout
            then = (queue and queue.on_queue_timeout) or batching.on_queue_timeout
            if timeout is not None:
                self._timeouts[level] = timeout / timedelta(seconds=1)
                if then is OnQueueTimeout.DEFER:
                    self._defer.add(level)
            if queue and queue.queue_size:
                self.bounds[level] = queue.queue_size
        self.ranked = bool(self._most or self._defer)
        """Whether waiting requests can be of different levels."""

    def of(self, priority: int) -> int:
        """0 is the default. Raises `BadInput` for a level that is not there."""
        if priority == 0:
            return self._default
        if not self._most:
            return 1  # as the protocol has it: a hint that this model gives no meaning
        if not 0 < priority <= self._most:
            raise BadInput(
                f"priority {priority} is none of this model's; "
                f"write one from 1 (first) to {self._most}"
            )
        return priority

    def wait(self, level: int) -> float:
        """Seconds for which a request of that level may wait in its line."""
        return self._timeouts.get(level, NEVER)

    def defers(self, level: int) -> bool:
        """Whether one that has waited for so long goes on waiting, behind all others."""
        return level in self._defer and level != DEFERRED
