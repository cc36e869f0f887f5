"""One model in several processes, for code that holds Python's lock: one queue, many interpreters.

Each process loads the model for itself and runs one batch at a time, so `slots` batches go at once;
hooks for single items run there too. The CPU quota is shared: each gets its part of the threads.

A process that dies fails what it was given (`EngineCrashed`), and nothing else. It is started
again: at once the first time, then after waits that double from 0.1 s to 30 s, until it has
answered a batch. One that fails to start `GIVE_UP` times in a row is given up, and when all are,
the engine is dead.

Only the shared libraries are in memory once, however many processes there are. Weights are there
for each: every framework copies them into its own memory, onnxruntime also those beside the file.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from modelfleet_contract import EngineSettings, FailureReason
from modelfleet_runtime import cpus
from modelfleet_runtime.engines import frames, messages
from modelfleet_runtime.engines.process import Process, ProcessEnded
from modelfleet_runtime.errors import (
    CannotServe,
    EngineBroken,
    EngineCrashed,
    EngineDead,
    NotReady,
    Refusal,
    one_line,
)
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.signature import Signature, Tensors

log = logging.getLogger("modelfleet.engine")

GIVE_UP = 5
"""Starts in a row that fail until a process is given up."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0
FREE_S = 30.0
"""How long a batch waits for a free process; they are all being started again then."""
CLOSING_S = 0.8
"""For all processes to end by themselves; the server grants its engine 1 s."""


