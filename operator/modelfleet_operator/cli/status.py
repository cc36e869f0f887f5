"""`status`: one ModelDeployment, its rollout and its pods, once or until the rollout ends."""

from dataclasses import dataclass
from datetime import timedelta

from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode
from modelfleet_operator.cli.follow import follow
from modelfleet_operator.cli.look import Clock
from modelfleet_operator.cli.show.document import STREAMS, as_document, to_json, to_yaml
from modelfleet_operator.cli.show.tree import tree
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cluster.api import KubeApi


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    name: str
    output: str = ""
    """Empty, json or yaml."""
    watch: bool = False
    timeout: timedelta | None = None


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    if options.watch:
        return await follow(
            terminal, cluster, options.namespace, options.name, clock,
            at_most=options.timeout, write=STREAMS.get(options.output),
        )  # fmt: skip
    seen = await look.picture(cluster, options.namespace, options.name, clock)
    match options.output:
        case "json":
            terminal.say(to_json(as_document(seen)))
        case "yaml":
            terminal.say(to_yaml(as_document(seen)))
        case _:
            terminal.show(tree(seen))
    return ExitCode.OK
