"""What a pod has counted for an experiment: the JSON of `GET /experiment`.

The runtime writes it, the operator reads it and adds up the pods. A count only grows while `boot`
is the same. A sum grows by the values, which may be negative.

Requests of one caller are not independent of each other, so whoever compares two revisions needs
sums by caller. A pod keeps them by a hash of the caller: the caller's bucket.
"""

from collections.abc import Mapping
from typing import Annotated, Final, NamedTuple
from zlib import crc32

from pydantic import ConfigDict, Field, FiniteFloat

from modelfleet_contract.base import Shared
from modelfleet_contract.values import MOST_FEEDBACK, MOST_VALUES, ValueName

EXPERIMENT_PATH: Final = "/experiment"
FEEDBACK_PATH: Final = "/feedback"

CALLER_HEADER: Final = "x-modelfleet-caller"
"""On a request: who asks, as far as the routing is concerned. The router sets it to the value of
the header or cookie by which callers stick to a revision."""
FEEDBACK_HEADER: Final = "x-modelfleet-feedback"
"""On an answer: the id under which values may be posted back."""

CALLER_BUCKETS: Final = 1024
MOST_REVISIONS: Final = 128
"""On one page: more than a pod has room for."""

Count = Annotated[int, Field(ge=0)]
Bucket = Annotated[int, Field(ge=0, lt=CALLER_BUCKETS)]


def bucket_of(caller: bytes) -> int:
    """The bucket of a caller, from the header's value."""
    return crc32(caller) % CALLER_BUCKETS


class _Read(Shared):
    """A pod may be of a later version than its reader, so what is not known is left alone."""

    model_config = ConfigDict(extra="ignore")


class Sums(NamedTuple):
    """The values of one bucket."""

    requests: Count
    sum: FiniteFloat
    squares: FiniteFloat


class CallerCounts(_Read):
    """By bucket; a bucket without requests is left out. Only requests with a caller."""

    requests: Mapping[Bucket, Count] = {}
    errors: Mapping[Bucket, Count] = {}


class ValueTally(_Read):
    """One value of the requests of one revision."""

    requests: Count = 0
    """Requests that had the value."""
    nonzero: Count = 0
    """Of those, the ones where it was not 0."""
    sum: FiniteFloat = 0.0
    squares: FiniteFloat = 0.0
    """The sum of its squares."""
    callers: Mapping[Bucket, Sums] = {}
    """By bucket; only requests with a caller."""


class RevisionTally(_Read):
    """One revision, as one pod has seen it."""

    requests: Count = 0
    """Inferences that were answered, with whatever status. Those whose client left are not among
    them. Only of the revision that this pod serves."""
    errors: Count = 0
    """Of those, the ones answered with a status of 500 and above."""
    callers: CallerCounts = CallerCounts()
    values: Annotated[
        Mapping[ValueName, ValueTally], Field(max_length=MOST_VALUES + MOST_FEEDBACK)
    ] = {}
    """By name: of all that the model returns under `runtime.values`, and of what was posted back
    under `runtime.feedback`. Values posted for a revision may be counted by any pod."""


class Tallies(_Read):
    """What one process has counted since it started."""

    boot: Annotated[str, Field(min_length=1, max_length=64)]
    """Another one means another process, which began to count at 0, or that this one has dropped
    what was posted for a revision."""
    started: FiniteFloat
    """Unix time in seconds."""
    buckets: Annotated[int, Field(ge=1, le=CALLER_BUCKETS)]
    """How many there are on this page, a divisor of CALLER_BUCKETS: a caller's bucket counts in its
    remainder. By the remainders pods can be added up whose numbers of buckets differ."""
    revisions: Annotated[
        Mapping[Annotated[str, Field(max_length=253)], RevisionTally],
        Field(max_length=MOST_REVISIONS),
    ] = {}
    """By the revision's full name."""

    @classmethod
    def from_json(cls, text: str | bytes) -> "Tallies":
        """Raises `pydantic.ValidationError`, which names the field that is wrong."""
        return cls.model_validate_json(text)
