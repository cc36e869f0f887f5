"""`promote`, `abort`, `retry`, `pause`, `resume` and `restart`: each an annotation."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from modelfleet_operator import kinds
from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode, Refusal
from modelfleet_operator.cli.follow import follow
from modelfleet_operator.cli.look import Clock
from modelfleet_operator.cli.outcome import Ended, Outcome, outcome
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cli.verbs import Saying
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Conflict
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.seen import Resource

TRIES = 10
"""The operator writes the status at any moment, and then what was read is old."""

Decide = Callable[[Resource], Saying]


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    name: str
    decide: Decide
    """What the verb makes of the resource; raises `Refusal`."""
    begins: bool = False
    """It begins a new revision, of which the status does not speak yet."""
    wait: bool = False
    timeout: timedelta | None = None


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    before, saying = await _say(options, cluster)
    terminal.say(saying.says)
    if not options.wait:
        return ExitCode.OK
    ended: Ended = partial(outcome, only=saying.variant)
    if options.begins:
        ended = _of_a_new_revision(before)
    return await follow(
        terminal, cluster, options.namespace, options.name, clock, ended=ended,
        at_most=options.timeout,
    )  # fmt: skip


async def _say(options: Options, cluster: KubeApi) -> tuple[Resource, Saying]:
    for _ in range(TRIES):
        raw = await look.resource(cluster, options.namespace, options.name)
        resource = read_resource(raw)
        saying = options.decide(resource)
        if not saying.annotations:
            return resource, saying
        # Only onto what was read: a retry takes an abort away, and must not take one that came
        # in between.
        version = raw["metadata"]["resourceVersion"]
        fields = {"metadata": {"annotations": saying.annotations, "resourceVersion": version}}
        try:
            await cluster.patch(kinds.MODEL_DEPLOYMENT, options.namespace, options.name, fields)
        except Conflict:
            continue
        return resource, saying
    raise Refusal(f"{options.name} changes all the time, and nothing was written: say it again")


def _of_a_new_revision(before: Resource) -> Ended:
    known = {r.name for v in before.status.variants for r in v.revisions}

    def ended(resource: Resource) -> Outcome | None:
        now = {r.name for v in resource.status.variants for r in v.revisions}
        return outcome(resource) if now - known else None

    return ended
