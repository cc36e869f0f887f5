"""`modelfleet`, and `kubectl modelfleet`."""

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelfleet_operator.cli.completion import script
from modelfleet_operator.cli.exits import ExitCode, Missing, Refusal
from modelfleet_operator.cli.parser import build
from modelfleet_operator.cli.terminal import Terminal

if TYPE_CHECKING:
    from modelfleet_operator.cli.look import Clock
    from modelfleet_operator.cluster.api import KubeApi

MANAGER = "kubectl-modelfleet"
"""Field manager of what people change through this program."""
_DEBUG = "MODELFLEET_DEBUG"

Run = Callable[[Terminal, "KubeApi", "Clock"], Awaitable[ExitCode]]
Connect = Callable[[str | None, str | None, str], Awaitable[tuple["KubeApi", str]]]


def main(argv: Sequence[str] | None = None) -> int:
    """Exits with 2 for wrong flags; else the code that `--help` explains."""
    called = Path(sys.argv[0]).name
    prog = "kubectl modelfleet" if called.startswith("kubectl") else "modelfleet"
    options = build(prog).parse_args(argv)
    terminal = Terminal.of_process()
    try:
        return run(options, terminal)
    except BrokenPipeError:
        # The interpreter would try to flush what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.CLOSED


def run(
    options: argparse.Namespace, terminal: Terminal, connect: Connect | None = None
) -> ExitCode:
    """One sentence on the standard error for whatever goes wrong, and its exit code."""
    from modelfleet_operator.cluster.errors import ApiError, Conflict, NotFound, Unavailable

    try:
        if options.verb == "completion":
            terminal.say(script(build(), options.shell))
            return ExitCode.OK
        return asyncio.run(_connected(options, terminal, connect))
    except Refusal as error:
        return _fail(terminal, str(error), ExitCode.FAILED)
    except (Missing, NotFound) as error:
        return _fail(terminal, str(error), ExitCode.NOT_FOUND)
    except Unavailable as error:
        return _fail(terminal, str(error), ExitCode.UNREACHABLE)
    except Conflict:
        says = f"{options.name} was changed by somebody else at this moment: say it again"
        return _fail(terminal, says, ExitCode.FAILED)
    except ApiError as error:
        return _fail(terminal, f"the API server refuses: {error}", ExitCode.FAILED)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        if os.environ.get(_DEBUG):
            traceback.print_exc()
        says = f"this is a bug: {type(error).__name__}: {error} ({_DEBUG}=1 shows where)"
        return _fail(terminal, says, ExitCode.FAILED)


async def _connected(
    options: argparse.Namespace, terminal: Terminal, connect: Connect | None
) -> ExitCode:
    from modelfleet_operator.cli.look import now
    from modelfleet_operator.cluster import kubeconfig

    reach = connect or kubeconfig.connect
    cluster, default = await reach(options.kubeconfig, options.context, MANAGER)
    try:
        return await _verb(options, options.namespace or default)(terminal, cluster, now)
    finally:
        await cluster.close()


def _fail(terminal: Terminal, says: str, code: ExitCode) -> ExitCode:
    terminal.note(f"modelfleet: {' '.join(says.split())}")
    return code


def _verb(options: argparse.Namespace, namespace: str) -> Run:
    """The flags as the options of a verb, bound to its run function."""
    from modelfleet_operator.cli import experiment, get, history, logs, say, status, undo, verbs
    from modelfleet_operator.cli.look import now

    name, only = options.name, getattr(options, "variant", None)

    def saying(decide: say.Decide, *, begins: bool = False) -> Run:
        wait, timeout = getattr(options, "wait", False), getattr(options, "timeout", None)
        asked = say.Options(namespace, name, decide, begins=begins, wait=wait, timeout=timeout)
        return lambda *rest: say.run(asked, *rest)

    match options.verb:
        case "get":
            everywhere = options.all_namespaces
            of = get.Options("" if everywhere else namespace, name, options.output)
            return lambda *rest: get.run(of, *rest)
        case "status":
            shown = status.Options(
                namespace, name, options.output, watch=options.watch, timeout=options.timeout
            )
            return lambda *rest: status.run(shown, *rest)
        case "experiment":
            compared = experiment.Options(
                namespace, name, options.output, watch=options.watch, timeout=options.timeout
            )
            return lambda *rest: experiment.run(compared, *rest)
        case "history":
            past = history.Options(namespace, name, only, options.output)
            return lambda *rest: history.run(past, *rest)
        case "logs":
            read = logs.Options(
                namespace,
                name,
                options.revision,
                only,
                follow=options.follow,
                previous=options.previous,
                tail=options.tail[0],
                since=options.since,
            )
            return lambda *rest: logs.run(read, *rest)
        case "undo":
            back = undo.Options(
                namespace,
                name,
                options.to,
                only,
                dry_run=options.dry_run,
                wait=options.wait,
                timeout=options.timeout,
            )
            return lambda *rest: undo.run(back, *rest)
        case "promote":
            return saying(lambda resource: verbs.promote(resource, only, every_step=options.all))
        case "abort":
            return saying(lambda resource: verbs.abort(resource, only))
        case "retry":
            return saying(lambda resource: verbs.retry(resource, only))
        case "pause":
            return saying(lambda resource: verbs.pause(resource, only))
        case "resume":
            return saying(lambda resource: verbs.resume(resource, only))
        case "restart":
            return saying(lambda resource: verbs.restart(resource, now()), begins=True)
        case verb:
            raise AssertionError(verb)


if __name__ == "__main__":
    sys.exit(main())
