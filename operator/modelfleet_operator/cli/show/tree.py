"""What `status` shows: the rollout, the tree of revisions and pods, conditions, and events.

Where there are several variants, they are the roots of the tree, each with its own rollout and
analysis.
"""

from collections.abc import Iterable

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Condition, ConditionType, Truth, VariantStatus
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import Picture
from modelfleet_operator.cli.show.checks import checks
from modelfleet_operator.cli.show.deployments import phase
from modelfleet_operator.cli.show.revisions import HEAD, Row, percent, revisions, strays
from modelfleet_operator.cli.show.rollout import rollout
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, line, table
from modelfleet_operator.cli.variants import several
from modelfleet_operator.plan.variants import asked

EVENTS = 5
"""So many of the last are shown."""

_TRUTHS = {Truth.TRUE: Style.GOOD, Truth.FALSE: Style.BAD, Truth.UNKNOWN: Style.WARN}


def tree(picture: Picture) -> tuple[Line, ...]:
    lines = [*_head(picture)]
    lines += _variants(picture) if several(picture.resource) else _only(picture)
    if picture.status.conditions:
        lines += [(), line(Span("conditions", Style.STRONG))]
        lines += _conditions(picture, picture.status.conditions)
    if picture.events:
        lines += [(), line(Span("events", Style.STRONG)), *_events(picture)]
    return tuple(lines)


def _head(picture: Picture) -> Iterable[Line]:
    resource, status = picture.resource, picture.status
    title = Span(resource.name, Style.STRONG)
    yield line(title, f" in {resource.namespace}: ", phase(resource))
    if picture.stale:
        observed = status.observed_generation
        said = "nothing yet" if observed is None else f"generation {observed}"
        warning = f"the operator has seen {said}; the spec is at generation {resource.generation}"
        yield line(Span(warning, Style.WARN))
    if status.url:
        yield line(Span("url      ", Style.FAINT), status.url)
    if status.experiment is not None and status.experiment.message:
        yield line(Span("compared ", Style.FAINT), status.experiment.message)


def _only(picture: Picture) -> Iterable[Line]:
    """Without a root, since there is one variant."""
    told, stray = picture.variant, strays(picture, "└─ ")
    rows = [] if told is None else revisions(picture, told, more=bool(stray))
    if told is not None:
        yield from rollout(picture, told)
    yield ()
    if rows or stray:
        yield from table(HEAD, [*rows, *stray])
    else:
        yield line(Span("no revision yet", Style.FAINT))
    if told is not None:
        yield from _analysis(picture, told)


def _variants(picture: Picture) -> Iterable[Line]:
    roots = picture.status.variants
    groups: list[list[Row]] = [[_root(picture, v), *revisions(picture, v)] for v in roots]
    stray = strays(picture)
    # In one table, so that the columns of all stand below each other.
    titles, *laid = table(HEAD, [row for rows in (*groups, stray) for row in rows])
    yield ()
    yield titles
    for told, rows in zip(roots, groups, strict=True):
        if told is not roots[0]:
            yield ()
        root, *below = laid[: len(rows)]
        del laid[: len(rows)]
        yield root
        for each in rollout(picture, told):
            yield line("│  ", *each)
        yield from below
        for each in _analysis(picture, told):
            yield line("   ", *each) if each else each
    if stray:
        yield ()
        yield from laid


def _root(picture: Picture, told: VariantStatus) -> Row:
    ready, of = told.ready_replicas, sum(each.replicas for each in told.revisions)
    of = max(of, ready)
    return [
        Span(f"variant {told.name}", Style.STRONG),
        "",
        "",
        percent(told.share),
        Span(f"{ready}/{of}", Style.GOOD if of and ready == of else Style.PLAIN),
        "",
        _to_come(picture, told),
    ]


def _to_come(picture: Picture, told: VariantStatus) -> Cell:
    """What it is to have, where that is not what it has."""
    spec = picture.resource.spec
    wanted = {v.name: v.asked for v in asked(spec)} if isinstance(spec, Spec) else {}
    if told.name not in wanted:
        return Span("leaves: the spec has it no more", Style.WARN) if wanted else ""
    if told.share is None or told.share == wanted[told.name]:
        return ""
    return Span(f"is to have {percent(wanted[told.name])}", Style.WARN)


def _analysis(picture: Picture, told: VariantStatus) -> Iterable[Line]:
    if told.rollout is not None and told.rollout.analysis is not None:
        yield ()
        yield from checks(told.rollout.analysis, len(picture.steps))


# -- below the tree


def _conditions(picture: Picture, conditions: Iterable[Condition]) -> tuple[Line, ...]:
    rows: list[list[Cell]] = []
    for each in conditions:
        # Progressing is False when all is done, which is nothing bad.
        quiet = each.type is ConditionType.PROGRESSING and each.reason == "RolledOut"
        style = Style.PLAIN if quiet else _TRUTHS[each.status]
        since = age(read_time(each.last_transition_time), picture.now)
        message = " ".join(each.message.split())
        rows.append([str(each.type), Span(each.status, style), str(each.reason), since, message])
    return table(("TYPE", "STATUS", "REASON", "SINCE", "MESSAGE"), rows, indent="  ")


def _events(picture: Picture) -> tuple[Line, ...]:
    rows: list[list[Cell]] = []
    for each in picture.events[-EVENTS:]:
        times = f" (x{each.count})" if each.count > 1 else ""
        style = Style.WARN if each.warning else Style.PLAIN
        old = age(each.at, picture.now)
        kind = Span("Warning" if each.warning else "Normal", style)
        rows.append([old, kind, each.reason, f"{each.message}{times}"])
    return table(("AGE", "TYPE", "REASON", "MESSAGE"), rows, indent="  ")
