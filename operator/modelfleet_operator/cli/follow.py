"""Shows a rollout until it ends: a picture drawn again and again on a screen, else a line for each
change."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from modelfleet_contract import format_duration
from modelfleet_operator.cli.exits import ExitCode, Refusal
from modelfleet_operator.cli.look import Clock, Watch, picture
from modelfleet_operator.cli.outcome import Ended, Outcome, outcome, summary
from modelfleet_operator.cli.picture import Picture
from modelfleet_operator.cli.show.document import as_document
from modelfleet_operator.cli.show.tree import tree
from modelfleet_operator.cli.styled import Line, Span, Style, line
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Unavailable
from modelfleet_operator.kinds import Json
from modelfleet_operator.seen import Resource

TICK_S = 1.0
"""Ages move on, on a screen."""
READ_S = 5.0
"""It is read again after so long, whatever the watches say."""
REST_S = 0.2
"""Between two readings: a pod that starts changes often."""


@dataclass(frozen=True, slots=True)
class View:
    """What is shown at each change."""

    lines: Callable[[Picture], Sequence[Line]] = tree
    """On a screen."""
    sentence: Callable[[Resource], str] = summary
    """Into a file or a pipe."""
    document: Callable[[Picture], Json] = as_document
    """For programs."""


STATUS = View()


async def follow(
    terminal: Terminal,
    cluster: KubeApi,
    namespace: str,
    name: str,
    clock: Clock,
    *,
    ended: Ended = outcome,
    view: View = STATUS,
    at_most: timedelta | None = None,
    write: Callable[[Json], str] | None = None,
) -> ExitCode:
    """OK when it ended well, FAILED when it did not. `write` makes each change a document for
    programs. Raises `Refusal` after `at_most`, and `Missing` when the resource is gone."""
    show: _Show = _Screen(terminal, view) if terminal.live else _Log(terminal, view)
    if write is not None:
        show = _Documents(terminal, view, write)
    try:
        async with asyncio.timeout(None if at_most is None else at_most.total_seconds()):
            found = await _until_ended(show, cluster, namespace, name, clock, ended)
    except TimeoutError:
        assert at_most is not None
        last = f": {view.sentence(show.last.resource)}" if show.last is not None else ""
        raise Refusal(f"{name} has not ended within {format_duration(at_most)}{last}") from None
    if write is None:
        terminal.show([line(Span(found.says, Style.GOOD if found.well else Style.BAD))])
    return ExitCode.OK if found.well else ExitCode.FAILED


async def _until_ended(
    show: "_Show", cluster: KubeApi, namespace: str, name: str, clock: Clock, ended: Ended
) -> Outcome:
    loop = asyncio.get_running_loop()
    async with Watch(cluster, namespace, name) as watch:
        seen, read_at = await picture(cluster, namespace, name, clock), loop.time()
        while True:
            show.picture(seen)
            found = ended(seen.resource)
            if found is not None:
                return found
            await asyncio.sleep(REST_S)
            woken = await watch.changed(TICK_S)
            if not woken and loop.time() - read_at < READ_S:
                seen = replace(seen, now=clock())
                continue
            try:
                seen, read_at = await picture(cluster, namespace, name, clock), loop.time()
            except Unavailable as error:
                # A cluster that is upgraded is away for a while, and the rollout is not.
                show.trouble(f"the cluster does not answer: {error}")
                await asyncio.sleep(TICK_S)


class _Show:
    def __init__(self, terminal: Terminal, view: View) -> None:
        self._terminal = terminal
        self._view = view
        self.last: Picture | None = None

    def picture(self, seen: Picture) -> None:
        self.last = seen

    def trouble(self, says: str) -> None:
        """That what is shown is old."""


class _Screen(_Show):
    def picture(self, seen: Picture) -> None:
        super().picture(seen)
        self._terminal.draw(self._view.lines(seen))

    def trouble(self, says: str) -> None:
        lines = () if self.last is None else self._view.lines(self.last)
        self._terminal.draw([*lines, (), line(Span(says, Style.BAD))])


class _Log(_Show):
    def __init__(self, terminal: Terminal, view: View) -> None:
        super().__init__(terminal, view)
        self._said = ""

    def picture(self, seen: Picture) -> None:
        super().picture(seen)
        self._say(f"{seen.name}: {self._view.sentence(seen.resource)}", f"{seen.now:%H:%M:%S}")

    def trouble(self, says: str) -> None:
        when = "" if self.last is None else f"{self.last.now:%H:%M:%S}"
        self._say(says, when)

    def _say(self, text: str, when: str) -> None:
        if text != self._said:
            self._said = text
            self._terminal.say(f"{when}  {text}")


class _Documents(_Show):
    """One for each change."""

    def __init__(self, terminal: Terminal, view: View, write: Callable[[Json], str]) -> None:
        super().__init__(terminal, view)
        self._write = write
        self._said = ""

    def picture(self, seen: Picture) -> None:
        super().picture(seen)
        text = self._write(self._view.document(seen))
        if text != self._said:
            self._said = text
            self._terminal.say(text)
