"""Which waiting requests make the next batch, and when does it go?

- An idle engine is given what there is; a busy one lets the queue grow into a batch.
- Rows are counted, not requests. A batch never has more than `max_rows`; a request with more is
  run in several batches.
- Only requests of one kin (same names, dtypes and trailing shapes) go together. Within a kin the
  order is that of arrival and nobody overtakes; among kins whose batch may go, the one whose first
  request came first goes first. So nobody starves.
- `max_delay` lets a batch that is not full wait for more while the engine is idle, from the arrival
  of its first request, and never for more than half of that request's time.

Everything here is a function of its arguments.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

NEVER = float("inf")


class Waiting(Protocol):
    """A request in the queue, as far as the rules look."""

    rows: int
    """Rows that are still to be run, at least 1."""
    arrived: float
    deadline: float


@dataclass(frozen=True, slots=True)
class Limits:
    max_rows: int = 32
    max_delay: float = 0.0
    """Seconds."""
    alone: bool = False
    """One request a batch, all of its rows: for models whose rows cannot be told apart."""


@dataclass(frozen=True, slots=True)
class Take:
    """The first `count` requests of the group at `group`, of which `rows` rows are run."""

    group: int
    count: int
    rows: int


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing goes before this time, unless more arrives or the engine becomes idle."""

    time: float


def gather(
    groups: Sequence[Iterable[Waiting]], limits: Limits, now: float, idle: bool
) -> Take | WaitUntil:
    """The next batch out of `groups`, one for each kin, each in the order of arrival and none
    empty; or the time at which to ask again."""
    if not idle:
        return WaitUntil(NEVER)
    earliest = NEVER
    best: Take | None = None
    best_arrived = NEVER
    for index, group in enumerate(groups):
        head = next(iter(group))
        if best is not None and head.arrived >= best_arrived:
            continue
        count, rows, full = fill(group, limits)
        due = head.arrived if full else go_at(head, limits)
        if due <= now:
            best, best_arrived = Take(index, count, rows), head.arrived
        else:
            earliest = min(earliest, due)
    return best or WaitUntil(earliest)


def fill(group: Iterable[Waiting], limits: Limits) -> tuple[int, int, bool]:
    """How many requests from the first on fit, their rows, and whether waiting adds nothing."""
    count = rows = 0
    for waiting in group:
        if limits.alone:
            return 1, waiting.rows, True
        if rows + waiting.rows > limits.max_rows:
            if count == 0:
                return 1, limits.max_rows, True
            return count, rows, True
        count += 1
        rows += waiting.rows
        if rows == limits.max_rows:
            return count, rows, True
    return count, rows, False


def go_at(head: Waiting, limits: Limits) -> float:
    """When a batch that is not full goes all the same."""
    return head.arrived + min(limits.max_delay, max(0.0, head.deadline - head.arrived) / 2)
