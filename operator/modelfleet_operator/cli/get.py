"""`get`: the ModelDeployments of a namespace, or of all."""

from dataclasses import dataclass

from modelfleet_operator.api import labels
from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode
from modelfleet_operator.cli.look import Clock
from modelfleet_operator.cli.show.deployments import deployments
from modelfleet_operator.cli.show.document import to_json, to_yaml
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.kinds import Json


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    """Empty: every one."""
    name: str | None = None
    output: str = ""
    """Empty, wide, json, yaml or name."""


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    if options.name is not None:
        found = [await look.resource(cluster, options.namespace, options.name)]
    else:
        found = await look.resources(cluster, options.namespace)
    match options.output:
        case "json":
            terminal.say(to_json(_document(options, found)))
        case "yaml":
            terminal.say(to_yaml(_document(options, found)))
        case "name":
            terminal.say(*(f"{_KIND}/{body['metadata']['name']}" for body in found))
        case _ if not found:
            where = f"namespace {options.namespace}" if options.namespace else "any namespace"
            terminal.note(f"There are no ModelDeployments in {where}.")
        case output:
            everywhere = not options.namespace
            terminal.show(deployments(found, clock(), wide=output == "wide", namespaces=everywhere))
    return ExitCode.OK


_KIND = f"{labels.SINGULAR}.{labels.GROUP}"


def _document(options: Options, found: list[Json]) -> Json:
    """As kubectl gives it: one object by its name, else a list."""
    if options.name is not None:
        return found[0]
    return {"apiVersion": "v1", "kind": "List", "items": found}
