"""The rows of the tree: a variant's revisions, and under each its pods."""

from collections.abc import Iterable, Sequence

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.status import RevisionStatus, VariantStatus
from modelfleet_operator.cli.ages import age
from modelfleet_operator.cli.picture import Picture, ShownPod
from modelfleet_operator.cli.styled import Cell, Span, Style
from modelfleet_operator.router.site import WHOLE

HEAD = ("NAME", "VERSION", "ROLE", "TRAFFIC", "READY", "AGE", "STATE")

Row = Sequence[Cell]


def revisions(picture: Picture, told: VariantStatus, *, more: bool = False) -> list[Row]:
    """The latest first. `more`: something else hangs on the same stem, below them."""
    shown = [each for each in told.revisions if _matters(picture, told, each)]
    shown.sort(key=lambda each: -each.number)
    rows: list[Row] = []
    for n, each in enumerate(shown):
        rows += _revision(picture, told, each, last=not more and n == len(shown) - 1)
    return rows


def strays(picture: Picture, stem: str = "") -> list[Row]:
    """Pods of revisions of which nothing is told."""
    known = {each.name for told in picture.status.variants for each in told.revisions}
    found = [each for each in picture.pods if each.pod.revision not in known]
    if not found:
        return []
    head = [f"{stem}pods of no revision that is known", "", "", "", "", "", ""]
    return [head, *_pods(picture, found, " " * len(stem))]


def percent(parts: int | None) -> str:
    """Of all traffic; nothing where no router shares it out."""
    return "" if parts is None else f"{parts * 100 / WHOLE:g} %"


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
) -> Iterable[Row]:
    pods = [p for p in picture.pods if p.pod.revision == each.name]
    ready, of = each.ready_replicas, max(each.replicas, each.ready_replicas)
    idle = read_time(each.idle_since)
    yield [
        Span(f"{'└' if last else '├'}─ revision {each.number}", Style.STRONG),
        each.version or "",
        role(told, each.name),
        percent(each.weight),
        Span(f"{ready}/{of}", Style.GOOD if of and ready == of else Style.PLAIN),
        "",
        f"finishes its last requests since {age(idle, picture.now)}" if idle else "",
    ]
    yield from _pods(picture, pods, "   " if last else "│  ")


def _pods(picture: Picture, pods: Sequence[ShownPod], stem: str) -> Iterable[Row]:
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
