"""Which waiting requests make the next batch, and when does it go?

- An idle engine is given what there is; a busy one lets the queue grow into a batch.
- Rows are counted, not requests. A batch never has more than `max_rows`; a request with more is
  run in several batches.
- Only requests of one kin (same names, dtypes and trailing shapes, or such as padding makes alike)
  go together. Of several kins whose batch may go, the one whose first request is first in line
  goes first.
- In line: a higher level before a lower one, and within a level who came first. A request that has
  waited for half of its time is in line before all that has not, whatever its level. So nobody
  starves. Who was deferred stays behind all others.
- `max_delay` lets a batch that is not full wait for more while the engine is idle, from the arrival
  of its first request, and never for more than half of that request's time. A batch of a preferred
  size does not wait; among several, the largest that is there goes.

Everything here is a function of its arguments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

NEVER = float("inf")
DEFERRED = 1 << 16
"""The level behind all others: of requests that have waited for as long as theirs lets them."""


class Waiting(Protocol):
    """A request in the queue, as far as the rules look."""

    @property
    def rows(self) -> int:
        """Rows that are still to be run, at least 1."""

    @property
    def arrived(self) -> float: ...

    @property
    def deadline(self) -> float: ...

    @property
    def level(self) -> int:
        """1 goes first."""


@dataclass(frozen=True, slots=True)
class Limits:
    max_rows: int = 32
    max_delay: float = 0.0
    """Seconds."""
    preferred: tuple[int, ...] = ()
    """Sizes at which a batch goes at once, besides a full one."""
    alone: bool = False
    """One request a batch, all of its rows: for models whose rows cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Take:
    """Of the kin at `group`, the first `rows` rows in line."""

    group: int
    rows: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing goes before this time, unless more arrives or the engine becomes idle."""

    time: float


Place = tuple[int, float]


def place(waiting: Waiting, now: float) -> Place:
    """Where in the line; the least goes first."""
    half = waiting.arrived + max(0.0, waiting.deadline - waiting.arrived) / 2
    if now >= half and waiting.level != DEFERRED:
        return 0, waiting.arrived
    return waiting.level, waiting.arrived


def gather(
    groups: Sequence[Iterable[Waiting]], limits: Limits, now: float, idle: bool
) -> Take | WaitUntil:
    """The next batch out of `groups`, one for each kin, each in its line and none empty; or the
    time at which to ask again."""
    if not idle:
        return WaitUntil(NEVER)
    earliest = NEVER
    best: Take | None = None
    best_place: Place = (0, 0.0)
    for index, group in enumerate(groups):
        head = next(iter(group))
        here = place(head, now) if len(groups) > 1 else (0, 0.0)
        if best is not None and here >= best_place:
            continue
        rows, ready = fill(group, limits)
        due = head.arrived if ready else go_at(head, limits)
        if ready or due <= now:
            best, best_place = Take(index, rows), here
        else:
            earliest = min(earliest, due)
    return best or WaitUntil(earliest)


def fill(group: Iterable[Waiting], limits: Limits) -> tuple[int, bool]:
    """How many rows from the first request on make the batch, and whether waiting adds nothing
    to it."""
    rows = preferred = 0
    for waiting in group:
        if limits.alone:
            return waiting.rows, True
        if rows + waiting.rows > limits.max_rows:
            if rows == 0:
                return limits.max_rows, True
            return preferred or rows, True
        rows += waiting.rows
        if rows == limits.max_rows:
            return rows, True
        if rows in limits.preferred:
            preferred = rows
    return (preferred, True) if preferred else (rows, False)


def go_at(head: Waiting, limits: Limits) -> float:
    """When a batch that is not full goes all the same."""
    return head.arrived + min(limits.max_delay, max(0.0, head.deadline - head.arrived) / 2)
