"""`experiment`: how the variants of a ModelDeployment compare, once or for as long as one looks."""

from dataclasses import dataclass
from datetime import timedelta

from modelfleet_operator.api.spec import Spec
from modelfleet_operator.cli import look
from modelfleet_operator.cli.exits import ExitCode, Refusal
from modelfleet_operator.cli.follow import View, follow
from modelfleet_operator.cli.look import Clock
from modelfleet_operator.cli.picture import Picture
from modelfleet_operator.cli.show.document import STREAMS, to_json, to_yaml
from modelfleet_operator.cli.show.experiment import as_document, experiment
from modelfleet_operator.cli.styled import Line
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.seen import Resource


@dataclass(frozen=True, slots=True)
class Options:
    namespace: str
    name: str
    output: str = ""
    """Empty, wide, json or yaml."""
    watch: bool = False
    timeout: timedelta | None = None


async def run(options: Options, terminal: Terminal, cluster: KubeApi, clock: Clock) -> ExitCode:
    def lines(seen: Picture) -> tuple[Line, ...]:
        wide = options.output == "wide"
        return experiment(seen, wide=wide, drawings=terminal.drawings)

    seen = await look.picture(cluster, options.namespace, options.name, clock)
    _refuse_one_variant(seen)
    if options.watch:
        return await follow(
            terminal, cluster, options.namespace, options.name, clock,
            ended=lambda _: None, view=View(lines, _sentence, as_document),
            at_most=options.timeout, write=STREAMS.get(options.output),
        )  # fmt: skip
    match options.output:
        case "json":
            terminal.say(to_json(as_document(seen)))
        case "yaml":
            terminal.say(to_yaml(as_document(seen)))
        case _:
            terminal.show(lines(seen))
    return ExitCode.OK


def _refuse_one_variant(seen: Picture) -> None:
    """Raises `Refusal` where there is nothing to compare."""
    spec = seen.resource.spec
    if seen.status.experiment is None and isinstance(spec, Spec) and len(spec.variants) < 2:
        raise Refusal(
            f"{seen.name} has one variant, so there is nothing to compare: write two or more in "
            "spec.variants (docs/experiments.md)"
        )


def _sentence(resource: Resource) -> str:
    found = resource.status.experiment
    return "nothing is compared yet" if found is None else found.message