class ProcessesEngine:
    """See `Engine`; also has the hooks for single items, where the model has them."""

    computes = False
    """A run waits for another process, which the event loop must not."""

    def __init__(self, package: Package, settings: EngineSettings, threads: int) -> None:
        wishes = package.wishes
        self.slots = settings.workers if settings.workers > 1 else wishes.workers or 1
        self._start_seconds = wishes.start_seconds
        self._run_seconds = wishes.run_seconds
        self._unpacked = package.unpacked
        part = max(1, threads // self.slots)
        self._start_message = {
            "package": messages.of_package(
                package, settings.model_copy(update={"workers": 1}), part
            ),
            "log_level": logging.getLogger().getEffectiveLevel(),
        }
        self._environment = {**cpus.thread_variables(part), **package.environment}
        self._signature = Signature()
        self._rows: int | None = None
        self._lock = threading.Lock()
        self._all: set[Process] = set()
        self._given_up = 0
        self._closing = threading.Event()
        self._free: SimpleQueue[Process | None] = SimpleQueue()
        self._deaths: dict[Process, int] = {}
        """How many processes in a row died before this one, without one batch answered."""
        self._keeper = _Keeper()
        self.preprocess: Callable[[Any], Tensors] | None = None
        self.postprocess: Callable[[Tensors], Any] | None = None

    def load(self) -> Signature:
        self._keeper.start()
        answers = self._everywhere(self._load_one)
        reply = answers[0]
        self._signature = messages.to_signature(reply["signature"])
        if "preprocess" in reply["hooks"]:
            self.preprocess = self._preprocess
        if "postprocess" in reply["hooks"]:
            self.postprocess = self._postprocess
        return self._signature

    def warm_up(self, rows: int) -> Signature:
        self._rows = rows
        processes = sorted(self._all, key=lambda process: process.pid)
        answers = self._everywhere(lambda index: processes[index].call("warm_up", rows=rows)[0])
        told = [messages.to_signature(reply["signature"]) for reply in answers]
        batched = all(signature.batched for signature in told)
        self._signature = replace(told[0], batched=batched)
        for process in processes:
            self._free.put(process)
        return self._signature

    def run(self, batch: Tensors) -> Tensors:
        return self._call("run", batch)[1]

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            processes = list(self._all)
        for process in processes:
            process.ask_to_end()
        last = time.monotonic() + CLOSING_S
        for process in processes:
            process.end(last - time.monotonic())
        self._free.put(None)
        self._keeper.close()
        if self._unpacked is not None:
            shutil.rmtree(self._unpacked, ignore_errors=True)

    def _preprocess(self, item: Any) -> Tensors:
        return self._call("preprocess", item=item)[1]

    def _postprocess(self, outputs: Tensors) -> Any:
        return self._call("postprocess", outputs)[0]["item"]

    def _call(
        self, do: str, tensors: Tensors | None = None, **more: Any
    ) -> tuple[dict[str, Any], Tensors]:
        process = self._take()
        while not process.alive:  # it died while it had nothing to do, so nobody need hear of it
            self._replace(process)
            process = self._take()
        try:
            reply = process.call(do, tensors, self._run_seconds, **more)
        except ProcessEnded as ended:
            self._replace(process)
            if self._closing.is_set():
                raise NotReady("the server is going away") from ended
            raise EngineCrashed(f"the model's process {ended} while it had this batch") from ended
        except EngineDead as error:
            # Its device is lost, and with it this process; the next one has another context.
            self._replace(process)
            raise EngineCrashed(error.message) from error
        except frames.BadFrame as error:
            self._back(process)  # nothing was sent
            raise EngineBroken(one_line(error)) from error
        except Refusal:
            self._back(process)
            raise
        self._back(process)
        return reply

    # -- who is free

    def _take(self) -> Process:
        try:
            process = self._free.get(timeout=FREE_S)
        except Empty:
            raise EngineBroken(
                f"no process of the model was free for {FREE_S:.0f} s; they are being started again"
            ) from None
        if process is not None:
            return process
        self._free.put(None)  # for the next one who asks
        if self._closing.is_set():
            raise NotReady("the server is going away")
        raise EngineDead(f"all {self.slots} processes of the model have failed to start again")

    def _back(self, process: Process) -> None:
        self._deaths[process] = 0
        self._free.put(process)

    # -- starting

    def _everywhere(self, work: Callable[[int], dict[str, Any]]) -> list[dict[str, Any]]:
        """The answers of all processes at once. Raises the first failure, after ending all."""
        with ThreadPoolExecutor(self.slots, "engine start") as pool:
            answers = [pool.submit(work, index) for index in range(self.slots)]
        for answer in answers:
            if (error := answer.exception()) is not None:
                self.close()
                raise _cannot_serve(error) from error
        return [answer.result() for answer in answers]

    def _load_one(self, _: int) -> dict[str, Any]:
        return self._start()[1]

    def _start(self) -> tuple[Process, dict[str, Any]]:
        """A process that has loaded the model, and what it said then."""
        process = self._keeper.spawn(self._environment)
        with self._lock:
            self._all.add(process)
        try:
            process.tell(self._start_message)
            reply, _ = process.call("load", within=self._start_seconds)
        except BaseException:
            self._drop(process)
            raise
        return process, reply

    def _start_warm(self) -> Process:
        """One that can take batches at once, and takes and gives what the others do."""
        process, reply = self._start()
        try:
            if self._rows is not None:
                reply, _ = process.call("warm_up", rows=self._rows)
            signature = messages.to_signature(reply["signature"])
            if (signature.inputs, signature.outputs) != (
                self._signature.inputs,
                self._signature.outputs,
            ):
                message = "it does not take and give any more what it did"
                raise CannotServe(FailureReason.MODEL_INVALID, message)
        except BaseException:
            self._drop(process)
            raise
        return process

    def _drop(self, process: Process) -> None:
        with self._lock:
            self._all.discard(process)
            self._deaths.pop(process, None)
        process.ask_to_end()
        process.end(0)

    def _replace(self, process: Process) -> None:
        deaths = self._deaths.get(process, 0)
        self._drop(process)
        if not self._closing.is_set():
            log.warning("process %d of the model is started again", process.pid)
            threading.Thread(target=self._start_again, args=(deaths,), daemon=True).start()

    def _start_again(self, deaths: int) -> None:
        for attempt in range(GIVE_UP):
            if self._closing.wait(waiting_time(deaths + attempt)):
                return
            try:
                process = self._start_warm()
            except Exception as error:
                why = _cannot_serve(error)
                log.warning("a process of the model cannot be started: %s", why)
                continue
            self._deaths[process] = deaths + attempt + 1
            self._free.put(process)
            if self._closing.is_set():  # it came too late to be told
                self._drop(process)
            return
        with self._lock:
            self._given_up += 1
            all_gone = self._given_up == self.slots
        log.error("a process of the model is given up after %d starts", GIVE_UP)
        if all_gone:
            self._free.put(None)


def waiting_time(deaths: int) -> float:
    """Seconds until the next start, after so many in a row that answered nothing."""
    return 0.0 if deaths == 0 else min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(deaths - 1, 16))


def _cannot_serve(error: BaseException) -> CannotServe:
    if isinstance(error, CannotServe):
        return error
    if isinstance(error, ProcessEnded) and error.killed:
        return CannotServe(
            FailureReason.OUT_OF_MEMORY,
            f"the model's process {error} while it loaded the model, as the kernel does when "
            "memory runs out; each process holds a copy of the model",
        )
    if isinstance(error, ProcessEnded):
        return CannotServe(
            FailureReason.CRASHED, f"the model's process {error} while it loaded the model"
        )
    return CannotServe(
        FailureReason.CRASHED,
        f"the model's process cannot be started: {type(error).__name__}: {one_line(error)}",
    )


class _Keeper:
    """The thread that starts the processes: the kernel ends each with the thread that started it,
    so that thread has to live as long as the engine."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._live, name="engine keeper", daemon=True).start()

    def spawn(self, environment: dict[str, str]) -> Process:
        """Raises OSError where no process can be started."""
        answer: SimpleQueue[Process | OSError] = SimpleQueue()

        def job() -> None:
            try:
                answer.put(Process(environment))
            except OSError as error:
                answer.put(error)

        self._jobs.put(job)
        made = answer.get()
        if isinstance(made, OSError):
            raise made
        return made

    def close(self) -> None:
        self._jobs.put(None)

    def _live(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
