"""The revisions that there are, by number."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import variant
from modelfleet_operator.cli.show.tree import role
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, table
from modelfleet_operator.kinds import Json
from modelfleet_operator.seen import Resource

_HEAD = ("REVISION", "VERSION", "STATE", "AGE", "NAME", "URI", "DIGEST")
_SHORT = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class PastRevision:
    number: int
    name: str
    version: str | None
    uri: str
    digest: str | None
    made: datetime | None
    state: Span
    """stable, candidate, failed or kept."""


def read_history(resource: Resource, revisions: Iterable[Json]) -> tuple[PastRevision, ...]:
    """The ControllerRevisions of one ModelDeployment, the oldest first."""
    told = variant(resource)
    read = []
    for each in revisions:
        name, model = each["metadata"]["name"], (each.get("data") or {}).get("model") or {}
        read.append(
            PastRevision(
                number=each["revision"],
                name=name,
                version=model.get("version"),
                uri=str(model.get("uri", "")),
                digest=model.get("digest"),
                made=read_time(each["metadata"].get("creationTimestamp")),
                state=Span("kept", Style.FAINT) if told is None else role(told, name),
            )
        )
    return tuple(sorted(read, key=lambda r: (r.number, r.name)))


def history(past: Iterable[PastRevision], now: datetime, *, wide: bool = False) -> tuple[Line, ...]:
    rows: list[list[Cell]] = []
    for each in past:
        digest = each.digest or "-"
        rows.append(
            [
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
