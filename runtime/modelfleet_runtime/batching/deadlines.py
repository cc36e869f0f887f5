"""Who is not yet settled, and when each of them has waited for long enough.

Most requests are answered long before their time is over, so one that is settled costs nothing
here: what stands in the heap for it is passed over when its time comes, or thrown out with others
when they are more than those that are open. The heap holds numbers only: a settled request's
tensors are not kept.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from modelfleet_runtime.batching.entry import Entry
from modelfleet_runtime.batching.rules import NEVER

_STALE = 256
"""What may stand in the heap for settled requests, besides one for each that is open."""


class Deadlines:
    """The open entries, by their `leave_at`. An entry is put in again when that changes."""

    def __init__(self) -> None:
        self._open: dict[int, Entry] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Entry]:
        """In the order in which they joined."""
        return iter(list(self._open.values()))

    def add(self, entry: Entry) -> None:
        self._open[entry.number] = entry
        heap = self._heap
        heappush(heap, (entry.leave_at, entry.number))
        if len(heap) > 2 * len(self._open) + _STALE:
            heap[:] = [one for one in heap if one[1] in self._open]
            heapify(heap)

    def discard(self, entry: Entry) -> None:
        self._open.pop(entry.number, None)

    def next(self) -> float:
        """The earliest time; `NEVER` if nobody is open."""
        heap = self._heap
        while heap and heap[0][1] not in self._open:
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def pop(self, now: float) -> Entry | None:
        """One whose time has come. It stays open."""
        if self.next() > now:
            return None
        return self._open[heappop(self._heap)[1]]
