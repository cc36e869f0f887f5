"""What became of the requests: each number is entered once when it leaves and once when it ends."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum


class Fate(Enum):
    """How a request ended."""

    ANSWERED = "answered"
    """By a revision, and rightly."""
    FAILED = "failed"
    """The model's own code has failed, and its caller was told so."""
    REFUSED = "refused"
    """Its queue was full: 503 or 429 with Retry-After."""
    LOST = "lost"
    """Anything else."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What the caller of a lost request saw."""

    reason: str
    """The status and its first words, or the connection's error."""
    at_s: float
    """Since the load began."""


@dataclass(slots=True)
class Ledger:
    """Read while requests are still under way; every method may be called from any thread."""

    sent: int = 0
    fates: dict[int, Fate] = field(default_factory=dict)
    by_label: Counter[int] = field(default_factory=Counter)
    """Answers of each version of the model."""
    losses: dict[int, Loss] = field(default_factory=dict)
    """By number."""
    largest_gap_s: float = 0.0
    """Between two answers."""
    slowest_s: float = 0.0
    """From when a request was due to its end, whatever that was."""
    _began: float = field(default_factory=time.monotonic)
    _last: float = 0.0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def send(self) -> int:
        """The number of the next request; the first is 1."""
        with self._changed:
            self.sent += 1
            return self.sent

    def answered(self, number: int, label: int, seconds: float) -> None:
        now = time.monotonic()
        with self._changed:
            self._end(number, Fate.ANSWERED, seconds)
            self.by_label[label] += 1
            if self._last:
                self.largest_gap_s = max(self.largest_gap_s, now - self._last)
            self._last = now
            self._changed.notify_all()

    def failed(self, number: int, seconds: float) -> None:
        with self._changed:
            self._end(number, Fate.FAILED, seconds)

    def refused(self, number: int, seconds: float) -> None:
        with self._changed:
            self._end(number, Fate.REFUSED, seconds)

    def lost(self, number: int, reason: str, seconds: float) -> None:
        with self._changed:
            self._end(number, Fate.LOST, seconds)
            self.losses[number] = Loss(reason, time.monotonic() - self._began)

    def count(self, fate: Fate) -> int:
        with self._changed:
            return sum(each is fate for each in self.fates.values())

    @property
    def is_whole(self) -> bool:
        """Whether each that was sent has ended."""
        return self.sent == len(self.fates)

    def until_answered_by(self, label: int, more: int, timeout: float = 60) -> None:
        """Returns when that version has answered so many more. Raises TimeoutError."""
        with self._changed:
            goal = self.by_label[label] + more
            if not self._changed.wait_for(lambda: self.by_label[label] >= goal, timeout):
                raise TimeoutError(
                    f"version {label} did not answer {more} more in {timeout:g} s: {self.by_label}"
                )

    def _end(self, number: int, fate: Fate, seconds: float) -> None:
        if number in self.fates:
            raise AssertionError(f"request {number} has ended twice")
        self.fates[number] = fate
        self.slowest_s = max(self.slowest_s, seconds)
