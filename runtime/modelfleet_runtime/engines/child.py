"""A process that runs the model: `python -m modelfleet_runtime.engines.child SOCKET PARENT`.

It has an interpreter, and so a lock, of its own. It does one thing at a time, as it is told over
the socket, and ends when the socket does. What is logged and printed goes to the server, line by
line, which writes it into its own log.
"""

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines import frames, messages
from modelfleet_runtime.engines.engine import Engine, engine_in_process
from modelfleet_runtime.errors import CannotServe, EngineBroken, EngineDead, Refusal, one_line
from modelfleet_runtime.signature import Tensors

RECORD = "\x1e"
"""Begins a line that is a log record in JSON; any other line was printed."""

_PR_SET_PDEATHSIG = 1

log = logging.getLogger("modelfleet.engine")


def main() -> None:
    number, parent = (int(argument) for argument in sys.argv[1:])
    _end_with(parent)
    # The server hears them, finishes what it has, and then closes the socket.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    with socket.socket(fileno=number) as sock:
        told, _ = frames.receive(sock)
        logging.basicConfig(level=told["log_level"], handlers=[handler])
        engine = engine_in_process(*messages.to_package(told["package"]))
        with contextlib.suppress(EOFError, OSError):
            _live(sock, engine)
        engine.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that the model's code left behind do not hold us


def _end_with(parent: int) -> None:
    """A run that lasts would not notice that the server is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _live(sock: socket.socket, engine: Engine) -> None:
    while True:
        told, tensors = frames.receive(sock)
        dead = False
        try:
            reply, outputs = _do(engine, told, tensors)
        except (CannotServe, Refusal) as error:
            if isinstance(error, CannotServe):
                log.debug("what ended the start", exc_info=error)
            reply, outputs = {"failure": messages.of_failure(error)}, {}
            dead = isinstance(error, EngineDead)
        except BaseException as error:
            log.exception("the model's process failed")
            reply, outputs = {"failure": _unforeseen(told["do"], error)}, {}
        try:
            frames.send(sock, reply, outputs)
        except frames.BadFrame as error:
            failure = messages.of_failure(EngineBroken(one_line(error)))
            frames.send(sock, {"failure": failure})
        if dead:
            return


def _do(engine: Engine, told: dict[str, Any], tensors: Tensors) -> tuple[dict[str, Any], Tensors]:
    match told["do"]:
        case "run":
            return {}, engine.run(tensors)
        case "preprocess":
            return {}, _hook(engine, "preprocess")(told["item"])
        case "postprocess":
            return {"item": _plain(_hook(engine, "postprocess")(tensors))}, {}
        case "load":
            signature = engine.load()
            hooks = [name for name in ("preprocess", "postprocess") if getattr(engine, name, None)]
            return {"signature": messages.of_signature(signature), "hooks": hooks}, {}
        case "warm_up":
            return {"signature": messages.of_signature(engine.warm_up(told["rows"]))}, {}
    raise ValueError(f"nobody can {told['do']}")


def _hook(engine: Engine, name: str) -> Callable[[Any], Any]:
    hook: Callable[[Any], Any] = getattr(engine, name)
    return hook


def _plain(value: Any) -> Any:
    try:
        return orjson.loads(orjson.dumps(value, _as_json, orjson.OPT_SERIALIZE_NUMPY))
    except (TypeError, ValueError) as error:
        raise EngineBroken(
            f"the model's postprocess gave what JSON cannot carry: {one_line(error)}"
        ) from error


def _as_json(value: Any) -> Any:
    """As the server itself would write it."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(type(value).__name__)


def _unforeseen(doing: str, error: BaseException) -> dict[str, Any]:
    text = f"{type(error).__name__}: {one_line(error)}"
    if doing not in ("load", "warm_up"):
        return messages.of_failure(EngineBroken(f"the model failed: {text}"))
    if isinstance(error, MemoryError):
        message = "there is not enough memory to load the model"
        return messages.of_failure(CannotServe(FailureReason.OUT_OF_MEMORY, message))
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        message = (
            "the model's code ended the process while it was loaded "
            f"({type(error).__name__})"
        )  # fmt: skip
        return messages.of_failure(CannotServe(FailureReason.MODEL_INVALID, message))
    return messages.of_failure(
        CannotServe(FailureReason.CRASHED, f"loading the model failed: {text}")
    )


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told = {
            "logger": record.name,
            "level": record.levelno,
            "message": record.getMessage(),
            "trace": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return RECORD + orjson.dumps(told).decode()


if __name__ == "__main__":
    main()
