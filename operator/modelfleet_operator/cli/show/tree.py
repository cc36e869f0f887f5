"""What `status` shows: the rollout, the tree of revisions and pods, conditions, and events."""

from collections.abc import Iterable, Sequence

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.api.status import (
    Condition,
    ConditionType,
    Phase,
    RevisionStatus,
    RolloutStatus,
    Truth,
    VariantStatus,
)
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import Picture, ShownPod, called
from modelfleet_operator.cli.show.checks import checks
from modelfleet_operator.cli.show.deployments import phase
from modelfleet_operator.cli.styled import Cell, Line, Span, Style, line, table
from modelfleet_operator.router.site import WHOLE

EVENTS = 5
"""So many of the last are shown."""

_PHASES = {
    Phase.STARTING: Style.WARN,
    Phase.SHIFTING: Style.WARN,
    Phase.HOLDING: Style.GOOD,
    Phase.PAUSED: Style.WARN,
    Phase.ROLLING_BACK: Style.BAD,
    Phase.FAILED: Style.BAD,
}
_TRUTHS = {Truth.TRUE: Style.GOOD, Truth.FALSE: Style.BAD, Truth.UNKNOWN: Style.WARN}


def tree(picture: Picture) -> tuple[Line, ...]:
    lines = [*_head(picture), (), *_revisions(picture)]
    rollout = picture.rollout
    if rollout is not None and rollout.analysis is not None:
        lines += [(), *checks(rollout.analysis, len(picture.steps))]
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
    rollout, told = picture.rollout, picture.variant
    if rollout is None or told is None:
        return
    yield line(Span("rollout  ", Style.FAINT), *_rollout(picture, told, rollout))
    if picture.steps:
        yield line(Span("steps    ", Style.FAINT), *_steps(picture, rollout))
    if rollout.surge in (Surge.IN_PLACE, Surge.RECREATE):
        yield line(Span("places   ", Style.FAINT), f"{rollout.surge}: {rollout.surge_reason}")
    if rollout.observed:
        yield line(Span("traffic  ", Style.FAINT), rollout.observed)


def _rollout(picture: Picture, told: VariantStatus, rollout: RolloutStatus) -> Iterable[Cell]:
    again = f", attempt {rollout.attempt}" if rollout.attempt > 1 else ""
    does = "gave all traffic back" if rollout.phase is Phase.FAILED else (
        "gives all traffic back" if rollout.phase is Phase.ROLLING_BACK else "takes over"
    )  # fmt: skip
    yield f"{called(told, rollout.candidate)} {does}{again}: "
    yield Span(str(rollout.phase), _PHASES.get(rollout.phase, Style.PLAIN))
    since = {
        Phase.HOLDING: rollout.held_since,
        Phase.STARTING: rollout.waiting_since,
        Phase.FAILED: rollout.failed_since,
    }.get(rollout.phase)
    if read_time(since) is not None:
        yield f" for {age(read_time(since), picture.now)}"
    if rollout.message and rollout.message != rollout.phase.lower():
        yield f", {' '.join(rollout.message.split())}"


def _steps(picture: Picture, rollout: RolloutStatus) -> Iterable[Cell]:
    """Those that are done are faint, and the one that stands is marked."""
    shares = [*(step.weight for step in picture.steps), 100]
    for number, share in enumerate(shares):
        if number:
            yield Span(" → ", Style.FAINT)
        word = f"{share} %" if share else "preview"
        if number == rollout.step and not rollout.failed:
            yield Span(f"[{word}]", Style.STRONG)
        else:
            yield Span(word, Style.FAINT if number < rollout.step else Style.PLAIN)


# -- the tree


def _revisions(picture: Picture) -> tuple[Line, ...]:
    head = ("NAME", "VERSION", "ROLE", "TRAFFIC", "READY", "AGE", "STATE")
    told = picture.variant
    rows: list[Sequence[Cell]] = []
    shown = [] if told is None else [r for r in told.revisions if _matters(picture, told, r)]
    shown.sort(key=lambda r: -r.number)
    known = {r.name for r in shown}
    orphans = [p for p in picture.pods if p.pod.revision not in known]
    groups = len(shown) + bool(orphans)
    for n, each in enumerate(shown):
        assert told is not None
        rows += _revision(picture, told, each, last=n == groups - 1)
    if orphans:
        rows.append(["└─ pods of no revision that is known", "", "", "", "", "", ""])
        rows += _pods(picture, orphans, "   ")
    if not rows:
        return (line(Span("no revision yet", Style.FAINT)),)
    return table(head, rows)


def _matters(picture: Picture, told: VariantStatus, each: RevisionStatus) -> bool:
    """What is only kept for an undo is for `history`."""
    has_pods = any(p.pod.revision == each.name for p in picture.pods)
    return has_pods or bool(each.weight) or role(told, each.name).text != "kept"


def role(told: VariantStatus, name: str) -> Span:
    """What a revision is at the moment."""
    rollout = told.rollout
    failed = rollout is not None and rollout.candidate == name and bool(rollout.failed)
    if failed:
        return Span("failed", Style.BAD)
    if told.stable == name:
        return Span("stable", Style.GOOD)
    if told.candidate == name:
        return Span("candidate", Style.WARN)
    return Span("kept", Style.FAINT)


def _revision(
    picture: Picture, told: VariantStatus, each: RevisionStatus, *, last: bool
) -> Iterable[Sequence[Cell]]:
    pods = [p for p in picture.pods if p.pod.revision == each.name]
    ready, of = each.ready_replicas, max(each.replicas, each.ready_replicas)
    idle = read_time(each.idle_since)
    yield [
        Span(f"{'└' if last else '├'}─ revision {each.number}", Style.STRONG),
        each.version or "",
        role(told, each.name),
        "" if each.weight is None else f"{each.weight * 100 / WHOLE:g} %",
        Span(f"{ready}/{of}", Style.GOOD if of and ready == of else Style.PLAIN),
        "",
        f"finishes its last requests since {age(idle, picture.now)}" if idle else "",
    ]
    yield from _pods(picture, pods, "   " if last else "│  ")


def _pods(picture: Picture, pods: Sequence[ShownPod], stem: str) -> Iterable[Sequence[Cell]]:
    for n, each in enumerate(pods):
        branch = "└─" if n == len(pods) - 1 else "├─"
        name, old = f"{stem}{branch} {each.pod.name}", age(each.made, picture.now)
        yield [name, "", "", "", "", old, state(each)]


def state(each: ShownPod) -> Span:
    pod = each.pod
    again = f", restarted {each.restarts} times" if each.restarts > 1 else (
        ", restarted once" if each.restarts else ""
    )  # fmt: skip
    if pod.leaving:
        return Span("leaving", Style.FAINT)
    if pod.ready:
        return Span(f"ready{again}", Style.WARN if again else Style.GOOD)
    if pod.trouble is not None:
        said = " ".join(pod.trouble.message.split())
        return Span(f"{pod.trouble.reason}: {said}{again}", Style.BAD)
    return Span(f"starting{again}" if pod.scheduled else "waits for a node", Style.WARN)


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
