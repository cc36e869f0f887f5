"""How is the traffic shared among the variants, and what does that make of their revisions?

A variant gets its share when the pods that are asked for it are there, and until then the others
have it, by their own shares. One that has no pod left lends its share in the same way: its callers
are answered by another arm rather than by nobody. While traffic is on its way from one variant to
another, no further share moves before every router serves the one before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelfleet_operator.router.site import WHOLE


@dataclass(frozen=True, slots=True)
class Claim:
    """What one variant has, is asked to have, and could carry. Parts are of 10000."""

    asked: int
    now: int
    usable: int
    """Ready pods that every router reaches, of the revisions among which it splits its share."""
    demand: int
    """Pods that its share needs; 0: it is stopped."""
    answers: bool = True
    """A pod of it is ready, and not out of reach of every router."""
    leaving: bool = False
    """The spec has it no more."""

    @property
    def alive(self) -> bool:
        return self.answers and self.demand > 0

    @property
    def able(self) -> bool:
        """May have more than it has."""
        return self.alive and 0 < self.demand <= self.usable


def decide(claims: Mapping[str, Claim], *, served: bool) -> dict[str, int]:
    """Parts of 10000 by variant. Where nobody can answer, everything stays as it is, or is as it
    is asked for where nothing was written yet."""
    now = {name: claim.now for name, claim in claims.items()}
    begun = sum(now.values()) == WHOLE
    goal = _goal(claims)
    if goal is None:
        return now if begun else _spread({n: c.asked for n, c in claims.items()}, WHOLE, claims)
    dead = any(claim.now and not claim.alive for claim in claims.values())
    return now if begun and not served and not dead else goal


def _goal(claims: Mapping[str, Claim]) -> dict[str, int] | None:
    """None: nobody can answer."""
    # One that is short of pods keeps what it has, as far as it may have it.
    short = {n: min(c.asked, c.now) for n, c in claims.items() if c.alive and not c.able}
    able = {n: c.asked for n, c in claims.items() if c.able and c.asked}
    if able:
        return _spread(able, WHOLE - sum(short.values()), claims) | _kept(short)
    # Nobody may have more, so those that have something keep it, those that leave as well.
    alive = {n: c.now or c.asked for n, c in claims.items() if c.alive and (c.now or c.asked)}
    if not alive:
        # A deployment that comes to its routers begins with what serves. A variant that is asked
        # to have nothing gets nothing, whoever else is away: it may be a shadow.
        alive = {n: 1 for n, c in claims.items() if c.alive and c.leaving}
    return _spread(alive, WHOLE, claims) if alive else None


def _kept(parts: Mapping[str, int]) -> dict[str, int]:
    return {name: each for name, each in parts.items() if each}


def _spread(by: Mapping[str, int], whole: int, claims: Mapping[str, Claim]) -> dict[str, int]:
    """`whole` parts, in proportion; what does not divide goes to the largest remainders."""
    total = sum(by.values())
    if not total:
        return {next(iter(claims)): whole}
    exact = {name: parts * whole / total for name, parts in by.items()}
    given = {name: int(each) for name, each in exact.items()}
    order = sorted(exact, key=lambda name: (given[name] - exact[name], name))
    for name in order[: whole - sum(given.values())]:
        given[name] += 1
    return _kept(given)


def composed(share: int, within: Mapping[str, int]) -> dict[str, int]:
    """The parts of all traffic of a variant's revisions, in the order of `within`.

    Each that has a part of the variant's share has a part of this, as long as there are enough; the
    last takes the rest, so that a shift inside a variant changes no other's share.
    """
    if not share:
        return {}
    names = [name for name, parts in within.items() if parts]
    made: dict[str, int] = {}
    left = share
    for at, name in enumerate(names):
        after = len(names) - at - 1
        parts = left if not after else round(share * within[name] / WHOLE)
        made[name] = max(min(parts, left - after), min(1, left))
        left -= made[name]
    return {name: parts for name, parts in made.items() if parts}
