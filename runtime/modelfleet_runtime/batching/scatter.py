"""Run a batch and give each request its own rows; when it fails, find the guilty.

A batch that fails as a whole says nothing about its members. It is run again in two halves, and a
half that fails in halves again, until the guilty stands alone: it fails with its own reason, and
the others never learn that they had a bad neighbour. Where both halves fail there is more than one
guilty, and each member is run alone at once; so a batch of n requests costs at most
n + 2 log2(n) + 1 runs, and none for those alone who were settled in the meantime (late, or gone).
Out of memory is not a matter of guilt: then every part is halved until it fits.

A batch that takes its process along is run again in its two halves, and a half that does so too is
not: to find the guilty alone would cost a process at each step, and all wait while they are started
again. So a batch costs at most three processes, and one guilty fails half of it at most.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.batching.padding import Padding
from modelfleet_runtime.errors import EngineBroken, EngineCrashed, EngineDead, OutOfMemory, Refusal
from modelfleet_runtime.signature import Tensors

log = logging.getLogger("modelfleet.batching")

Run = Callable[[Tensors], Tensors]


@dataclass(slots=True)
class Outcome:
    """What became of a batch, an answer or a refusal for each part in the batch's order."""

    answers: list[Tensors | Refusal]
    retried: bool = False
    """The batch failed as a whole, and was run again in parts."""
    inseparable: bool = False
    """The outputs did not have the batch's rows: such a model is not to be batched."""
    no_memory: list[int] = field(default_factory=list)
    """The rows of each run that found no memory."""
    padded: int = 0
    """Values that were added to make the rows equal."""
    dead: str | None = None
    """Why the engine will never run again."""
    busy: float = 0.0
    """Seconds of the calling thread's processor time. The wall's time would count the wait for the
    interpreter's lock too, which is no property of the model."""


class _Inseparable(Exception):
    pass


MOST_CRASHES = 3
"""Of a batch as a whole, and of each of its halves."""

_LEFT = EngineBroken("the request left before its turn")
"""Late or gone in the meantime: nobody reads this."""


def timed(run: Run, parts: Sequence[Part], padding: Padding | None = None) -> Outcome:
    """`run_batch`, with how long it kept the thread busy."""
    began = time.thread_time()
    outcome = run_batch(run, parts, padding)
    outcome.busy = time.thread_time() - began
    return outcome


def run_batch(run: Run, parts: Sequence[Part], padding: Padding | None = None) -> Outcome:
    """Never raises what the model raised: that is in the outcome."""
    return _Trial(run, padding).of(parts)


