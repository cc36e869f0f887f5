"""The verbs, their flags, and what `--help` teaches."""

import argparse
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from modelfleet_contract import parse_duration
from modelfleet_operator.cli.completion import NAMES, SHELLS

TAIL = 10
"""Lines of each pod where none are asked for, as kubectl does it for several pods."""

_ABOUT = """\
Shows and steers the ModelDeployments (modelfleet.dev/v1alpha1) of a cluster: which revision
serves, how far a new one has come, and what is to happen next. `kubectl modelfleet` is the same
program."""

_EXAMPLES = """\
examples:
  modelfleet get -A                      every ModelDeployment of the cluster
  modelfleet status digits --watch       until the rollout ends; exit code 1 if it was rolled back
  modelfleet promote digits              past the step at which it stands
  modelfleet abort digits                all traffic back, now
  modelfleet undo digits --to 3          revision 3 again
  modelfleet pause digits --variant b    of several variants, the rollout of b
  modelfleet logs digits --revision candidate -f

exit codes:
  0    done; with --watch or --wait: the rollout ended well
  1    refused, out of time, or the rollout failed or was rolled back
  2    the command is not written as it should be
  3    there is no such ModelDeployment, variant or revision, or modelfleet is not installed there
  4    the cluster cannot be reached
  130  interrupted

NO_COLOR turns colours off; they are only used on a terminal."""

_GET = """\
Lists ModelDeployments: the version that serves, pods that are ready and wanted, the version that
is about to take over and its share of the traffic. Of several variants (spec.variants), that is
its share of its variant's traffic."""
_GET_EXAMPLES = """\
examples:
  modelfleet get                         of the namespace of your context
  modelfleet get -A -o wide              of all namespaces, with step, address and message
  modelfleet get digits -o yaml          as kubectl gives it
  modelfleet get -o name                 for scripts"""

_STATUS = """\
Shows one ModelDeployment: its rollout with step and phase, the tree of revisions and pods, the
analysis with its numbers, conditions, and the last events. Several variants (spec.variants) are
the roots of the tree, each with its share of the traffic and its own rollout.

With --watch it is drawn again whenever something changes, until the rollout ends (that of every
variant): exit code 0 when it ended well, 1 when it failed or was rolled back. Into a file or a
pipe, it writes a line for each change, and with -o json a document a line."""
_STATUS_EXAMPLES = """\
examples:
  modelfleet status digits
  modelfleet status digits --watch --timeout 30m || echo "version 2 is not out"
  modelfleet status digits -o json | jq .rollout.phase"""

_EXPERIMENT = """\
Shows how the variants of a ModelDeployment compare: requests, errors and latencies of each, and for
each metric of spec.experiment the difference from the control with its interval, drawn as a line
with a mark at 0, and a p-value that may be looked at as often as one likes.

With --watch it is drawn again whenever it changes, until it is interrupted."""
_EXPERIMENT_EXAMPLES = """\
examples:
  modelfleet experiment digits
  modelfleet experiment digits -o wide   with a sentence on each comparison
  modelfleet experiment digits -o json | jq '.comparisons[] | select(.differs)'"""

_HISTORY = """\
Lists the revisions that are kept, the oldest first: what each serves, since when it exists, and
what it is now (stable, candidate, failed or kept). Each variant counts its own.
rollout.historyLimit says how many of each are kept."""
_PROMOTE = """\
Lets a rollout go past the step at which it stands, without waiting for its pause, its analysis or
untilPromoted. It is meant for the step that the status shows at that moment: if the rollout has
moved on meanwhile, it has no effect. Where several variants roll out, --variant says which one is
meant, here and for abort, retry, pause and resume."""
_PROMOTE_EXAMPLES = """\
examples:
  modelfleet promote digits              past this step
  modelfleet promote digits --all        past every step, to all of the traffic
  modelfleet promote digits --all --wait until it has it
  modelfleet promote digits --variant b  of several variants, the rollout of b"""
