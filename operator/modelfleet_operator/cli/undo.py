"""`undo`: an earlier revision again, as a change of the spec."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from modelfleet_operator import kinds
from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode
from modelfleet_operator.cli.follow import follow
from modelfleet_operator.cli.look import Clock
from modelfleet_operator.cli.outcome import outcome
from modelfleet_operator.cli.restore import Restoration, restore, target, undone, warning
from modelfleet_operator.cli.show.document import to_yaml
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cli.variants import who
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.observe.kinds import read_resource


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    name: str
    to: int | None = None
    """The revision's number; None: the one before."""
    only: str | None = None
    """The variant; None: the only one."""
    dry_run: bool = False
    wait: bool = False
    timeout: timedelta | None = None


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    raw = await look.resource(cluster, options.namespace, options.name)
    resource = read_resource(raw)
    past = await look.revisions(cluster, options.namespace, options.name)
    of = undone(resource, options.only)
    back = restore(resource, raw, target(resource, past, options.to, of))
    told = next((each for each in resource.status.variants if each.name == of), None)
    it = who(resource, told)
    if not back.fields:
        terminal.say(f"{it} asks for {_called(back)} already")
    elif options.dry_run:
        terminal.say(to_yaml(back.fields))
        return ExitCode.OK
    else:
        # Of what was read: somebody else's change in between is not undone unseen.
        version = {"resourceVersion": raw["metadata"]["resourceVersion"]}
        fields = {**back.fields, "metadata": {**back.fields.get("metadata", {}), **version}}
        await cluster.patch(kinds.MODEL_DEPLOYMENT, options.namespace, options.name, fields)
        what = ", ".join(back.changed) or "the restart"
        terminal.say(f"{it} goes back to {_called(back)}: {what} changed")
        if back.unknown:
            terminal.note(
                f"note: {', '.join(back.unknown)} stay as they are: {_called(back)} does not hold "
                "what they were"
            )
        if back.restarted:
            terminal.note(
                "note: the restart since then stays, for it is of every variant: this is a new "
                f"revision with the content of {_called(back)}"
            )
        terminal.note(warning(raw))
    if not options.wait:
        return ExitCode.OK
    return await follow(
        terminal, cluster, options.namespace, options.name, clock,
        ended=partial(outcome, only=of), at_most=options.timeout,
    )  # fmt: skip


def _called(back: Restoration) -> str:
    return f"revision {back.number}" + (f" (version {back.version})" if back.version else "")
