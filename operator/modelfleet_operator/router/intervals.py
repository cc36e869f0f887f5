"""How do weights move so that only those move who must?

A sticky caller has a place on the line from 0 to 10000, and its arm is the interval that covers it.
So when one arm grows and another shrinks, pieces of the one that shrinks are given away where they
are, and nothing else is touched: whoever is on the arm that grows stays, and a ramp never moves
anybody back.

    stable 10000                            candidate to 20 %, from the left of the stable arm
    candidate 2000 | stable 8000            and so on to 50 %: only the boundary moves
    candidate 5000 | stable 5000

Arms that grow and shrink by turns would cut the line into ever smaller pieces. Beyond `MOST` pieces
the line is put in order again, which moves callers between arms once.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from modelfleet_operator.router.routes import weights
from modelfleet_operator.router.site import WHOLE, Interval, Intervals

MOST: Final = 64


def first(wanted: Mapping[str, int]) -> Intervals:
    """A line on which nobody has a place yet, in the order of `wanted`.

    `wanted` is in parts of 10000 by revision, and sums to 10000.
    """
    _check(wanted)
    return _merged(Interval(revision, parts) for revision, parts in wanted.items())


def moved(now: Intervals, wanted: Mapping[str, int], most: int = MOST) -> Intervals:
    """The line with the parts that are wanted, and as few callers moved as these allow.

    Raises ValueError where `wanted` does not sum to 10000 or has a negative part.
    """
    _check(wanted)
    if sum(each.parts for each in now) != WHOLE:
        return first(wanted)
    has = weights(now)
    given = {name: parts - wanted.get(name, 0) for name, parts in has.items()}
    spare = {name: parts for name, parts in given.items() if parts > 0}
    growth = {
        name: parts - has.get(name, 0) for name, parts in wanted.items()
        if parts > has.get(name, 0)
    }  # fmt: skip
    line = list(now)
    for grower, parts in growth.items():
        line = _grow(line, grower, parts, spare)
    found = _merged(line)
    return found if len(found) <= most else _in_order(found, wanted)


def _grow(line: list[Interval], grower: str, parts: int, spare: dict[str, int]) -> list[Interval]:
    """Give `grower` its parts out of those who shrink: beside what it has where that is possible,
    then from the left."""
    while parts:
        at, from_left = _next_piece(line, grower, spare)
        piece = line[at]
        taken = min(parts, piece.parts, spare[piece.revision])
        parts -= taken
        spare[piece.revision] -= taken
        new, rest = Interval(grower, taken), Interval(piece.revision, piece.parts - taken)
        line = list(_merged([*line[:at], *([new, rest] if from_left else [rest, new]),
                             *line[at + 1 :]]))  # fmt: skip
    return line


def _next_piece(line: list[Interval], grower: str, spare: dict[str, int]) -> tuple[int, bool]:
    """Which piece to take from, and whether from its left end."""
    able = [at for at, piece in enumerate(line) if piece.parts and spare.get(piece.revision, 0) > 0]
    for at in able:
        if at > 0 and line[at - 1].revision == grower:
            return at, True
        if at + 1 < len(line) and line[at + 1].revision == grower:
            return at, False
    return able[0], True


def _in_order(line: Intervals, wanted: Mapping[str, int]) -> Intervals:
    """One piece for each arm, in the order in which they stand."""
    order = dict.fromkeys(each.revision for each in line)
    return _merged(Interval(name, wanted[name]) for name in order)


def _merged(line: Iterable[Interval]) -> Intervals:
    """Without empty pieces, and neighbours of one revision as one."""
    found: list[Interval] = []
    for each in line:
        if not each.parts:
            continue
        if found and found[-1].revision == each.revision:
            each = Interval(each.revision, found.pop().parts + each.parts)
        found.append(each)
    return tuple(found)


def _check(wanted: Mapping[str, int]) -> None:
    negative = [name for name, parts in wanted.items() if parts < 0]
    if negative:
        raise ValueError(f"{negative[0]} has a weight below 0")
    if sum(wanted.values()) != WHOLE:
        raise ValueError(f"the weights sum to {sum(wanted.values())}: they must sum to {WHOLE}")
