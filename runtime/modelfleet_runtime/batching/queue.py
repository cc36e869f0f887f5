"""Who waits, in which order: the one owner of the waiting requests.

It knows no clock and no loop: times are given to it.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from modelfleet_runtime.batching.entry import Entry, Part
from modelfleet_runtime.batching.rules import NEVER, Limits, WaitUntil, gather, place
from modelfleet_runtime.errors import QueueFull


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait."""

    requests: int
    size: int = 1 << 62
    """Bytes of their tensors. One that alone is larger is taken while nothing else waits."""
    of_level: dict[int, int] = field(default_factory=dict)
    """Requests of one level."""


class _Kin:
    """The waiting requests of one kin: a line for each level, in the order of arrival."""

    __slots__ = ("levels", "now")

    def __init__(self) -> None:
        self.levels: dict[int, deque[Entry]] = {}
        self.now = 0.0
        """The time by which the line is formed."""

    def __iter__(self) -> Iterator[Entry]:
        levels = self.levels
        if len(levels) == 1:
            return iter(next(iter(levels.values())))
        return self._merged()

    def _merged(self) -> Iterator[Entry]:
        lines = [iter(line) for line in self.levels.values()]
        heads = [next(line) for line in lines]
        while heads:
            first = min(range(len(heads)), key=lambda n: place(heads[n], self.now))
            yield heads[first]
            following = next(lines[first], None)
            if following is None:
                del heads[first], lines[first]
            else:
                heads[first] = following


class Queue:
    """Waiting requests by kin and level."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._kins: dict[Hashable, _Kin] = {}
        self._of_level: dict[int, int] = {}
        self.depth = 0
        """Requests that wait. One that is run in pieces waits until its last piece is taken."""
        self.size = 0
        """Bytes of their tensors."""
        self.rows = 0
        """Rows that wait."""

    @property
    def kins(self) -> int:
        """How many kinds of requests wait that do not go together."""
        return len(self._kins)

    def add(self, entry: Entry) -> None:
        """Raises `QueueFull` when as many, or as much, wait as may."""
        bounds = self._bounds
        if self.depth >= bounds.requests:
            raise QueueFull(f"the queue is full: {self.depth} requests wait")
        if self.depth and self.size + entry.size > bounds.size:
            raise QueueFull(f"the queue is full: {self.size} bytes wait")
        if bounds.of_level:
            most = bounds.of_level.get(entry.level)
            waiting = self._of_level.get(entry.level, 0)
            if most is not None and waiting >= most:
                raise QueueFull(
                    f"the queue is full: {waiting} requests of priority {entry.level} wait"
                )
            self._of_level[entry.level] = waiting + 1
        self._line(entry).append(entry)
        self.depth += 1
        self.size += entry.size
        self.rows += entry.rows

    def remove(self, entry: Entry) -> bool:
        """A request leaves before its turn (late, gone, failed); whether it did wait."""
        kin = self._kins.get(entry.kin)
        line = kin.levels.get(entry.level) if kin is not None else None
        if kin is None or line is None:
            return False
        try:
            line.remove(entry)
        except ValueError:
            return False
        self.rows -= entry.rows
        self._left(kin, line, entry)
        return True

    def move(self, entry: Entry, level: int) -> None:
        """A request that waits goes on waiting in the line of another level."""
        if self.remove(entry):
            entry.level = level
            self._line(entry).append(entry)
            self.depth += 1
            self.size += entry.size
            self.rows += entry.rows

    def take(self, limits: Limits, now: float, idle: bool) -> list[Part] | WaitUntil:
        """The next batch, which no longer waits; or when to ask again."""
        if not self.depth:
            return _NOTHING
        kins = list(self._kins.values())
        for kin in kins:
            kin.now = now
        verdict = gather(kins, limits, now, idle)
        if isinstance(verdict, WaitUntil):
            return verdict
        kin = kins[verdict.group]
        self.rows -= verdict.rows
        if len(kin.levels) == 1:
            return self._take_from_one(kin, next(iter(kin.levels.values())), verdict.rows)
        parts = []
        left = verdict.rows
        for entry in list(kin):
            part = entry.cut(min(entry.rows, left))
            parts.append(part)
            if not entry.rows:
                line = kin.levels[entry.level]
                line.remove(entry)
                self._left(kin, line, entry)
            left -= part.rows
            if not left:
                break
        return parts

    def _take_from_one(self, kin: _Kin, line: deque[Entry], left: int) -> list[Part]:
        parts = []
        while left:
            head = line[0]
            part = head.cut(min(head.rows, left))
            left -= part.rows
            parts.append(part)
            if not head.rows:
                line.popleft()
                self._left(kin, line, head)
        return parts

    def _line(self, entry: Entry) -> deque[Entry]:
        kin = self._kins.get(entry.kin)
        if kin is None:
            kin = self._kins[entry.kin] = _Kin()
        line = kin.levels.get(entry.level)
        if line is None:
            line = kin.levels[entry.level] = deque()
        return line

    def _left(self, kin: _Kin, line: deque[Entry], entry: Entry) -> None:
        self.depth -= 1
        self.size -= entry.size
        if entry.level in self._of_level:
            self._of_level[entry.level] -= 1
        if not line:
            del kin.levels[entry.level]
            if not kin.levels:
                # Kins are as many as clients' shapes: an empty one must not stay.
                del self._kins[entry.kin]


_NOTHING = WaitUntil(NEVER)
