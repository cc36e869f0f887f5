"""`modelfleet-runtime serve | fetch | inspect`."""

import argparse
import asyncio
import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from modelfleet_contract import (
    DOCUMENT_ENV,
    GRPC_PORT,
    HTTP_PORT,
    Batching,
    Device,
    EngineSettings,
    FailureReason,
    ModelFormat,
    ModelSource,
    Oversize,
    Precision,
    ServeDocument,
    format_byte_size,
    format_duration,
    parse_duration,
)
from modelfleet_runtime import logs
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.settings import LOG_FORMATS, Settings, grpc_port, termination_log

log = logging.getLogger("modelfleet")

_DEFAULTS = Batching()
_TIMEOUT = ServeDocument.model_fields["timeout"].default

_SERVE = f"""\
Load one model and answer over HTTP until SIGTERM.

PATH is a file or a folder with an ONNX model (model.onnx), a program of torch.export (model.pt2),
a TorchScript model (model.pt) or a Python class (model.py), or an http(s) address of one (an
archive .tar, .tar.gz, .zip, or a file).
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
Say what PATH is: its format, what it takes and gives, and why it is not another format.

The model is loaded and warmed up, not served.
"""


TERMINATED = 143
"""The exit code of SIGTERM before the server has begun, as a shell counts it."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Exits with 0 after a drain, 2 for wrong flags, and else with the failure's own code."""
    # A container's first process ignores a signal without a handler. `serve` takes over later.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_env()
    except CannotServe as error:
        _leave(_fail(error, Settings(termination_log=termination_log(os.environ))))
    _run_and_leave(lambda: options.run(options, settings), settings)


def _run_and_leave(run: Callable[[], None], settings: Settings) -> NoReturn:
    try:
        run()
    except CannotServe as error:
        _leave(_fail(error, settings))
    except KeyboardInterrupt:
        _leave(130)
    except Exception as error:
        logging.getLogger("modelfleet").exception("the runtime failed")
        message = f"the runtime failed: {type(error).__name__}: {one_line(error)}"
        _leave(_fail(CannotServe(FailureReason.CRASHED, message), settings))
    _leave(0)