class _Trial:
    """One batch's runs."""

    def __init__(self, run: Run, padding: Padding | None) -> None:
        self._run = run
        self._padding = padding
        self._outcome = Outcome([])
        self._crashes = 0
        """Processes that died of it."""

    def of(self, parts: Sequence[Part]) -> Outcome:
        outcome = self._outcome
        if len(parts) == 1:
            outcome.answers = [self._alone(parts[0])]
            return outcome
        try:
            outcome.answers = self._together(parts)
        except _Inseparable as error:
            outcome.inseparable = outcome.retried = True
            log.warning("batching is off from now on: %s", error)
            outcome.answers = [self._alone(part) for part in parts]
        except Refusal as error:
            outcome.retried = True
            log.info("a batch of %d requests failed, and is parted: %s", len(parts), error.message)
            outcome.answers = self._parted(parts, error)
        return outcome

    def _parted(self, parts: Sequence[Part], error: Refusal) -> list[Tensors | Refusal]:
        """The answers of a group that failed together with `error`."""
        if len(parts) == 1 or isinstance(error, EngineDead) or self._not_again(error):
            return [error] * len(parts)
        middle = len(parts) // 2
        halves = [self._group(parts[:middle]), self._group(parts[middle:])]
        failed = [half for half in halves if isinstance(half[1], Refusal)]
        guilt = all(not isinstance(half[1], OutOfMemory) for half in failed)
        answers: list[Tensors | Refusal] = []
        for group, result in halves:
            if not isinstance(result, Refusal):
                answers += result
            elif len(failed) == 2 and guilt and not self._not_again(result):
                answers += [self._alone(part) if len(group) > 1 else result for part in group]
            else:
                answers += self._parted(group, result)
        return answers

    def _not_again(self, error: Refusal) -> bool:
        return isinstance(error, EngineCrashed) and self._crashes > 1

    def _group(
        self, parts: Sequence[Part]
    ) -> tuple[Sequence[Part], "list[Tensors | Refusal] | Refusal"]:
        if len(parts) == 1:
            answer = self._alone(parts[0])
            return parts, answer if isinstance(answer, Refusal) else [answer]
        if all(part.entry.settled for part in parts):
            return parts, [_LEFT] * len(parts)
        try:
            return parts, self._together(parts)
        except Refusal as error:
            return parts, error
        except _Inseparable as error:
            self._outcome.inseparable = True
            return parts, EngineBroken(f"the batch cannot be parted: {error}")

    def _together(self, parts: Sequence[Part]) -> list[Tensors | Refusal]:
        rows = sum([part.rows for part in parts])
        answers: list[Tensors | Refusal] = []
        try:
            batch, added = join(parts, self._padding)
            own = separate(self._call(batch, rows), parts)
            if added and self._padding is not None:
                self._outcome.padded += added
                self._padding.cut(own, parts, batch)
        except MemoryError as error:
            self._outcome.no_memory.append(rows)
            raise OutOfMemory("there is not enough memory for this batch") from error
        answers += own
        return answers

    def _alone(self, part: Part) -> Tensors | Refusal:
        if part.entry.settled:
            return _LEFT
        try:
            outputs = self._call(part.tensors(), part.rows)
            if not part.whole:
                separate(outputs, [part])
            return outputs
        except _Inseparable as error:
            return EngineBroken(f"the request has too many rows for one run, and {error}")
        except OutOfMemory as error:
            return self._by_halves(part.tensors(), part.rows, error)
        except Refusal as error:
            return error

    def _by_halves(self, tensors: Tensors, rows: int, error: Refusal) -> Tensors | Refusal:
        """One request's rows, for all of which at once there is no memory."""
        if rows < 2 or any(len(array) != rows for array in tensors.values()):
            return error
        halves = []
        for half in (slice(rows // 2), slice(rows // 2, rows)):
            some = {name: array[half] for name, array in tensors.items()}
            count = len(range(rows)[half])
            try:
                outputs: Tensors | Refusal = self._call(some, count)
            except OutOfMemory as smaller:
                outputs = self._by_halves(some, count, smaller)
            except Refusal as refusal:
                return refusal
            if isinstance(outputs, Refusal):
                return outputs
            if any(array.ndim == 0 or len(array) != count for array in outputs.values()):
                return error  # rows that cannot be told apart cannot be put together
            halves.append(outputs)
        try:
            return {name: np.concatenate([half[name] for half in halves]) for name in halves[0]}
        except (KeyError, ValueError, TypeError, MemoryError):
            return error

    def _call(self, tensors: Tensors, rows: int) -> Tensors:
        """Whatever an engine raises becomes one of our refusals."""
        if self._crashes >= MOST_CRASHES:
            raise EngineCrashed("others of its batch took the model's processes along")
        try:
            return self._run(tensors)
        except EngineCrashed:
            self._crashes += 1
            raise
        except OutOfMemory:
            self._outcome.no_memory.append(rows)
            raise
        except EngineDead as error:
            self._outcome.dead = error.message
            raise
        except Refusal:
            raise
        except MemoryError as error:
            self._outcome.no_memory.append(rows)
            raise OutOfMemory("there is not enough memory for this request") from error
        except Exception as error:
            log.exception("the engine failed")
            raise EngineBroken("the model failed; the server's log has the details") from error


def join(parts: Sequence[Part], padding: Padding | None = None) -> tuple[Tensors, int]:
    """The parts' rows below one another, in their order, and how many values were added to make
    them equal. All parts are of one kin."""
    pieces = [part.tensors() for part in parts]
    if padding is not None:
        return padding.join(pieces)
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}, 0


def separate(outputs: Tensors, parts: Sequence[Part]) -> list[Tensors]:
    """Each part's own rows of the outputs, as views."""
    rows = sum([part.rows for part in parts])
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != rows:
            raise _Inseparable(f"output {name} has shape {array.shape} for a batch of {rows} rows")
    answers = []
    start = 0
    named = list(outputs.items())
    for part in parts:
        stop = start + part.rows
        answers.append({name: array[start:stop] for name, array in named})
        start = stop
    return answers
