"""One request on its way through the batcher."""

import asyncio
import logging
from collections.abc import Callable, Hashable

import numpy as np

from modelfleet_runtime.errors import EngineBroken, OutOfMemory, Refusal
from modelfleet_runtime.signature import Tensors
from modelfleet_runtime.tracing import RequestSpan

log = logging.getLogger("modelfleet.batching")


class Entry:
    """A request: what it asks, until when, and what became of it.

    It is settled once: then `outputs` or `refusal` is set, and `done` is called with the entry, on
    the loop's thread.

    A request with more rows than a batch may have is cut: `cursor` is where its next rows begin,
    and the answers of its pieces gather in `pieces` until the last is there.
    """

    __slots__ = (
        "arrived", "cursor", "deadline", "done", "kin", "leave_at", "level", "number", "outputs",
        "pieces", "refusal", "rows", "size", "span", "tensors", "total",
    )  # fmt: skip

    def __init__(
        self,
        tensors: Tensors,
        rows: int,
        kin: Hashable,
        arrived: float,
        deadline: float,
        done: "Callable[[Entry], None]",
        level: int = 1,
        size: int = 0,
        number: int = 0,
    ) -> None:
        self.tensors = tensors
        self.total = rows
        self.rows = rows
        self.cursor = 0
        self.kin = kin
        self.arrived = arrived
        self.deadline = deadline
        self.leave_at = deadline
        """When it has waited for as long as it may; the deadline, where nothing else is asked."""
        self.done = done
        self.level = level
        self.size = size
        """Bytes of its tensors."""
        self.span: RequestSpan | None = None
        """Where the request is traced: set right after it was accepted."""
        self.number = number
        """Its own, of all that were ever accepted."""
        self.outputs: Tensors | None = None
        self.refusal: Refusal | None = None
        self.pieces: list[tuple[int, int, Tensors]] | None = None

    @property
    def settled(self) -> bool:
        return self.outputs is not None or self.refusal is not None

    def cut(self, rows: int) -> "Part":
        """The next `rows` rows, which then no longer wait."""
        part = Part(self, self.cursor, self.cursor + rows)
        self.cursor += rows
        self.rows -= rows
        return part

    def succeed(self, part: "Part", outputs: Tensors) -> bool:
        """Take the answer of one part; whether it was the last one."""
        if self.settled:
            return True
        if part.rows != self.total:
            pieces = self.pieces = self.pieces or []
            pieces.append((part.start, part.stop, outputs))
            if sum(stop - start for start, stop, _ in pieces) < self.total:
                return False
            pieces.sort(key=lambda piece: piece[0])
            try:
                outputs = {n: np.concatenate([p[n] for _, _, p in pieces]) for n in pieces[0][2]}
            except (KeyError, ValueError, TypeError):
                self.fail(EngineBroken("what the model gave for the request's pieces does not fit"))
                return True
            except MemoryError:
                self.fail(OutOfMemory("there is not enough memory for this request's answer"))
                return True
        self.outputs = outputs
        self._tell()
        return True

    def fail(self, refusal: Refusal) -> None:
        if not self.settled:
            self.refusal = refusal
            self._tell()

    def _tell(self) -> None:
        try:
            self.done(self)
        except Exception:  # whatever an answer meets on its way out, the batch's others go on
            log.exception("an answer could not be delivered")


def into(answer: "asyncio.Future[Tensors]") -> Callable[[Entry], None]:
    """A `done` that settles a future, unless its waiter was cancelled."""

    def done(entry: Entry) -> None:
        if answer.done():
            return
        if entry.refusal is not None:
            answer.set_exception(entry.refusal)
        elif entry.outputs is not None:
            answer.set_result(entry.outputs)

    return done


class Part:
    """Some rows of one entry, in one batch."""

    __slots__ = ("entry", "rows", "start", "stop")

    def __init__(self, entry: Entry, start: int, stop: int) -> None:
        self.entry = entry
        self.start = start
        self.stop = stop
        self.rows = stop - start

    @property
    def whole(self) -> bool:
        return self.rows == self.entry.total

    def tensors(self) -> Tensors:
        """Views on the entry's tensors."""
        if self.whole:
            return self.entry.tensors
        return {name: a[self.start : self.stop] for name, a in self.entry.tensors.items()}
