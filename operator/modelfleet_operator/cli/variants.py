"""Which variant is meant, and how is it called?

Where there is one, nobody has to name it, and no sentence does.
"""

from collections.abc import Iterable

from modelfleet_operator.api import labels
from modelfleet_operator.api.status import VariantStatus
from modelfleet_operator.cli.exits import Missing
from modelfleet_operator.kinds import Json
from modelfleet_operator.seen import Resource


def several(resource: Resource) -> bool:
    """Counted with those that leave."""
    return len(resource.status.variants) > 1


def named(resource: Resource, name: str) -> VariantStatus:
    """Raises `Missing`, which names those that are there."""
    for each in resource.status.variants:
        if each.name == name:
            return each
    raise Missing(missing(resource.name, name, (v.name for v in resource.status.variants)))


def missing(resource: str, name: str, there: Iterable[str]) -> str:
    known = listed(there)
    instead = f"it has {known}" if known else f"`modelfleet status {resource}` shows what it has"
    return f"{resource} has no variant {name}: {instead}"


def variant_of(child: Json) -> str:
    """Whose child it is."""
    marks = child["metadata"].get("labels") or {}
    return str(marks.get(labels.VARIANT, labels.DEFAULT_VARIANT))


def who(resource: Resource, told: VariantStatus | None) -> str:
    """`digits`; of several `variant challenger of digits`."""
    if told is None or not several(resource):
        return resource.name
    return f"variant {told.name} of {resource.name}"


def command(verb: str, resource: Resource, told: VariantStatus | None) -> str:
    """As a person writes it, in the quotes of a sentence."""
    if not several(resource):
        return f"`modelfleet {verb} {resource.name}`"
    return f"`modelfleet {verb} {resource.name} --variant {'NAME' if told is None else told.name}`"


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = [*names] or [""]
    return f"{', '.join(first)} and {last}" if first else last
