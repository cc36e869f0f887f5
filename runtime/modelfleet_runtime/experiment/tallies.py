"""The counts of this process, and the page that tells them (`modelfleet_contract.Tallies`).

They take a bounded place, and cost a request without a caller and without values nothing: its
revision's totals are those of the metrics.

They only grow, but for one case: where the place is full, what was posted for another revision is
dropped, and `boot` becomes another one. By the counts the operator could not tell: it adds up the
pods, and what falls in one may have risen in another.
"""

import asyncio
import logging
import time
import uuid
from array import array
from collections.abc import Callable

import orjson

log = logging.getLogger("modelfleet.experiment")

BUCKETS = 128
"""A caller's bucket counts in one of these. The operator concludes from no more of them."""

MOST_SUMS = 96
"""Values of a revision, each with sums of its own. The revision that is served here has 24 at most;
the others have room for 72 or more. An id names its revision, and anybody can write one.

So the page stays below 1 MiB. At worst, with 20 digits of a count, 24 characters of a sum and 23 of
squares:

    a bucket    "127":[COUNT,SUM,SQUARES],                                       78 bytes
    its value   128 * 78, a name (63), a revision of its own (127), 4 numbers    10,400
    the page    96 * 10,400, requests and errors by bucket (7,000)               1,005,400
"""

FRESH_S = 1.0
"""A page is made at most once in so many seconds."""

_COUNTS = array("Q", bytes(8 * BUCKETS))
_NUMBERS = array("d", bytes(8 * BUCKETS))


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
        at = bucket % BUCKETS
        self._counts[at] += 1
        self._sums[at] += value
        self._squares[at] += square

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
        most: int = MOST_SUMS,
    ) -> None:
        """`revision` is the one that is served here. `totals` gives how many of its requests were
        answered, and how many of those with 500 and above. `most` is more than the names of two
        revisions."""
        self.revision = revision
        self._totals = totals
        self._now = now
        self._boot = _new_boot()
        self._started = clock()
        self._requests: array[int] | None = None
        self._errors: array[int] | None = None
        """By bucket, once a request had a caller; so are its errors."""
        self._own: dict[str, ValueSums] = {}
        """By name."""
        self._others: dict[str, dict[str, ValueSums]] = {}
        """By revision and name. The first is the one that was posted to least recently."""
        self._most = most
        self._kept = 0
        self._dropped = False
        self._page = b""
        self._stale_at = float("-inf")
        self._making = asyncio.Lock()

    def answered(self, bucket: int, failed: bool) -> None:
        """A request with a caller was answered."""
        if self._requests is None or self._errors is None:
            self._requests, self._errors = _COUNTS[:], _COUNTS[:]
        at = bucket % BUCKETS
        self._requests[at] += 1
        if failed:
            self._errors[at] += 1

    def add(self, revision: str, name: str, value: float, bucket: int | None) -> None:
        """One more value. The names of one process are few; its revisions may be any number."""
        of_revision = self._own if revision == self.revision else self._posted_to(revision)
        sums = of_revision.get(name)
        if sums is None:
            self._make_room()
            sums = of_revision[name] = ValueSums()
        sums.add(value, bucket)

    def _posted_to(self, revision: str) -> dict[str, ValueSums]:
        values = self._others.pop(revision, None)
        self._others[revision] = values = {} if values is None else values
        return values

    def _make_room(self) -> None:
        """For one more. The last of the others is never dropped: it is being posted to."""
        if self._kept == self._most:
            revision = next(iter(self._others))
            self._kept -= len(self._others.pop(revision))
            self._boot = _new_boot()
            self._tell_once(revision)
        self._kept += 1

    def _tell_once(self, revision: str) -> None:
        if not self._dropped:
            self._dropped = True
            log.warning(
                "what was posted for revision %s is not counted here any longer: values were posted"
                " for more revisions than there is room for; this is said once",
                revision,
            )

    async def page(self) -> bytes:
        """JSON. What was counted in the last second may be missing. Each value and each revision's
        requests are of one moment; not all of them together are."""
        async with self._making:
            if self._now() >= self._stale_at:
                self._page = await self._made()
                self._stale_at = self._now() + FRESH_S
            return self._page

    async def _made(self) -> bytes:
        boot = self._boot
        counted = {self.revision: self._own, **self._others}  # both of one moment
        revisions: dict[str, object] = {}
        for revision, values in counted.items():
            told = {}
            for name, sums in list(values.items()):
                told[name] = orjson.Fragment(orjson.dumps(sums.told()))
                await asyncio.sleep(0)  # a full one takes some time, and many may be
            answered = self._answered() if revision == self.revision else {}
            revisions[revision] = {**answered, "values": told}
        return orjson.dumps(
            {
                "boot": boot,
                "started": self._started,
                "buckets": BUCKETS,
                "revisions": revisions,
            }
        )

    def _answered(self) -> dict[str, object]:
        requests, errors = self._totals()
        by_caller = {"requests": _sparse(self._requests), "errors": _sparse(self._errors)}
        return {"requests": requests, "errors": errors, "callers": by_caller}


def _new_boot() -> str:
    return str(uuid.uuid4())


def _sparse(counts: "array[int] | None") -> dict[str, int]:
    return {str(bucket): count for bucket, count in enumerate(counts or ()) if count}
