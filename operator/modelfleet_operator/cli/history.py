"""`history`: the revisions that there are, and what each is now."""

from dataclasses import dataclass

from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode
from modelfleet_operator.cli.look import Clock
from modelfleet_operator.cli.show.document import to_json, to_yaml
from modelfleet_operator.cli.show.history import as_documents, history, read_history
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cli.variants import several
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.observe.kinds import read_resource


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    name: str
    only: str | None = None
    """The variant; None: each."""
    output: str = ""
    """Empty, wide, json or yaml."""


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    resource = read_resource(await look.resource(cluster, options.namespace, options.name))
    revisions = await look.revisions(cluster, options.namespace, options.name)
    past = read_history(resource, revisions, options.only)
    match options.output:
        case "json":
            terminal.say(to_json(as_documents(past)))
        case "yaml":
            terminal.say(to_yaml(as_documents(past)))
        case _ if not past:
            terminal.note(f"{options.name} has no revision yet.")
        case output:
            many = several(resource) or len({each.variant for each in past}) > 1
            terminal.show(history(past, clock(), wide=output == "wide", variants=many))
    return ExitCode.OK
