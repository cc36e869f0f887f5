"""One process that runs the model, as the server holds it.

It is started anew (`exec`), not forked: a fork would copy locks that other threads hold, and a CUDA
context, which does not survive it.
"""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

import orjson

from modelfleet_runtime.engines import frames, messages
from modelfleet_runtime.engines.child import RECORD
from modelfleet_runtime.signature import Tensors

log = logging.getLogger("modelfleet.engine")

_LONGEST_LINE = 1 << 16


class ProcessEnded(Exception):
    """The process is gone; the message ends the sentence "the model's process ..."."""

    def __init__(self, message: str, killed: bool) -> None:
        super().__init__(message)
        self.killed = killed
        """By SIGKILL, which is how the kernel takes memory back."""


class Process:
    """Calls come from one thread at a time. It dies with the thread that started it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises OSError where no process can be started."""
        self._sock, theirs = socket.socketpair()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid())]
            try:
                self._popen = subprocess.Popen(
                    [sys.executable, "-m", "modelfleet_runtime.engines.child", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    pass_fds=(theirs.fileno(),),
                    env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                )
            except OSError:
                self._sock.close()
                raise
        assert self._popen.stdout is not None
        reader = threading.Thread(
            target=_pass_on, args=(self._popen.stdout, self.pid), name="engine log", daemon=True
        )
        reader.start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def tell(self, head: dict[str, Any]) -> None:
        """Say something that has no answer. Raises `ProcessEnded`."""
        try:
            frames.send(self._sock, head)
        except OSError as error:
            raise self._ended() from error

    def call(
        self,
        do: str,
        tensors: Tensors | None = None,
        within: float | None = None,
        **more: Any,
    ) -> tuple[dict[str, Any], Tensors]:
        """Its answer. One that has not come `within` so many seconds costs the process its life.

        Raises `CannotServe`, a `Refusal`, `frames.BadFrame`, or `ProcessEnded`."""
        self._sock.settimeout(within)
        try:
            frames.send(self._sock, {"do": do, **more}, tensors)
            reply, outputs = self._answer()
        except TimeoutError as error:
            self._popen.kill()
            self._ended()
            raise ProcessEnded(f"gave no answer for {within:g} s and was ended", False) from error
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if "failure" in reply:
            raise messages.to_failure(reply["failure"])
        return reply, outputs

    def _answer(self) -> tuple[dict[str, Any], Tensors]:
        try:
            return frames.receive(self._sock)
        except (frames.BadFrame, ValueError) as error:
            raise EOFError from error  # what follows would be nonsense too

    def ask_to_end(self) -> None:
        """It ends once it has done what it is doing."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def end(self, patience: float) -> None:
        """Wait for its end, and kill it when that takes longer than `patience` seconds."""
        try:
            self._popen.wait(max(0.0, patience))
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._sock.close()

    def _ended(self) -> ProcessEnded:
        self._popen.kill()  # if it has closed the socket and lives on, it is of no use
        code = self._popen.wait()
        self._sock.close()
        if code >= 0:
            return ProcessEnded(f"ended with the code {code}", False)
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return ProcessEnded(f"was killed by {name}", -code == signal.SIGKILL)


def _pass_on(stream: IO[bytes], pid: int) -> None:
    """Each line of the process becomes one of ours, until the process ends."""
    with stream:
        while line := stream.readline(_LONGEST_LINE):
            text = line.decode(errors="replace").rstrip("\n")
            if text.startswith(RECORD):
                with contextlib.suppress(ValueError, KeyError):
                    _log(orjson.loads(text[len(RECORD) :]), pid)
                    continue
            if text:
                log.info("%s", text, extra={"process_id": pid})


def _log(told: dict[str, Any], pid: int) -> None:
    logger = logging.getLogger(told["logger"])
    if not logger.isEnabledFor(told["level"]):
        return
    values = {"process_id": pid}
    if told["trace"]:
        values["trace"] = told["trace"]
    record = logger.makeRecord(
        told["logger"], told["level"], "", 0, "%s", (told["message"],), None, extra=values
    )
    record.exc_text = told["trace"]  # for lines of text
    logger.handle(record)