_ABORT = """\
Gives all traffic back to the stable revision. It wins over every other verb and holds until the
spec changes or somebody says retry."""
_RETRY = "Tries the revision that failed or was aborted again, from the first step."
_PAUSE = """\
Keeps the rollout at the share that it has, until somebody says resume or asks for another
revision. Traffic that pods cannot carry is still given back."""
_RESUME = "Lets a rollout that was paused go on."
_RESTART = """\
Starts the same content as a new revision, which takes over as spec.rollout says: by its steps,
when it is ready, and with the old one in reach. The spec is not changed. Where there are several
variants, each of them starts anew."""
_UNDO = """\
Puts the spec back to an earlier revision: spec.model, .runtime, .resources, .accelerator and
.podTemplate, which are what pods are made from. The revision that is found again starts from the
pod template that was frozen then. Replicas, autoscaling, rollout and routing stay as they are. It
takes over by the steps of spec.rollout, as any other change.

Of several variants, --variant names the one. What it has of its own goes back in its entry of
spec.variants; what it inherits goes back in the spec above, and where another variant inherits it
too the undo is refused, for it would change both.

A revision of an operator that did not keep these parts gives back spec.model alone, and says so.
Where a repository or a file describes the resource, change it there as well: whatever applies it
(Argo CD, Flux, Helm, kubectl apply) would bring the newer revision back."""
_UNDO_EXAMPLES = """\
examples:
  modelfleet undo digits                 the one before; during a rollout the stable one
  modelfleet undo digits --to 3          that of `modelfleet history digits`
  modelfleet undo digits --variant b     of several variants, that of b
  modelfleet undo digits --dry-run       print the change of the spec, and change nothing"""
_LOGS = """\
Prints what the pods say, each line after the name of its pod. With -f, pods that come later are
followed too."""
_LOGS_EXAMPLES = """\
examples:
  modelfleet logs digits                       the last lines of every pod
  modelfleet logs digits --revision candidate -f
  modelfleet logs digits --revision 4 --tail all --since 10m
  modelfleet logs digits --previous            of containers that were restarted"""
_COMPLETION = "Prints what makes a shell complete verbs, flags and names."
_COMPLETION_EXAMPLES = """\
examples:
  modelfleet completion bash > ~/.local/share/bash-completion/completions/modelfleet
  modelfleet completion zsh  > "${fpath[1]}/_modelfleet"
  modelfleet completion fish > ~/.config/fish/completions/modelfleet.fish"""


