"""Sums by hash bucket of the caller: what pods count, where requests of one caller are alike.

The pods' sums only grow while a pod lives, and there are too many of them to remember each pod's in
the resource. So what is remembered is one sum of each arm, over all pods, and what has to be added
to the pods' own sums to get there:

- the same pods as at the last look, and new ones that started since: what they have together grew
  by what came;
- a pod is gone, or one is seen late, or a count fell, or an arm's revisions are others: what came
  since the last look cannot be told. It is left out, for every arm, and the pods' sums of now are
  what the next look is compared with;
- a pod that should answer and does not: nothing is concluded until it does or is gone.
"""

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelfleet_operator.statistics.encoding import Reader, Writer

BUCKETS = 128
"""As many as pods tell. More are too many for a resource, and change nothing that is concluded."""
SKEW = 2.0
"""Seconds by which a pod's start must lie behind the last look: clocks differ."""

_KIND, _VERSION = "cal", 1
_EMPTY = (0.0,) * BUCKETS


@dataclass(frozen=True, slots=True)
class Column:
    """One sum over requests."""

    whole: float = 0.0
    """Of all requests, those of unknown callers among them."""
    buckets: tuple[float, ...] = _EMPTY
    """Of the requests of known callers."""

    @classmethod
    def of(cls, whole: float, buckets: Mapping[int, float]) -> "Column":
        """`buckets` may have any number of them: bucket b counts in b % BUCKETS."""
        if not buckets:
            return cls(whole)
        sums = [0.0] * BUCKETS
        for bucket, value in buckets.items():
            sums[bucket % BUCKETS] += value
        return cls(whole, tuple(sums))

    @property
    def known(self) -> int:
        """Buckets that have anything."""
        return sum(value != 0 for value in self.buckets)

    def joined(self, other: "Column", by: Callable[[float, float], float]) -> "Column":
        if self.buckets is _EMPTY and other.buckets is _EMPTY:
            return Column(by(self.whole, other.whole))
        buckets = tuple(map(by, self.buckets, other.buckets))
        return Column(by(self.whole, other.whole), buckets)

    def at_least(self, other: "Column") -> bool:
        """Nowhere less."""
        return self.whole >= other.whole and all(
            a >= b for a, b in zip(self.buckets, other.buckets, strict=True)
        )

    def write(self, writer: Writer) -> None:
        writer.number(self.whole)
        writer.count(0 if self.buckets == _EMPTY else 1)
        for value in () if self.buckets == _EMPTY else self.buckets:
            whole = value.is_integer() and abs(value) < 2**50
            # Counts are short, and most sums are counts.
            writer.count(2 * int(abs(value)) + (value < 0) + 1 if whole else 0)
            if not whole:
                writer.number(value)

    @classmethod
    def read(cls, reader: Reader) -> "Column":
        whole = reader.number()
        return cls(
            whole, tuple(_read(reader) for _ in range(BUCKETS)) if reader.count() else _EMPTY
        )


def _read(reader: Reader) -> float:
    short = reader.count()
    if not short:
        return reader.number()
    size, negative = divmod(short - 1, 2)
    return float(-size if negative else size)


_NONE = Column()


@dataclass(frozen=True, slots=True)
class Values:
    """Of one named value: how many requests had it, and the sums."""

    requests: Column = _NONE
    total: Column = _NONE
    squares: float = 0.0
    nonzero: float = 0.0


_NO_VALUES = Values()


