"""Who waits, in which order: the one owner of the waiting requests.

It knows no clock and no loop: times are given to it.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field

from modelfleet_runtime.batching.entry import Entry, Part
from modelfleet_runtime.batching.rules import NEVER, PASSES, Limits, WaitUntil, gather, place
from modelfleet_runtime.errors import QueueFull

_Line = OrderedDict[Entry, None]
"""In the order of joining; anyone can leave it at no cost to the others."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait."""

    requests: int
    size: int = 1 << 62
    """Bytes of their tensors. One that alone is larger is taken while nothing else waits."""
    of_level: dict[int, int] = field(default_factory=dict)
    """Requests of one level."""


class _Kin:
    """The waiting requests of one kin: a line for each level."""

    __slots__ = ("by_age", "levels")

    def __init__(self) -> None:
        self.levels: dict[int, _Line] = {}
        self.by_age = False
        """Whether the line is formed without a look at the levels."""

    def __iter__(self) -> Iterator[Entry]:
        levels = self.levels
        if len(levels) == 1:
            return iter(next(iter(levels.values())))
        return self._merged()

    def _merged(self) -> Iterator[Entry]:
        lines = [iter(line) for line in self.levels.values()]
        heads = [next(line) for line in lines]
        while heads:
            first = min(range(len(heads)), key=lambda n: place(heads[n], self.by_age))
            yield heads[first]
            following = next(lines[first], None)
            if following is None:
                del heads[first], lines[first]
            else:
                heads[first] = following


class Queue:
    """Waiting requests by kin and level."""

    def __init__(self, bounds: Bounds, ranked: bool = False) -> None:
        """`ranked` says whether entries may be of different levels."""
        self._bounds = bounds
        self._ranked = ranked
        self._kins: dict[Hashable, _Kin] = {}
        self._of_level: dict[int, int] = {}
        self._rows_of_level: dict[int, int] = {}
        self._passed = 0
        """Batches in a row that passed over who came first."""
        self.depth = 0
        """Requests that wait. One that is run in pieces waits until its last piece is taken."""
        self.size = 0
        """Bytes of their tensors."""
        self.rows = 0
        """Rows that wait."""

    def batches_before(self, level: int, max_rows: int) -> int:
        """At least so many batches are made of what waits before one more request of that level
        goes."""
        if not self._ranked:
            return max(len(self._kins), self.rows // max_rows)
        kins = sum(min(kin.levels) <= level for kin in self._kins.values())
        rows = sum(rows for of, rows in self._rows_of_level.items() if of <= level)
        return max(kins, rows // max_rows)

    def add(self, entry: Entry) -> None:
        """Raises `QueueFull` when as many, or as much, wait as may."""
        bounds = self._bounds
        if self.depth >= bounds.requests:
            raise QueueFull(f"the queue is full: {self.depth} requests wait")
        if self.depth and self.size + entry.size > bounds.size:
            raise QueueFull(f"the queue is full: {self.size} bytes wait")
        most = bounds.of_level.get(entry.level)
        if most is not None and self._of_level.get(entry.level, 0) >= most:
            raise QueueFull(f"the queue is full: {most} requests of priority {entry.level} wait")
        self._join(entry)

    def remove(self, entry: Entry) -> bool:
        """A request leaves before its turn (late, gone, failed); whether it did wait."""
        kin = self._kins.get(entry.kin)
        line = kin.levels.get(entry.level) if kin is not None else None
        if kin is None or line is None or entry not in line:
            return False
        self.rows -= entry.rows
        if self._ranked:
            self._rows_of_level[entry.level] -= entry.rows
        self._left(kin, entry)
        return True

    def move(self, entry: Entry, level: int) -> None:
        """A request that waits goes on waiting in the line of another level."""
        if self.remove(entry):
            entry.level = level
            self._join(entry)

    def take(self, limits: Limits, now: float, idle: bool) -> list[Part] | WaitUntil:
        """The next batch, which no longer waits; or when to ask again."""
        if not self.depth:
            return _NOTHING
        kins = list(self._kins.values())
        by_age = self._passed >= PASSES
        if self._ranked:
            for kin in kins:
                kin.by_age = by_age
        verdict = gather(kins, limits, now, idle, by_age)
        if isinstance(verdict, WaitUntil):
            return verdict
        kin = kins[verdict.group]
        if self._ranked:
            first = min(_first(line).number for one in kins for line in one.levels.values())
            self._passed = 0 if _first(kin).number == first else self._passed + 1
        parts = []
        left = verdict.rows
        for entry in kin:
            part = entry.cut(min(entry.rows, left))
            parts.append(part)
            left -= part.rows
            if not left:
                break
        self.rows -= verdict.rows
        if self._ranked:
            for part in parts:
                self._rows_of_level[part.entry.level] -= part.rows
        for part in parts:
            if not part.entry.rows:
                self._left(kin, part.entry)
        return parts

    def _join(self, entry: Entry) -> None:
        kin = self._kins.get(entry.kin)
        if kin is None:
            kin = self._kins[entry.kin] = _Kin()
        level = entry.level
        line = kin.levels.get(level)
        if line is None:
            line = kin.levels[level] = OrderedDict()
        line[entry] = None
        self.depth += 1
        self.size += entry.size
        self.rows += entry.rows
        if self._ranked:
            self._of_level[level] = self._of_level.get(level, 0) + 1
            self._rows_of_level[level] = self._rows_of_level.get(level, 0) + entry.rows

    def _left(self, kin: _Kin, entry: Entry) -> None:
        level = entry.level
        line = kin.levels[level]
        del line[entry]
        self.depth -= 1
        self.size -= entry.size
        if self._ranked:
            self._of_level[level] -= 1
        if not line:
            del kin.levels[level]
            if not kin.levels:
                # Kins are as many as clients' shapes: an empty one must not stay.
                del self._kins[entry.kin]


def _first(line: Iterable[Entry]) -> Entry:
    return next(iter(line))


_NOTHING = WaitUntil(NEVER)
