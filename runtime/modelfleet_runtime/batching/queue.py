"""Who waits, in which order: the one owner of the waiting requests.

It knows no clock and no loop: times are given to it.
"""

from collections import deque
from collections.abc import Hashable

from modelfleet_runtime.batching.entry import Entry, Part
from modelfleet_runtime.batching.rules import Limits, WaitUntil, gather
from modelfleet_runtime.errors import QueueFull


class Queue:
    """Waiting requests by kin, each kin in the order of arrival."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._groups: dict[Hashable, deque[Entry]] = {}
        self.depth = 0
        """Requests that wait. One that is run in pieces waits until its last piece is taken."""

    def add(self, entry: Entry) -> None:
        """Raises `QueueFull` when as many wait as may."""
        if self.depth >= self._size:
            raise QueueFull(f"the queue is full: {self.depth} requests wait")
        group = self._groups.get(entry.kin)
        if group is None:
            group = self._groups[entry.kin] = deque()
        group.append(entry)
        self.depth += 1

    def remove(self, entry: Entry) -> None:
        """A request leaves before its turn (late, gone, failed); no matter if it does not wait."""
        group = self._groups.get(entry.kin)
        if group is None:
            return
        try:
            group.remove(entry)
        except ValueError:
            return
        self._left(group, entry.kin)

    def take(self, limits: Limits, now: float, idle: bool) -> list[Part] | WaitUntil:
        """The next batch, which no longer waits; or when to ask again."""
        if not self.depth:
            return _NOTHING
        groups = list(self._groups.values())
        verdict = gather(groups, limits, now, idle)
        if isinstance(verdict, WaitUntil):
            return verdict
        group = groups[verdict.group]
        parts = []
        left = verdict.rows
        for _ in range(verdict.count):
            head = group[0]
            part = head.cut(min(head.rows, left))
            left -= part.rows
            parts.append(part)
            if not head.rows:
                group.popleft()
                self._left(group, head.kin)
        return parts

    def _left(self, group: deque[Entry], kin: Hashable) -> None:
        self.depth -= 1
        if not group:
            # Kins are as many as clients' shapes: an empty one must not stay.
            del self._groups[kin]


_NOTHING = WaitUntil(float("inf"))