@dataclass(frozen=True, slots=True)
class Sums:
    """Of one arm."""

    requests: Column = _NONE
    errors: Column = _NONE
    values: Mapping[str, Values] = field(default_factory=dict)

    def only(self, values: Collection[str], *, by_caller: bool) -> "Sums":
        """What is asked for: some of the values, and the sums of buckets or just the whole."""
        kept = {name: value for name, value in self.values.items() if name in values}
        if by_caller:
            return replace(self, values=kept)
        return Sums(
            Column(self.requests.whole),
            Column(self.errors.whole),
            {
                name: replace(
                    value,
                    requests=Column(value.requests.whole),
                    total=Column(value.total.whole),
                )
                for name, value in kept.items()
            },
        )

    def without_zeros(self) -> "Sums":
        """The same, without values of which nothing is counted."""
        kept = {name: value for name, value in self.values.items() if value != _NO_VALUES}
        return replace(self, values=kept)

    def __add__(self, other: "Sums") -> "Sums":
        return self._joined(other, lambda a, b: a + b)

    def __sub__(self, other: "Sums") -> "Sums":
        return self._joined(other, lambda a, b: a - b)

    def _joined(self, other: "Sums", by: Callable[[float, float], float]) -> "Sums":
        none = Values()
        values = {}
        for name in sorted(self.values.keys() | other.values.keys()):
            a, b = self.values.get(name, none), other.values.get(name, none)
            values[name] = Values(
                a.requests.joined(b.requests, by),
                a.total.joined(b.total, by),
                by(a.squares, b.squares),
                by(a.nonzero, b.nonzero),
            )
        return Sums(
            self.requests.joined(other.requests, by), self.errors.joined(other.errors, by), values
        )

    def grew_from(self, before: "Sums") -> bool:
        """No count has fallen. Sums of values may fall: values may be below 0."""
        none = Values()
        return (
            self.requests.at_least(before.requests)
            and self.errors.at_least(before.errors)
            and all(
                self.values.get(name, none).requests.at_least(value.requests)
                for name, value in before.values.items()
            )
        )

    def write(self, writer: Writer) -> None:
        self.requests.write(writer)
        self.errors.write(writer)
        writer.count(len(self.values))
        for name, value in sorted(self.values.items()):
            writer.name(name)
            value.requests.write(writer)
            value.total.write(writer)
            writer.number(value.squares)
            writer.number(value.nonzero)

    @classmethod
    def read(cls, reader: Reader) -> "Sums":
        requests, errors = Column.read(reader), Column.read(reader)
        values = {}
        for _ in range(reader.count()):
            name = reader.name()
            columns = Column.read(reader), Column.read(reader)
            values[name] = Values(*columns, reader.number(), reader.number())
        return cls(requests, errors, values)


@dataclass(frozen=True, slots=True)
class Counted:
    """What all pods have counted at one look."""

    at: float
    """When they were asked, in seconds."""
    started: Mapping[str, float]
    """By the name of a process (another one after each start), when it started."""
    arms: Mapping[str, Sums]
    revisions: Sequence[str] = ()
    """Of which revisions these are the sums."""
    complete: bool = True
    """Every pod that serves has answered."""


@dataclass(frozen=True, slots=True)
class Callers:
    """What is remembered between two looks."""

    at: float = 0.0
    processes: frozenset[int] = frozenset()
    """Those of the last look, each as a number."""
    revisions: int = 0
    totals: Mapping[str, Sums] = field(default_factory=dict)
    """Of this segment, by arm."""
    beside: Mapping[str, Sums] = field(default_factory=dict)
    """What has to be added to the pods' own sums to get the totals; arms are left out where that is
    nothing."""

    def add(self, now: Counted) -> "Callers":
        if not now.complete:
            return self
        looked = replace(
            self,
            at=now.at,
            processes=frozenset(map(_number, now.started)),
            revisions=_number(" ".join(sorted(now.revisions))),
        )
        grown = {arm: self.beside.get(arm, Sums()) + sums for arm, sums in now.arms.items()}
        if self._follows(now, looked) and all(
            sums.grew_from(self.totals.get(arm, Sums())) for arm, sums in grown.items()
        ):
            return replace(looked, totals=grown)
        none = Sums()
        apart = {
            arm: (self.totals.get(arm, none) - sums).without_zeros()
            for arm, sums in now.arms.items()
        }
        beside = {arm: sums for arm, sums in apart.items() if sums != none}
        kept = {arm: self.totals.get(arm, none) for arm in now.arms}
        return replace(looked, totals=kept, beside=beside)

    def _follows(self, now: Counted, looked: "Callers") -> bool:
        """Every pod of the last look is still there, and the others have come since."""
        if not self.at or not self.processes <= looked.processes:
            return False
        return self.revisions == looked.revisions and all(
            _number(process) in self.processes or started > self.at + SKEW
            for process, started in now.started.items()
        )

    def next_segment(self) -> "Callers":
        """Everything begins at nothing, with the next look."""
        return Callers()

    def of(self, arm: str) -> Sums:
        return self.totals.get(arm, Sums())

    def to_text(self) -> str:
        writer = Writer(_KIND, _VERSION)
        writer.number(self.at)
        writer.count(self.revisions)
        writer.count(len(self.processes))
        for process in sorted(self.processes):
            writer.count(process)
        for sums in (self.totals, self.beside):
            writer.count(len(sums))
            for arm, each in sorted(sums.items()):
                writer.name(arm)
                each.write(writer)
        return writer.text()

    @classmethod
    def from_text(cls, text: str) -> "Callers":
        """Raises BrokenText."""
        reader = Reader(text, _KIND, _VERSION)
        at, revisions = reader.number(), reader.count()
        processes = frozenset(reader.count() for _ in range(reader.count()))
        totals = {reader.name(): Sums.read(reader) for _ in range(reader.count())}
        beside = {reader.name(): Sums.read(reader) for _ in range(reader.count())}
        reader.end()
        return cls(at, processes, revisions, totals, beside)


def _number(name: str) -> int:
    return zlib.crc32(name.encode())
