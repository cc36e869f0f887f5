"""The table of `get`."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.status import RolloutStatus, VariantStatus
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import called, revision, steps
from modelfleet_operator.cli.show.revisions import percent
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, table
from modelfleet_operator.cli.variants import several
from modelfleet_operator.kinds import Json
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.seen import Resource

PHASES = {
    "Ready": Style.GOOD,
    "Progressing": Style.WARN,
    "Pending": Style.WARN,
    "Degraded": Style.BAD,
    "Failed": Style.BAD,
    "Stopped": Style.FAINT,
}
_HEAD = ("NAME", "VERSION", "READY", "CANDIDATE", "WEIGHT", "PHASE", "AGE")
_WIDE = ("VARIANTS", "STABLE", "STEP", "ROLLOUT", "URL", "MESSAGE")


def deployments(
    found: Iterable[Json], now: datetime, *, wide: bool = False, namespaces: bool = False
) -> tuple[Line, ...]:
    """A line for each, by namespace and name. The columns are always all there."""
    head = (*(["NAMESPACE"] if namespaces else []), *_HEAD, *(_WIDE if wide else ()))
    rows = []
    for body in sorted(found, key=lambda b: (b["metadata"]["namespace"], b["metadata"]["name"])):
        resource = read_resource(body)
        made = read_time(body["metadata"].get("creationTimestamp"))
        row: list[Cell] = [resource.namespace] if namespaces else []
        row += _row(resource, age(made, now))
        rows.append([*row, *(_more(resource) if wide else ())])
    return table(head, [[cell or "-" for cell in row] for row in rows])


def phase(resource: Resource) -> Span:
    word = resource.status.phase or "Unknown"
    return Span(word, PHASES.get(word, Style.PLAIN))


def _row(resource: Resource, old: str) -> list[Cell]:
    status = resource.status
    moving = [told for told in status.variants if told.candidate is not None]
    shifting = [told for told in moving if told.stable is not None and told.rollout is not None]
    return [
        resource.name,
        status.version or "",
        f"{status.ready_replicas}/{status.desired_replicas}",
        _each(resource, {told.name: _version(told, told.candidate) for told in moving}),
        _each(resource, {told.name: f"{told.weight} %" for told in shifting}),
        phase(resource),
        old,
    ]


def _each(resource: Resource, texts: Mapping[str, str]) -> str:
    """Of several variants with their names: `control 80 %, challenger 20 %`."""
    named = several(resource)
    return ", ".join(f"{name} {text}" if named else text for name, text in texts.items())


def _version(told: VariantStatus, name: str | None) -> str:
    found = revision(told, name)
    return (found.version if found is not None else None) or name or ""


def _more(resource: Resource) -> list[Cell]:
    status = resource.status
    shares = {v.name: percent(v.share) for v in status.variants if v.share is not None}
    rollouts = {v.name: v.rollout for v in status.variants if v.rollout is not None}
    ready = next((c for c in status.conditions if c.type == "Ready"), None)
    return [
        _each(resource, shares) if several(resource) else "",
        _each(resource, {v.name: called(v, v.stable) for v in status.variants if v.stable}),
        _each(resource, {name: step(resource, each) for name, each in rollouts.items()}),
        _each(resource, {name: str(each.phase) for name, each in rollouts.items()}),
        status.url or "",
        " ".join((ready.message if ready is not None else "").split()),
    ]


def step(resource: Resource, rollout: RolloutStatus) -> str:
    """`2/3`, counted as people count; past the last one, the rest of the traffic is on its way."""
    count = len(steps(resource))
    return f"{min(rollout.step + 1, count)}/{count}" if count else ""
