"""`logs`: what the pods of a revision say, each line after the name of its pod."""

import asyncio
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from modelfleet_operator.api import labels
from modelfleet_operator.api.status import VariantStatus
from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode, Missing, Refusal
from modelfleet_operator.cli.look import Clock, Watch
from modelfleet_operator.cli.picture import Picture, ShownPod
from modelfleet_operator.cli.styled import Span, Style, line
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cli.variants import named, who
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import ApiError, NotFound, Refused

LOOK_S = 5.0
"""How often new pods are looked for, whatever the watch says."""

_PREFIXES = (Style.GOOD, Style.WARN, Style.STRONG, Style.FAINT)


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    name: str
    revision: str | None = None
    """A number, a name, `stable` or `candidate`; None: every pod."""
    only: str | None = None
    """The variant; None: each."""
    follow: bool = False
    previous: bool = False
    """Of the containers before their last restart."""
    tail: int | None = None
    """None: all lines."""
    since: timedelta | None = None


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    """With `follow`, only an interruption ends it, or that the resource goes."""
    if options.follow:
        await _follow(options, terminal, cluster, clock)
        return ExitCode.OK
    seen = await look.picture(cluster, options.namespace, options.name, clock)
    pods = chosen(seen, options.revision, options.only)
    if not pods:
        raise Missing(_no_pods(seen, options))
    silent: list[str] = []
    for each in pods:
        try:
            await _print(options, terminal, cluster, each.pod.name)
        except (Refused, NotFound) as error:
            silent.append(f"{each.pod.name}: {error}")
    for text in silent:
        terminal.note(text)
    return ExitCode.FAILED if len(silent) == len(pods) else ExitCode.OK


def chosen(seen: Picture, revision: str | None, only: str | None = None) -> list[ShownPod]:
    """The pods that are meant: of several variants, those of each that has such a revision, or of
    the one that `only` names. Raises `Missing` for what there is none of."""
    variants = seen.status.variants if only is None else (named(seen.resource, only),)
    if revision is None and only is None:
        return list(seen.pods)
    names = {each.name for told in variants for each in told.revisions}
    if revision is not None:
        names = {name for told in variants for name in _named(told, revision)}
        if not names:
            raise Missing(_no_revision(seen, variants, revision))
    return [p for p in seen.pods if p.pod.revision in names]


def _named(told: VariantStatus, revision: str) -> set[str]:
    """The revision of this variant that is meant, where it has one."""
    if revision in ("stable", "candidate"):
        part = told.stable if revision == "stable" else _candidate(told)
        return set() if part is None else {part}
    return {each.name for each in told.revisions if revision in (each.name, str(each.number))}


def _no_revision(seen: Picture, variants: Sequence[VariantStatus], revision: str) -> str:
    it = who(seen.resource, variants[0] if len(variants) == 1 else None)
    numbers = sorted({each.number for told in variants for each in told.revisions})
    there = ", ".join(map(str, numbers)) or "none"
    if revision in ("stable", "candidate"):
        return f"{it} has no {revision} revision at this moment (there are {there})"
    return (
        f"there is no revision {revision} of {it}: write its number ({there}), its name, "
        "stable or candidate"
    )


def _candidate(told: VariantStatus) -> str | None:
    """The one that failed too: it is the one to be looked at."""
    return told.candidate or (None if told.rollout is None else told.rollout.candidate)


def _no_pods(seen: Picture, options: Options) -> str:
    it = who(seen.resource, None if options.only is None else named(seen.resource, options.only))
    of = f"revision {options.revision} of {it}" if options.revision is not None else it
    return f"{of} has no pod at this moment (`modelfleet status {seen.name}`)"


async def _print(options: Options, terminal: Terminal, cluster: KubeApi, pod: str) -> None:
    style = _PREFIXES[zlib.crc32(pod.encode()) % len(_PREFIXES)]
    lines = cluster.logs(
        options.namespace,
        pod,
        labels.CONTAINER,
        follow=options.follow,
        previous=options.previous,
        tail=options.tail,
        since_s=None if options.since is None else max(1, round(options.since.total_seconds())),
    )
    async for text in lines:
        terminal.show([line(Span(f"[{pod}]", style), f" {text}")])


async def _follow(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> None:
    """Pods that come later are followed from their first line."""
    if options.previous:
        raise Refusal("what ended before cannot be followed: leave -f or --previous out")
    following: dict[str, asyncio.Task[None]] = {}
    async with Watch(cluster, options.namespace, options.name) as watch:
        try:
            while True:
                seen = await look.picture(cluster, options.namespace, options.name, clock)
                pods = [p.pod.name for p in chosen(seen, options.revision, options.only)]
                _forget(following, pods)
                for pod in pods:
                    if pod not in following:
                        work = _print(options, terminal, cluster, pod)
                        following[pod] = asyncio.create_task(work)
                await watch.changed(LOOK_S)
        finally:
            for task in following.values():
                task.cancel()
            await asyncio.gather(*following.values(), return_exceptions=True)


def _forget(following: dict[str, asyncio.Task[None]], pods: Iterable[str]) -> None:
    """Whose container had not started, or whose connection broke, is tried again."""
    for name, task in list(following.items()):
        if not task.done():
            continue
        failed = None if task.cancelled() else task.exception()
        if failed is not None and not isinstance(failed, ApiError):
            raise failed
        if failed is not None or name not in pods:
            del following[name]
