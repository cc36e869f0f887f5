"""The counts of this process, and the page that tells them (`modelfleet_contract.Tallies`).

They only grow, take a bounded place, and cost a request without a caller and without values
nothing: its revision's totals are those of the metrics.
"""

import asyncio
import time
import uuid
from array import array
from collections.abc import Callable, Iterable

import orjson

from modelfleet_contract import CALLER_BUCKETS, MOST_REVISIONS

MOST_OTHERS = MOST_REVISIONS - 1
"""Revisions that this process does not serve, and for which values were posted to it. An id names
its revision, and anybody can write one."""

FRESH_S = 1.0
"""A page is made at most once in so many seconds."""

_COUNTS = array("Q", bytes(8 * CALLER_BUCKETS))
_NUMBERS = array("d", bytes(8 * CALLER_BUCKETS))


class ValueSums:
    """One value of one revision's requests."""

    __slots__ = ("_counts", "_squares", "_sums", "nonzero", "requests", "squares", "sum")

    def __init__(self) -> None:
        self.requests = 0
        self.nonzero = 0
        self.sum = 0.0
        self.squares = 0.0
        self._counts: array[int] | None = None
        """By bucket, once a request had one; so are the two others."""
        self._sums: array[float] = _NUMBERS
        self._squares: array[float] = _NUMBERS

    def add(self, value: float, bucket: int | None) -> None:
        """`value` is finite, and its square too. None: a request without a caller."""
        square = value * value
        self.requests += 1
        self.nonzero += value != 0
        self.sum += value
        self.squares += square
        if bucket is None:
            return
        if self._counts is None:
            self._counts = _COUNTS[:]
            self._sums, self._squares = _NUMBERS[:], _NUMBERS[:]
        self._counts[bucket] += 1
        self._sums[bucket] += value
        self._squares[bucket] += square

    def told(self) -> dict[str, object]:
        counts, sums, squares = self._counts or (), self._sums, self._squares
        return {
            "requests": self.requests,
            "nonzero": self.nonzero,
            "sum": self.sum,
            "squares": self.squares,
            "callers": {
                str(bucket): (count, sums[bucket], squares[bucket])
                for bucket, count in enumerate(counts)
                if count
            },
        }


class Tallies:
    """Of one process, from its start."""

    def __init__(
        self,
        revision: str,
        totals: Callable[[], tuple[int, int]],
        clock: Callable[[], float] = time.time,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`revision` is the one that is served here. `totals` gives how many of its requests were
        answered, and how many of those with 500 and above."""
        self.revision = revision
        self._totals = totals
        self._now = now
        self._boot = str(uuid.uuid4())
        self._started = clock()
        self._requests: array[int] | None = None
        self._errors: array[int] | None = None
        """By bucket, once a request had a caller; so are its errors."""
        self._values: dict[str, dict[str, ValueSums]] = {revision: {}}
        """By revision and name."""
        self._page = b""
        self._stale_at = float("-inf")
        self._making = asyncio.Lock()

    def answered(self, bucket: int, failed: bool) -> None:
        """A request with a caller was answered."""
        if self._requests is None or self._errors is None:
            self._requests, self._errors = _COUNTS[:], _COUNTS[:]
        self._requests[bucket] += 1
        if failed:
            self._errors[bucket] += 1

    def has_room_for(self, revisions: Iterable[str]) -> bool:
        """Whether values of all of them can be counted here."""
        fresh = sum(revision not in self._values for revision in set(revisions))
        return len(self._values) + fresh <= 1 + MOST_OTHERS

    def add(self, revision: str, name: str, value: float, bucket: int | None) -> None:
        """One more value. The names of one process are few, and so are its revisions: the caller
        has asked `has_room_for`."""
        of_revision = self._values.setdefault(revision, {})
        sums = of_revision.get(name)
        if sums is None:
            sums = of_revision[name] = ValueSums()
        sums.add(value, bucket)

    async def page(self) -> bytes:
        """JSON. What was counted in the last second may be missing. Each value and each revision's
        requests are of one moment; not all of them together are."""
        async with self._making:
            if self._now() >= self._stale_at:
                self._page = await self._made()
                self._stale_at = self._now() + FRESH_S
            return self._page

    async def _made(self) -> bytes:
        revisions: dict[str, object] = {}
        for revision, values in list(self._values.items()):
            told = {}
            for name, sums in list(values.items()):
                told[name] = orjson.Fragment(orjson.dumps(sums.told()))
                await asyncio.sleep(0)  # a full one takes half a millisecond, and many may be
            revisions[revision] = {**self._answered(revision), "values": told}
        return orjson.dumps(
            {
                "boot": self._boot,
                "started": self._started,
                "buckets": CALLER_BUCKETS,
                "revisions": revisions,
            }
        )

    def _answered(self, revision: str) -> dict[str, object]:
        if revision != self.revision:
            return {"requests": 0, "errors": 0, "callers": {"requests": {}, "errors": {}}}
        requests, errors = self._totals()
        by_caller = {"requests": _sparse(self._requests), "errors": _sparse(self._errors)}
        return {"requests": requests, "errors": errors, "callers": by_caller}


def _sparse(counts: "array[int] | None") -> dict[str, int]:
    return {str(bucket): count for bucket, count in enumerate(counts or ()) if count}