def build(prog: str = "modelfleet") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=_ABOUT,
        epilog=_examples(_EXAMPLES, prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    _cluster_flags(parser, default=None)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    _shows(verbs, prog)
    _steers(verbs, prog)
    completion = _verb(
        verbs,
        prog,
        "completion",
        "make a shell complete all this",
        _COMPLETION,
        _COMPLETION_EXAMPLES,
        cluster=False,
    )
    completion.add_argument("shell", choices=SHELLS)
    return parser


class _Version(argparse.Action):
    """Read only where it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="print it, and end")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"modelfleet {version('modelfleet')}")
        parser.exit()


def _shows(verbs: Any, prog: str) -> None:
    get = _verb(verbs, prog, "get", "list ModelDeployments", _GET, _GET_EXAMPLES)
    _name(get, nargs="?", help="default: all of them")
    get.add_argument("-A", "--all-namespaces", action="store_true", help="of every namespace")
    _output(get, "wide", "json", "yaml", "name")

    status = _verb(
        verbs,
        prog,
        "status",
        "show one, its rollout and its pods; --watch until it ends",
        _STATUS,
        _STATUS_EXAMPLES,
    )
    _name(status)
    status.add_argument("-w", "--watch", action="store_true", help="until the rollout ends")
    _timeout(status, "with --watch")
    _output(status, "json", "yaml")

    experiment = _verb(
        verbs,
        prog,
        "experiment",
        "compare its variants",
        _EXPERIMENT,
        _EXPERIMENT_EXAMPLES,
    )
    _name(experiment)
    experiment.add_argument("-w", "--watch", action="store_true", help="until interrupted")
    _timeout(experiment, "with --watch")
    _output(experiment, "wide", "json", "yaml")

    history = _verb(verbs, prog, "history", "list its revisions", _HISTORY)
    _name(history)
    _variant(history, "default: of every one")
    _output(history, "wide", "json", "yaml")

    logs = _verb(verbs, prog, "logs", "print what its pods say", _LOGS, _LOGS_EXAMPLES)
    _name(logs)
    logs.add_argument(
        "--revision",
        metavar="REVISION",
        help="a number, a name, stable or candidate; default: every pod",
    )
    _variant(logs, "default: of every one")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    logs.add_argument(
        "--previous", action="store_true", help="of the containers before their last restart"
    )
    logs.add_argument(
        "--tail",
        type=_tail,
        default=(TAIL,),
        metavar="LINES",
        help=f"how many of the last lines of each pod, or all; default {TAIL}",
    )
    logs.add_argument(
        "--since", type=_duration, metavar="DURATION", help="only lines as young as that, like 10m"
    )


def _steers(verbs: Any, prog: str) -> None:
    promote = _verb(
        verbs,
        prog,
        "promote",
        "go past the step at which the rollout stands",
        _PROMOTE,
        _PROMOTE_EXAMPLES,
    )
    _name(promote)
    _variant(promote)
    promote.add_argument("--all", action="store_true", help="past every step")
    _wait(promote)
    abort = _verb(verbs, prog, "abort", "give all traffic back", _ABORT)
    _name(abort)
    _variant(abort)
    retry = _verb(verbs, prog, "retry", "try a revision again that failed", _RETRY)
    _name(retry)
    _variant(retry)
    _wait(retry)
    pause = _verb(verbs, prog, "pause", "stay at the share that it has", _PAUSE)
    _name(pause)
    _variant(pause)
    resume = _verb(verbs, prog, "resume", "go on after a pause", _RESUME)
    _name(resume)
    _variant(resume)
    _wait(resume)
    restart = _verb(verbs, prog, "restart", "start the same content as a new revision", _RESTART)
    _name(restart)
    _wait(restart)
    undo = _verb(verbs, prog, "undo", "go back to an earlier revision", _UNDO, _UNDO_EXAMPLES)
    _name(undo)
    _variant(undo, "needed where there are several")
    undo.add_argument("--to", type=_number, metavar="NUMBER", help="default: the revision before")
    undo.add_argument("--dry-run", action="store_true", help="print the change of the spec only")
    _wait(undo)


# -- flags


def _verb(
    verbs: Any,
    prog: str,
    name: str,
    short: str,
    about: str,
    examples: str = "",
    *,
    cluster: bool = True,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=short,
        description=about,
        epilog=_examples(examples, prog) or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if cluster:
        _cluster_flags(parser, default=argparse.SUPPRESS)
    return parser


def _examples(text: str, prog: str) -> str:
    return text.replace("  modelfleet ", f"  {prog} ").replace("$ modelfleet ", f"$ {prog} ")


def _cluster_flags(parser: argparse.ArgumentParser, default: str | None) -> None:
    """As kubectl has them; before the verb or after it."""
    where = parser.add_argument_group("which cluster (as for kubectl)")
    where.add_argument("-n", "--namespace", default=default, help="default: the context's")
    where.add_argument("--context", default=default, help="of the kubeconfig; default: the current")
    where.add_argument(
        "--kubeconfig", default=default, metavar="FILE", help="default: KUBECONFIG, ~/.kube/config"
    )


def _name(parser: argparse.ArgumentParser, **more: Any) -> None:
    action: Any = parser.add_argument("name", metavar="NAME", **more)
    action.complete = NAMES


def _variant(
    parser: argparse.ArgumentParser,
    default: str = "default: the only one with such a rollout",
) -> None:
    parser.add_argument("--variant", metavar="VARIANT", help=f"of spec.variants; {default}")


def _output(parser: argparse.ArgumentParser, *choices: str) -> None:
    parser.add_argument("-o", "--output", choices=choices, default="", help="default: for people")


def _wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--wait", action="store_true", help="show the rollout until it ends")
    _timeout(parser, "with --wait")


def _timeout(parser: argparse.ArgumentParser, when: str) -> None:
    parser.add_argument(
        "--timeout",
        type=_duration,
        metavar="DURATION",
        help=f"{when}, end with exit code 1 after so long, like 30m; default: never",
    )


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(
            "write the number of a revision, like 3 (`modelfleet history NAME` shows them)"
        )
    return int(text)


def _tail(text: str) -> tuple[int | None]:
    """In a tuple, because None is one of the answers: all."""
    if text in ("all", "-1"):
        return (None,)
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError("write a number of lines, or all")
    return (int(text),)
