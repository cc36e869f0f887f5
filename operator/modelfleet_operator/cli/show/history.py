"""The revisions that there are, by number."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.exits import Missing
from modelfleet_operator.cli.show.revisions import role
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, table
from modelfleet_operator.cli.variants import missing, variant_of
from modelfleet_operator.kinds import Json
from modelfleet_operator.seen import Resource

_HEAD = ("VARIANT", "REVISION", "VERSION", "STATE", "AGE", "NAME", "URI", "DIGEST")
_SHORT = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class PastRevision:
    variant: str
    number: int
    """Counted within the variant."""
    name: str
    version: str | None
    uri: str
    digest: str | None
    made: datetime | None
    state: Span
    """stable, candidate, failed or kept."""


def read_history(
    resource: Resource, revisions: Iterable[Json], only: str | None = None
) -> tuple[PastRevision, ...]:
    """The ControllerRevisions of one ModelDeployment, by variant, the oldest first. Those of a
    variant that `only` names, where it does. Raises `Missing` where there is none of that name."""
    told = {each.name: each for each in resource.status.variants}
    read = []
    for each in revisions:
        name, model = each["metadata"]["name"], (each.get("data") or {}).get("model") or {}
        variant = variant_of(each)
        known = told.get(variant)
        read.append(
            PastRevision(
                variant=variant,
                number=each["revision"],
                name=name,
                version=model.get("version"),
                uri=str(model.get("uri", "")),
                digest=model.get("digest"),
                made=read_time(each["metadata"].get("creationTimestamp")),
                state=Span("kept", Style.FAINT) if known is None else role(known, name),
            )
        )
    order = [*told, *sorted({each.variant for each in read} - told.keys())]
    if only is not None and only not in order:
        raise Missing(missing(resource.name, only, order))
    found = [each for each in read if only in (None, each.variant)]
    return tuple(sorted(found, key=lambda r: (order.index(r.variant), r.number, r.name)))


def history(
    past: Iterable[PastRevision], now: datetime, *, wide: bool = False, variants: bool = False
) -> tuple[Line, ...]:
    """`variants`: there are several, so each line says whose it is."""
    rows: list[list[Cell]] = []
    for each in past:
        digest = each.digest or "-"
        rows.append(
            [
                each.variant if variants else "",
                str(each.number),
                each.version or "-",
                each.state,
                age(each.made, now),
                each.name,
                each.uri,
                digest if wide else digest[:_SHORT],
            ]
        )
    return table(_HEAD, rows)


def as_documents(past: Iterable[PastRevision]) -> list[Json]:
    return [
        {
            "variant": each.variant,
            "revision": each.number,
            "name": each.name,
            "version": each.version,
            "uri": each.uri,
            "digest": each.digest,
            "created": None if each.made is None else each.made.isoformat(),
            "state": each.state.text,
        }
        for each in past
    ]
