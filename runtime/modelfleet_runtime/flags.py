"""The command line: its verbs, their flags, and what `--help` says of them."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from modelfleet_contract import (
    DOCUMENT_ENV,
    GRPC_PORT,
    HTTP_PORT,
    Batching,
    Device,
    EngineSettings,
    ModelFormat,
    Oversize,
    Precision,
    Reduce,
    ServeDocument,
    format_byte_size,
    format_duration,
)
from modelfleet_runtime import flag_values as values
from modelfleet_runtime.settings import LOG_FORMATS
from modelfleet_runtime.version import own_version

_DEFAULTS = Batching()
_TIMEOUT = ServeDocument.model_fields["timeout"].default

_SERVE = f"""\
Load one model and answer over HTTP and gRPC until SIGTERM.

PATH is a file or a folder with an ONNX model (model.onnx), a program of torch.export (model.pt2),
a TorchScript model (model.pt) or a Python class (model.py), or an http(s) address of one (an
archive .tar, .tar.gz, .zip, or a file). An address without --digest is asked again at each start.
Without PATH, the document in the environment variable {DOCUMENT_ENV} says what to serve; that is
how the modelfleet operator starts it, and the flags on what to serve are then not allowed.

  modelfleet-runtime serve examples/digits
  curl localhost:{HTTP_PORT}/predict -d '{{"inputs": [0, 0, 5, ...]}}'

  modelfleet-runtime serve model.onnx --name digits --max-batch-size 64 --max-delay 2ms
  modelfleet-runtime serve https://host/digits.tar.gz --digest sha256:...

  http://localhost:{HTTP_PORT}/docs describes every route, with examples that fit the model.
"""
_FETCH = f"""\
Copy the model that the document in {DOCUMENT_ENV} names to where `serve` will look for it.

Only http(s) addresses are fetched. The digest is checked before anything is unpacked; a broken
download goes on where it stopped; a second call finds the work done. The operator runs this before
`serve`; without a cluster `serve` does it by itself.
"""
_INSPECT = """\
Say what PATH, a file, a folder or an archive, is: its format and why it is not another, on which
routes and ports it would be served, with which settings, and what this image cannot do for it (then
the exit code is not 0).

None of it is run; with --load the model is loaded and warmed up, which says what it takes and
gives.
"""


class _Verb(argparse.ArgumentParser):
    """A verb's own parser: it shows its own usage for a flag that it does not have, too."""

    def __init__(self, **settings: Any) -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(formatter_class=formatter, allow_abbrev=False, **settings)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unknown: {' '.join(unknown)}")
        return found, []


def parser() -> argparse.ArgumentParser:
    """`verb` says which verb was given. Reading a flag's value raises `CannotServe`; a flag that
    is not there ends the process with 2."""
    made = argparse.ArgumentParser(
        prog="modelfleet-runtime",
        description="Serve a machine-learning model, batched, over HTTP and gRPC.",
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"modelfleet-runtime {own_version()}")
    verbs = made.add_subparsers(metavar="VERB", required=True, dest="verb", parser_class=_Verb)
    serve = verbs.add_parser("serve", help="load a model and answer", description=_SERVE)
    serve.add_argument("path", metavar="PATH", nargs="?")
    _what_to_serve(serve)
    _how_to_run(serve)
    verbs.add_parser("fetch", help="copy the model to its volume", description=_FETCH)
    inspect = verbs.add_parser("inspect", help="say what a path is", description=_INSPECT)
    inspect.add_argument("path", metavar="PATH")
    _choice(inspect, "--format", ModelFormat, default="auto")
    inspect.add_argument(
        "--load", action="store_true", help="load the model and warm it up; else nothing is run"
    )
    return made


