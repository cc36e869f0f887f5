"""Which waiting requests make the next batch, and when does it go?

- An idle engine is given what there is; a busy one lets the queue grow into a batch.
- Rows are counted, not requests. A batch never has more than `max_rows`; a request with more is
  run in several batches.
- Only requests of one kin (same names, dtypes and trailing shapes, or such as padding makes alike)
  go together. Of several kins whose batch may go, the one whose first request is first in line
  goes first.
- In line: a higher level before a lower one, and within a level who came first. Where `by_age`,
  levels count for nothing. The queue asks for that after `PASSES` batches in a row that passed
  over who came first; so a lower level has its share of the engine and nobody starves, whatever
  the clients say of their own time.
- `max_delay` lets a batch that is not full wait for more while the engine is idle, from the arrival
  of its first request, and never for more than half of the time that this request may wait. Until
  then a batch of a preferred size goes at once; among several, the largest that is there. After it
  all goes that fits.

Everything here is a function of its arguments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

NEVER = float("inf")
DEFERRED = 1 << 16
"""The level behind all others: of requests that have waited for as long as theirs lets them."""
PASSES = 7
"""Batches in a row that may pass over who came first, for the sake of a higher level."""


class Waiting(Protocol):
    """A request in the queue, as far as the rules look."""

    @property
    def rows(self) -> int:
        """Rows that are still to be run, at least 1."""

    @property
    def arrived(self) -> float: ...

    @property
    def leave_at(self) -> float:
        """When it no longer waits in this line."""

    @property
    def level(self) -> int:
        """1 goes first."""

    @property
    def number(self) -> float:
        """Grows with each that joins."""


@dataclass(frozen=True, slots=True)
class Limits:
    max_rows: int = 32
    max_delay: float = 0.0
    """Seconds."""
    preferred: tuple[int, ...] = ()
    """Sizes at which a batch goes at once, besides a full one."""
    alone: bool = False
    """One request a batch, all of its rows: for models whose rows cannot be told apart."""


class Take(NamedTuple):
    """Of the kin at `group`, the first `rows` rows in line."""

    group: int
    rows: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing goes before this time, unless more arrives or the engine becomes idle."""

    time: float


class Fill(NamedTuple):
    """The batches that could be made of a line, from its first request on."""

    rows: int
    """Of the largest one."""
    preferred: int = 0
    """Of the largest one of a preferred size; 0 if there is none."""
    full: bool = False
    """Waiting adds nothing to the largest."""


Place = tuple[int, float]


def place(waiting: Waiting, by_age: bool = False) -> Place:
    """Where in the line; the least goes first."""
    return (0 if by_age else waiting.level), waiting.number


def gather(
    groups: Sequence[Iterable[Waiting]],
    limits: Limits,
    now: float,
    idle: bool,
    by_age: bool = False,
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
        here = place(head, by_age)
        if best is not None and here >= best_place:
            continue
        due = go_at(head, limits)
        rows = ready(fill(group, limits), limits, due <= now)
        if rows:
            best, best_place = Take(index, rows), here
        elif due < earliest:
            earliest = due
    return best or WaitUntil(earliest)


def ready(filled: Fill, limits: Limits, due: bool) -> int:
    """Rows of the batch that goes now; 0 if it waits. Without a delay none is ever late, so a
    preferred size is always preferred."""
    if filled.preferred and not (due and limits.max_delay):
        return filled.preferred
    return filled.rows if filled.full or due else 0


def fill(group: Iterable[Waiting], limits: Limits) -> Fill:
    rows = preferred = 0
    most = limits.max_rows
    liked = limits.preferred
    for waiting in group:
        if limits.alone:
            return Fill(waiting.rows, full=True)
        more = rows + waiting.rows
        if more > most:
            return Fill(rows or most, preferred, full=True)
        rows = more
        if liked and rows in liked:
            preferred = rows
        if rows == most:
            return Fill(rows, rows, full=True)
    return Fill(rows, preferred)


def go_at(head: Waiting, limits: Limits) -> float:
    """When a batch that is not full goes all the same."""
    if not limits.max_delay:
        return head.arrived
    return head.arrived + min(limits.max_delay, max(0.0, head.leave_at - head.arrived) / 2)