def _leave(code: int) -> NoReturn:
    """End without waiting for threads that frameworks or a model's own code left behind."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fail(error: CannotServe, settings: Settings) -> int:
    failure = error.failure
    if not logging.getLogger().handlers:
        logs.set_up(settings.log_format, settings.log_level, {})
    log.error("%s", failure.message, extra={"reason": failure.reason.value})
    try:
        if settings.termination_log.exists():
            settings.termination_log.write_text(failure.to_termination_log())
    except OSError as problem:
        log.warning("the termination log cannot be written: %s", problem.strerror)
    return error.exit_code


# -- verbs


def _serve(options: argparse.Namespace, settings: Settings) -> None:
    settings = replace(
        settings,
        host=options.host or settings.host,
        port=settings.port if options.port is None else options.port,
        grpc_port=settings.grpc_port if options.grpc_port is None else options.grpc_port[0],
        threads=options.threads or settings.threads,
        access_log=options.access_log or settings.access_log,
        log_format=options.log_format or settings.log_format,
    )
    if options.path is None:
        document = _document_of_env(options)
        location = Path(document.location)
    else:
        document, location = _document_of_flags(options, settings)
    _set_up_logs(document, settings)
    if options.path is not None and document.model.fetched:
        from modelfleet_runtime.sources.fetch import fetch

        fetch(document.model, location)

    from modelfleet_runtime import cpus

    threads = settings.threads or cpus.usable_cpus()
    os.environ |= {k: v for k, v in cpus.thread_variables(threads).items() if k not in os.environ}

    import uvloop

    from modelfleet_runtime.lifecycle import serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # In here: closing the loop waits for threads that a model's own code may hold for ever.
        _run_and_leave(lambda: runner.run(serve(document, location, settings)), settings)


def _fetch(options: argparse.Namespace, settings: Settings) -> None:
    document = _read_document()
    _set_up_logs(document, settings)
    if not document.model.fetched:
        log.info("%s needs no fetching", document.model.uri)
        return
    from modelfleet_runtime.sources.fetch import fetch

    fetch(document.model, Path(document.location))


def _inspect(options: argparse.Namespace, settings: Settings) -> None:
    logs.set_up("text", "WARNING", {})
    from modelfleet_runtime import cpus
    from modelfleet_runtime.engines.engine import engine_for
    from modelfleet_runtime.packages.find import find, look
    from modelfleet_runtime.packages.package import Match

    place = Path(options.path)
    for fmt, verdict in look(place):
        if isinstance(verdict, Match):
            print(f"{fmt}: yes, {verdict.main}")
        else:
            print(f"{fmt}: no, {verdict.why}")
    package = find(place, ModelFormat(options.format))
    engine = engine_for(package, EngineSettings(), cpus.usable_cpus())
    engine.load()
    signature = engine.warm_up(_DEFAULTS.max_size)
    print(f"served as {package.format}, " + (
        "batched" if signature.batched else "one request at a time"
    ))  # fmt: skip
    for spec in signature.inputs:
        print(f"  takes {spec.describe()}")
    for spec in signature.outputs:
        print(f"  gives {spec.describe()}")


# -- documents


def _read_document() -> ServeDocument:
    text = os.environ.get(DOCUMENT_ENV, "")
    if not text:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"there is nothing to serve: give a PATH, or a document in {DOCUMENT_ENV}",
        )
    try:
        return ServeDocument.from_json(text)
    except ValidationError as error:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID, f"the document in {DOCUMENT_ENV}: {_first(error)}"
        ) from error


def _document_of_env(options: argparse.Namespace) -> ServeDocument:
    given = [flag for flag, name in _DOCUMENT_FLAGS.items() if getattr(options, name) is not None]
    if given:
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"{', '.join(given)} needs a PATH: without one {DOCUMENT_ENV} says what to serve",
        )
    return _read_document()


def _document_of_flags(
    options: argparse.Namespace, settings: Settings
) -> tuple[ServeDocument, Path]:
    """The document of the flags, and where its model lies (or will, once fetched)."""
    scheme = urlsplit(options.path).scheme
    if scheme in ("http", "https"):
        uri, name = options.path, Path(urlsplit(options.path).path).name.partition(".")[0]
        key = hashlib.sha256(f"{uri} {options.digest}".encode()).hexdigest()[:24]
        location = settings.cache.expanduser() / key / "package"
    elif scheme == "pvc":
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID, "a pvc:// address is of a cluster; give the path"
        )
    else:
        location = Path(options.path.removeprefix("file://")).expanduser().absolute()
        uri, name = f"file://{quote(str(location))}", location.name.partition(".")[0]
        if name in ("model", "") and location.parent.name:
            name = location.parent.name
    try:
        batching: dict[str, Any] = {
            "max_size": options.max_batch_size,
            "max_delay": options.max_delay,
            "queue_size": options.queue_size,
            "queue_bytes": options.queue_bytes,
            "queue_timeout": options.queue_timeout,
            "preferred_sizes": options.preferred_sizes,
            "oversize": options.oversize,
            "padding": options.pad,
        }
        engine: dict[str, Any] = {
            "device": options.device,
            "precision": options.precision,
            "compile": options.compile,
            "workers": options.workers,
        }
        source: dict[str, Any] = {
            "uri": uri,
            "digest": options.digest,
            "format": options.format,
            "version": options.version,
        }
        document: dict[str, Any] = {
            "name": options.name or name or "model",
            "model": ModelSource(**_given(source)),
            "batching": Batching(**_given(batching)),
            "engine": EngineSettings(**_given(engine)),
            "timeout": options.timeout,
        }
        return ServeDocument(**_given(document)), location
    except ValidationError as error:
        raise CannotServe(FailureReason.DOCUMENT_INVALID, _first(error)) from error


# Flags that say what to serve, which the document says where there is one.
_DOCUMENT_FLAGS = {
    "--name": "name",
    "--version": "version",
    "--format": "format",
    "--digest": "digest",
    "--max-batch-size": "max_batch_size",
    "--max-delay": "max_delay",
    "--queue-size": "queue_size",
    "--queue-bytes": "queue_bytes",
    "--queue-timeout": "queue_timeout",
    "--preferred-sizes": "preferred_sizes",
    "--oversize": "oversize",
    "--pad": "pad",
    "--timeout": "timeout",
    "--device": "device",
    "--precision": "precision",
    "--compile": "compile",
    "--workers": "workers",
}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where + ': ' if where else ''}{first['msg']}"


def _set_up_logs(document: ServeDocument, settings: Settings) -> None:
    about = {
        "name": document.name,
        "namespace": document.namespace,
        "revision": document.revision,
    }
    logs.set_up(settings.log_format, settings.log_level, about)


# -- flags


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="modelfleet-runtime",
        description="Serve a machine-learning model, batched, over HTTP.",
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    serve = verbs.add_parser(
        "serve", help="load a model and answer", description=_SERVE, formatter_class=formatter
    )
    serve.set_defaults(run=_serve)
    serve.add_argument("path", metavar="PATH", nargs="?")
    what = serve.add_argument_group("what to serve (with PATH)")
    what.add_argument("--name", help="in addresses, answers and metrics; default: PATH's name")
    what.add_argument("--version", help="in answers and metrics; default 1")
    what.add_argument(
        "--format", choices=[f.value for f in ModelFormat], help="default auto: look and decide"
    )
    what.add_argument("--digest", help="sha256:... that the file or archive must have")
    what.add_argument(
        "--max-batch-size",
        type=int,
        metavar="ROWS",
        help=f"most rows in one batch; 1 turns batching off; default {_DEFAULTS.max_size}",
    )
    what.add_argument(
        "--max-delay",
        type=_duration,
        metavar="DURATION",
        help="how long a batch waits for more while the engine is idle; "
        f"default {format_duration(_DEFAULTS.max_delay)}",
    )
    what.add_argument(
        "--queue-size",
        type=int,
        metavar="REQUESTS",
        help=f"most requests that wait; one more is answered 503; default {_DEFAULTS.queue_size}",
    )
    what.add_argument(
        "--queue-bytes",
        metavar="SIZE",
        help="most bytes of tensors that wait, like 64Mi; "
        f"default {format_byte_size(_DEFAULTS.queue_bytes)}",
    )
    what.add_argument(
        "--queue-timeout",
        type=_duration,
        metavar="DURATION",
        help="how long a request may wait for its batch; default: while its time lasts",
    )
    what.add_argument(
        "--preferred-sizes",
        type=_sizes,
        metavar="ROWS,...",
        help="rows at which a batch goes without waiting for more, like 8,16",
    )
    what.add_argument(
        "--oversize",
        choices=[o.value for o in Oversize],
        help="what becomes of a request with more rows than a batch may have; default Split",
    )
    what.add_argument(
        "--pad",
        type=_padding,
        action="append",
        metavar="INPUT[=VALUE]",
        help="an input whose rows may be padded, so that different lengths share a batch",
    )
    what.add_argument(
        "--timeout",
        type=_duration,
        metavar="DURATION",
        help=f"how long a request may take, from its arrival; default {format_duration(_TIMEOUT)}",
    )
    what.add_argument(
        "--device",
        choices=[device.value for device in Device],
        help="what computes; default auto: CUDA where there is a GPU",
    )
    what.add_argument(
        "--precision",
        choices=[precision.value for precision in Precision],
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
        type=int,
        metavar="PROCESSES",
        help="processes that run the model, each with a copy of it; default 1: the server's own",
    )
    how = serve.add_argument_group("how to run (each also as MODELFLEET_HOST, _PORT, ...)")
    how.add_argument("--host", help="address to listen on; default 0.0.0.0")
    how.add_argument("--port", type=int, help=f"0 takes a free one; default {HTTP_PORT}")
    how.add_argument(
        "--grpc-port",
        type=_grpc_port,
        metavar="PORT",
        help=f"0 takes a free one, off opens none; default {GRPC_PORT}",
    )
    how.add_argument("--threads", type=int, help="of the engine; default: the CPU quota")
    how.add_argument("--access-log", action="store_true", help="a log line for each request")
    how.add_argument("--log-format", choices=LOG_FORMATS, help="default: text on a terminal")

    fetch = verbs.add_parser(
        "fetch", help="copy the model to its volume", description=_FETCH, formatter_class=formatter
    )
    fetch.set_defaults(run=_fetch)

    inspect = verbs.add_parser(
        "inspect", help="say what a path is", description=_INSPECT, formatter_class=formatter
    )
    inspect.set_defaults(run=_inspect)
    inspect.add_argument("path", metavar="PATH")
    inspect.add_argument("--format", choices=[f.value for f in ModelFormat], default="auto")
    return parser


def _grpc_port(text: str) -> tuple[int | None]:
    """In a tuple, because None is one of the ports: none."""
    try:
        return (grpc_port({"MODELFLEET_GRPC_PORT": text}),)
    except CannotServe as error:
        raise argparse.ArgumentTypeError("not a port, and not off") from error


def _sizes(text: str) -> list[int]:
    try:
        return [int(size) for size in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError("write numbers of rows, like 8,16") from error


def _padding(text: str) -> dict[str, object]:
    name, _, value = text.partition("=")
    try:
        return {"input": name, "value": int(value or 0)}
    except ValueError as error:
        raise argparse.ArgumentTypeError("write INPUT, or INPUT=VALUE with a number") from error


def _duration(text: str) -> object:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    main()