def _what_to_serve(serve: argparse.ArgumentParser) -> None:
    what = serve.add_argument_group("what to serve (with PATH)")
    what.add_argument(
        "--name",
        type=values.label("--name", 253),
        help="in addresses, answers and metrics; default: PATH's name",
    )
    what.add_argument(
        "--version", type=values.label("--version", 63), help="in answers and metrics; default 1"
    )
    _choice(what, "--format", ModelFormat, help="default auto: look and decide")
    what.add_argument(
        "--digest",
        type=values.digest("--digest"),
        help="sha256:... that the file or archive must have",
    )
    what.add_argument(
        "--max-batch-size",
        type=values.number_of("--max-batch-size", Batching, "max_size"),
        metavar="ROWS",
        help=f"most rows in one batch; 1 turns batching off; default {_DEFAULTS.max_size}",
    )
    what.add_argument(
        "--max-delay",
        type=values.duration("--max-delay"),
        metavar="DURATION",
        help="how long a batch waits for more while the engine is idle; "
        f"default {format_duration(_DEFAULTS.max_delay)}",
    )
    what.add_argument(
        "--queue-size",
        type=values.number_of("--queue-size", Batching, "queue_size"),
        metavar="REQUESTS",
        help=f"most requests that wait; one more is answered 503; default {_DEFAULTS.queue_size}",
    )
    what.add_argument(
        "--queue-bytes",
        type=values.byte_size("--queue-bytes"),
        metavar="SIZE",
        help="most bytes of tensors that wait, like 64Mi; "
        f"default {format_byte_size(_DEFAULTS.queue_bytes)}",
    )
    what.add_argument(
        "--queue-timeout",
        type=values.duration("--queue-timeout"),
        metavar="DURATION",
        help="how long a request may wait for its batch; default: while its time lasts",
    )
    what.add_argument(
        "--preferred-sizes",
        type=values.sizes("--preferred-sizes", *values.bounds(Batching, "max_size")),
        metavar="ROWS,...",
        help="rows at which a batch goes without waiting for more, like 8,16",
    )
    _choice(
        what,
        "--oversize",
        Oversize,
        help="what becomes of a request with more rows than a batch may have; default Split",
    )
    what.add_argument(
        "--pad",
        type=values.padding("--pad"),
        action="append",
        metavar="INPUT[=VALUE]",
        help="an input whose rows may be padded, so that different lengths share a batch",
    )
    what.add_argument(
        "--value",
        type=values.value("--value"),
        action="append",
        metavar="NAME=[REDUCE:]OUTPUT",
        help="a number of the model's output that is counted for experiments; REDUCE is one of "
        f"{', '.join(Reduce)} of a row's elements; default {Reduce.MEAN}",
    )
    what.add_argument(
        "--feedback",
        type=values.value_name("--feedback"),
        action="append",
        metavar="NAME",
        help="a number that may be posted back to /feedback, counted for experiments",
    )
    what.add_argument(
        "--timeout",
        type=values.timeout("--timeout"),
        metavar="DURATION",
        help=f"how long a request may take, from its arrival; default {format_duration(_TIMEOUT)}",
    )
    _choice(
        what,
        "--device",
        Device,
        help="what computes; default auto: CUDA where there is a GPU",
    )
    _choice(
        what,
        "--precision",
        Precision,
        help="of weights and arithmetic (TorchScript, torch.export); default: as the model is",
    )
    what.add_argument(
        "--compile",
        action="store_true",
        default=None,
        help="compile the model with torch.compile while it is loaded (torch.export)",
    )
    what.add_argument(
        "--workers",
        type=values.number_of("--workers", EngineSettings, "workers"),
        metavar="PROCESSES",
        help="processes that run the model, each with a copy of it; default 1: the server's own",
    )


def _how_to_run(serve: argparse.ArgumentParser) -> None:
    how = serve.add_argument_group("how to run (each also as MODELFLEET_HOST, _PORT, ...)")
    how.add_argument("--host", help="address to listen on; default 0.0.0.0")
    how.add_argument(
        "--port",
        type=values.number("--port", 0, 65535),
        metavar="PORT",
        help=f"0 takes a free one; default {HTTP_PORT}",
    )
    how.add_argument(
        "--grpc-port",
        type=values.port_or_off("--grpc-port"),
        metavar="PORT",
        help=f"0 takes a free one, off opens none; default {GRPC_PORT}",
    )
    how.add_argument(
        "--management-port",
        type=values.port_or_off("--management-port"),
        metavar="PORT",
        help="also answer TorchServe's management API there, for reading; default off",
    )
    how.add_argument(
        "--metrics-port",
        type=values.port_or_off("--metrics-port"),
        metavar="PORT",
        help="also show /metrics there; default off",
    )
    how.add_argument(
        "--threads",
        type=values.number("--threads", 1, 4096),
        metavar="NUMBER",
        help="of the engine; default: the CPU quota",
    )
    how.add_argument("--access-log", action="store_true", help="a log line for each request")
    _choice(how, "--log-format", LOG_FORMATS, help="default: text on a terminal")


def _choice(
    group: argparse._ActionsContainer, flag: str, allowed: Iterable[str], **more: Any
) -> None:
    known = [str(one) for one in allowed]
    shown = "{" + ",".join(known) + "}"
    group.add_argument(flag, type=values.choice(flag, known), metavar=shown, **more)
