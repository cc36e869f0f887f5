"""`modelfleet-runtime serve | fetch | inspect`."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from modelfleet_contract import (
    GRPC_PORT,
    FailureReason,
    ModelFormat,
    ServeDocument,
)
from modelfleet_runtime import logs
from modelfleet_runtime.documents import (
    document_of_env,
    document_of_flags,
    read_document,
    scheme_of,
)
from modelfleet_runtime.errors import CannotServe, one_line
from modelfleet_runtime.flags import parser
from modelfleet_runtime.settings import Settings, termination_log

log = logging.getLogger("modelfleet")

TERMINATED = 143
"""The exit code of SIGTERM before the server has begun, as a shell counts it."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Exits with 0 after a drain, 2 for a flag that is not there, and else with the failure's own
    code."""
    # A container's first process ignores a signal without a handler. `serve` takes over later.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(TERMINATED))
    try:
        options = parser().parse_args(arguments)
        settings = Settings.from_env()
    except CannotServe as error:
        _leave(_fail(error, Settings(termination_log=termination_log(os.environ))))
    _run_and_leave(lambda: _VERBS[options.verb](options, settings), settings)


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
    log.debug("what ended the process", exc_info=error)
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
        grpc_port=_chosen(options.grpc_port, settings.grpc_port),
        management_port=_chosen(options.management_port, settings.management_port),
        metrics_port=_chosen(options.metrics_port, settings.metrics_port),
        threads=options.threads or settings.threads,
        access_log=options.access_log or settings.access_log,
        log_format=options.log_format or settings.log_format,
    )
    if options.path is None:
        document = document_of_env(options)
        location = Path(document.location)
    else:
        document, location = document_of_flags(options, settings)
    _set_up_logs(document, settings)
    settings = _with_ports_apart(settings, chosen=options.grpc_port is not None)
    if options.path is not None and document.model.fetched:
        from modelfleet_runtime.sources.fetch import fetch

        fetch(document.model, location, revalidate=True)
    if not document.model.fetched:
        document, location = _opened(document, location, settings)

    from modelfleet_runtime import cpus

    threads = settings.threads or cpus.usable_cpus()
    os.environ |= {k: v for k, v in cpus.thread_variables(threads).items() if k not in os.environ}

    import uvloop

    from modelfleet_runtime.lifecycle import serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        # In here: closing the loop waits for threads that a model's own code may hold for ever.
        _run_and_leave(lambda: runner.run(serve(document, location, settings)), settings)


def _opened(
    document: ServeDocument, location: Path, settings: Settings
) -> tuple[ServeDocument, Path]:
    """An archive on this machine, unpacked; its digest is proved then, and nothing is left to
    prove."""
    from modelfleet_runtime.sources.opened import opened

    folder = opened(location, settings.cache, document.model.digest)
    if folder == location:
        return document, location
    model = document.model.model_copy(update={"digest": None})
    return document.model_copy(update={"model": model}), folder


def _fetch(options: argparse.Namespace, settings: Settings) -> None:
    document = read_document()
    _set_up_logs(document, settings)
    if not document.model.fetched:
        log.info("%s needs no fetching", document.model.uri)
        return
    from modelfleet_runtime.sources.fetch import fetch

    fetch(document.model, Path(document.location))


def _inspect(options: argparse.Namespace, settings: Settings) -> None:
    logs.set_up("text", "DEBUG" if settings.log_level == "DEBUG" else "WARNING", {})
    from modelfleet_runtime.inspecting import inspect
    from modelfleet_runtime.sources.opened import opened

    scheme = scheme_of(options.path)
    if scheme not in (None, "file"):
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"inspect takes the path of a file or a folder, not {scheme}://; download it first",
        )
    place = opened(Path(options.path.removeprefix("file://")), settings.cache)
    for line in inspect(place, ModelFormat(options.format), settings, options.load):
        print(line)


_VERBS: dict[str, Callable[[argparse.Namespace, Settings], None]] = {
    "serve": _serve,
    "fetch": _fetch,
    "inspect": _inspect,
}


def _chosen(flag: tuple[int | None] | None, setting: int | None) -> int | None:
    return setting if flag is None else flag[0]


def _with_ports_apart(settings: Settings, chosen: bool) -> Settings:
    """Without gRPC where another has the port that nobody chose for gRPC. Raises `CannotServe`."""
    ports = {
        "--port": settings.port,
        "--management-port": settings.management_port,
        "--metrics-port": settings.metrics_port,
        "--grpc-port": settings.grpc_port,
    }
    owners: dict[int, str] = {}
    for flag, port in ports.items():
        if not port:
            continue
        other = owners.setdefault(port, flag)
        if other == flag:
            continue
        if flag == "--grpc-port" and not chosen and port == GRPC_PORT:
            what = "HTTP" if other == "--port" else other
            log.warning("%s has port %d: there is no gRPC; --grpc-port takes another", what, port)
            return replace(settings, grpc_port=None)
        raise CannotServe(
            FailureReason.DOCUMENT_INVALID,
            f"{other} and {flag} are both {port}; write two different ones, or {flag} off",
        )
    return settings


def _set_up_logs(document: ServeDocument, settings: Settings) -> None:
    about = {
        "name": document.name,
        "namespace": document.namespace,
        "revision": document.revision,
    }
    logs.set_up(settings.log_format, settings.log_level, about)


if __name__ == "__main__":
    main()
