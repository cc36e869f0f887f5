"""The numbers that callers post back later: a click, a rating, what became of a forecast.

The id under which that is done is given with the answer, and tells all that is needed to count it
in any pod, because pods do not talk to each other:

    REVISION.ID            6h2kxw7cvd.4aef16f9fca6-e
    REVISION:BUCKET.ID     6h2kxw7cvd:872.4aef16f9fca6-e

REVISION is what the revision's name ends with, BUCKET is the caller's, for a request that had one,
and ID is the request's own id.

The same id and name count once in one process, as far back as it remembers. An id is no secret and
no proof: a caller may write one, as it may post any number. A revision that it
makes up takes the place of the one that was posted to least recently, once there is no room.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from modelfleet_contract import CALLER_BUCKETS, LARGEST_VALUE
from modelfleet_runtime.counting import Counter
from modelfleet_runtime.errors import BadInput, NotFound
from modelfleet_runtime.experiment.remembered import Remembered
from modelfleet_runtime.experiment.tallies import Tallies
from modelfleet_runtime.metrics import OTHER, OWN

BODY_BYTES = 1024 * 1024
MOST_POSTS = 1000
"""In one body."""
_SHOWN = 80
_ID = re.compile(r"([a-z0-9-]{1,63})(?::([0-9]{1,4}))?\.([\x21-\x7e]{1,128})")
_FORM = '{"id": "the answer\'s x-modelfleet-feedback", "values": {"NAME": NUMBER}}'


@dataclass(frozen=True, slots=True)
class Post:
    """Numbers for one request."""

    revision: str
    """As the id has it: what the revision's name ends with."""
    bucket: int | None
    request_id: str
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of the numbers of one body."""

    counted: int
    repeated: int
    """Came before, and were not counted again."""


class Feedback:
    """What may be posted, and the ids for it."""

    def __init__(
        self,
        deployment: str,
        names: Sequence[str],
        tallies: Tallies,
        counters: dict[tuple[str, str], Counter],
    ) -> None:
        """`names` of what may be posted; `counters` by name, and by `OWN` or `OTHER` revision."""
        self.names = tuple(names)
        self._start = f"{deployment}-"
        self._own = tallies.revision.removeprefix(self._start)
        self._tallies = tallies
        self._counters = counters
        self._remembered = Remembered()

    def id_for(self, request_id: bytes, bucket: int | None) -> bytes:
        """The id under which values are posted to a request that was answered here."""
        if bucket is None:
            return b"%b.%b" % (self._own.encode(), request_id)
        return b"%b:%d.%b" % (self._own.encode(), bucket, request_id)

    def take(self, body: bytes, bucket: int | None) -> Counted:
        """Count what a body posts, all of it or nothing. `bucket` is that of who posts, and holds
        where an id has none.

        Raises `BadInput`, or `NotFound` where nothing may be posted.
        """
        if not self.names:
            raise NotFound(
                "this revision takes no feedback; name what may be posted in spec.runtime.feedback"
            )
        counted = repeated = 0
        for post in read(body, self.names):
            revision = self._revision(post)
            whose = OWN if revision == self._tallies.revision else OTHER
            at = bucket if post.bucket is None else post.bucket
            for name, value in post.values.items():
                key = revision, post.request_id, name
                if key in self._remembered:
                    repeated += 1
                    continue
                self._remembered.add(key)
                self._tallies.add(revision, name, value, at)
                self._counters[name, whose].inc()
                counted += 1
        return Counted(counted, repeated)

    def _revision(self, post: Post) -> str:
        """Its full name."""
        mine = post.revision == self._own
        return self._tallies.revision if mine else self._start + post.revision


def read(body: bytes, names: Sequence[str]) -> list[Post]:
    """One post or a list of them. Raises `BadInput` that says what is wrong, and where."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not valid JSON: {error}") from error
    if not isinstance(given, list):
        return [_post(given, "", names)]
    if len(given) > MOST_POSTS:
        raise BadInput(f"the list has {len(given)} posts; send at most {MOST_POSTS} at once")
    return [_post(one, f"[{index}]", names) for index, one in enumerate(given)]


def _post(given: Any, where: str, names: Sequence[str]) -> Post:
    at = f"{where}: " if where else ""
    if not isinstance(given, dict):
        raise BadInput(f"{at}this is no post; send {_FORM}")
    for key in given:
        if key not in ("id", "values"):
            raise BadInput(f"{at}unexpected {key[:_SHOWN]!r}; send {_FORM}")
    told, values = given.get("id"), given.get("values")
    found = _ID.fullmatch(told) if isinstance(told, str) else None
    if found is None or int(found[2] or 0) >= CALLER_BUCKETS:
        shown = _shown(told) if "id" in given else "missing"
        raise BadInput(
            f"{where}.id is {shown}".lstrip(".")
            + "; send what the answer had in its header x-modelfleet-feedback"
        )
    if not isinstance(values, dict) or not values:
        raise BadInput(
            f"{where}.values".lstrip(".") + ' is no object with a number for a name, like {"'
            f'{names[0]}": 1}}'
        )
    numbers = _numbers(values, f"{where}.values".lstrip("."), names)
    return Post(found[1], None if found[2] is None else int(found[2]), found[3], numbers)


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return orjson.dumps(value).decode()[:_SHOWN]


def _numbers(values: dict[str, Any], where: str, names: Sequence[str]) -> dict[str, float]:
    for name, value in values.items():
        if name not in names:
            raise BadInput(
                f"{where}: {name[:_SHOWN]!r} is not taken here; this model takes "
                + ", ".join(repr(known) for known in names)
            )
        if not isinstance(value, (int, float)):  # true and false are 1 and 0
            raise BadInput(f"{where}.{name} is {_shown(value)}; send a number")
        if not abs(value) <= LARGEST_VALUE:
            raise BadInput(
                f"{where}.{name} is {value:g}; send a number from -{LARGEST_VALUE:g} to "
                f"{LARGEST_VALUE:g}"
            )
    return {name: float(value) for name, value in values.items()}
