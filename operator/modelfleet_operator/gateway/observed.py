"""What do an HTTPRoute and a GRPCRoute of ours say: which weights, and does the Gateway serve them?

The Gateway API has no word for "the proxies have it". What there is: the Gateway's controller says
of the route, and of that very generation of it, that it is accepted and that its references
resolve.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modelfleet_operator.kinds import Json

ACCEPTED: Final = "Accepted"
RESOLVED: Final = "ResolvedRefs"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the Gateway's controller says of a route."""

    current: bool
    """It speaks of the route as it was written last."""
    refused: str = ""
    """Why it does not serve it, in its own words; empty where it does."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route of ours."""

    kind: str
    name: str
    weights: Mapping[str, int] = field(default_factory=dict)
    """By revision, of what no match takes; a revision with 0 is only known."""
    standing: Standing | None = None
    """None: no controller has said anything of our Gateway."""

    @property
    def served(self) -> bool:
        """As it was written last."""
        return self.standing is not None and self.standing.current and not self.standing.refused

    def splits(self, weights: Mapping[str, int]) -> bool:
        """Whether it gives these and nobody else what they have there."""
        return _given(self.weights) == _given(weights)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def _given(weights: Mapping[str, int]) -> dict[str, int]:
    return {name: parts for name, parts in weights.items() if parts}


def read_route(found: Json, controller: str = "") -> Route:
    """`controller`: the name of the one that is to serve it; empty where that is not known, and
    then any that answers for our Gateway will do."""
    spec, metadata = found.get("spec", {}), found["metadata"]
    rules = spec.get("rules") or [{}]
    references = spec.get("parentRefs") or [{}]
    parents = [
        parent
        for parent in found.get("status", {}).get("parents") or ()
        if _same(parent.get("parentRef", {}), references[0], metadata["namespace"])
        and controller in ("", parent.get("controllerName"))
    ]
    return Route(
        kind=found["kind"],
        name=metadata["name"],
        weights={
            each["name"]: each.get("weight", 1) for each in rules[-1].get("backendRefs") or ()
        },
        standing=_best(_standing(parent, metadata["generation"]) for parent in parents),
    )


def _same(one: Json, other: Json, namespace: str) -> bool:
    """A controller repeats the reference, with its defaults or without."""

    def key(reference: Json) -> tuple[Any, ...]:
        return (
            reference.get("name"),
            reference.get("namespace") or namespace,
            reference.get("sectionName"),
        )

    return key(one) == key(other)


def _standing(parent: Json, generation: int) -> Standing:
    conditions = {each["type"]: each for each in parent.get("conditions") or ()}
    needed = [conditions.get(type_) for type_ in (ACCEPTED, RESOLVED)]
    known = [each for each in needed if each is not None]
    current = len(known) == len(needed) and all(
        each.get("observedGeneration") == generation for each in known
    )
    untrue = [each for each in known if each.get("status") != "True"]
    return Standing(current, _words(untrue[0]) if untrue else "")


def _words(condition: Json) -> str:
    message = condition.get("message", "")
    reason = condition.get("reason", condition["type"])
    return f"{reason}: {message}" if message else str(reason)


def _best(standings: Iterable[Standing]) -> Standing | None:
    """Of several, one that serves it; one that had it before may never speak again."""
    order = sorted(standings, key=lambda each: (not each.current, bool(each.refused)))
    return order[0] if order else None
