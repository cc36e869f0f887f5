"""Run a batch and give each request its own rows; when it fails, find the guilty.

A batch that fails as a whole says nothing about its members, so each is run again alone: the
guilty fails with its own reason, and the others never learn that they had a bad neighbour.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.errors import EngineBroken, OutOfMemory, Refusal
from modelfleet_runtime.signature import Tensors

log = logging.getLogger("modelfleet.batching")

Run = Callable[[Tensors], Tensors]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch, an answer or a refusal for each part in the batch's order."""

    answers: list[Tensors | Refusal]
    retried: bool = False
    """The batch failed as a whole, and its members were run alone."""
    inseparable: bool = False
    """The outputs did not have the batch's rows: such a model is not to be batched."""
    busy: float = 0.0
    """Seconds of the calling thread's processor time. The wall's time would count the wait for the
    interpreter's lock too, which is no property of the model."""


class _Inseparable(Exception):
    pass


def timed(run: Run, parts: Sequence[Part]) -> Outcome:
    """`run_batch`, with how long it kept the thread busy."""
    began = time.thread_time()
    outcome = run_batch(run, parts)
    return replace(outcome, busy=time.thread_time() - began)


def run_batch(run: Run, parts: Sequence[Part]) -> Outcome:
    """Never raises what the model raised: that is in the outcome."""
    if len(parts) == 1:
        return Outcome([_alone(run, parts[0])])
    inseparable = False
    try:
        return Outcome(list(separate(_call(run, join(parts)), parts)))
    except _Inseparable as error:
        inseparable = True
        log.warning("batching is off from now on: %s", error)
    except Refusal as error:
        log.info("a batch of %d requests failed, each is run alone: %s", len(parts), error.message)
    return Outcome([_alone(run, part) for part in parts], True, inseparable)


def join(parts: Sequence[Part]) -> Tensors:
    """The parts' rows below one another, in their order. All parts are of one kin."""
    pieces = [part.tensors() for part in parts]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def separate(outputs: Tensors, parts: Sequence[Part]) -> list[Tensors]:
    """Each part's own rows of the outputs, as views."""
    rows = sum(part.rows for part in parts)
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != rows:
            raise _Inseparable(f"output {name} has shape {array.shape} for a batch of {rows} rows")
    answers = []
    start = 0
    for part in parts:
        stop = start + part.rows
        answers.append({name: array[start:stop] for name, array in outputs.items()})
        start = stop
    return answers


def _alone(run: Run, part: Part) -> Tensors | Refusal:
    if part.entry.settled:
        # Late or gone in the meantime: nobody would read the answer.
        return EngineBroken("the request left before its turn")
    try:
        outputs = _call(run, part.tensors())
        if not part.whole:
            separate(outputs, [part])
        return outputs
    except _Inseparable as error:
        return EngineBroken(f"the request has too many rows for one run, and {error}")
    except Refusal as error:
        return error


def _call(run: Run, tensors: Tensors) -> Tensors:
    """Whatever an engine raises becomes one of our refusals."""
    try:
        return run(tensors)
    except Refusal:
        raise
    except MemoryError as error:
        raise OutOfMemory("there is not enough memory for this request") from error
    except Exception as error:
        log.exception("the engine failed")
        raise EngineBroken("the model failed; the server's log has the details") from error
