"""One request on its way through the batcher."""

import asyncio
from collections.abc import Hashable

import numpy as np

from modelfleet_runtime.errors import EngineBroken, Refusal
from modelfleet_runtime.signature import Tensors


class Entry:
    """A request: what it asks, until when, and the future that its answer settles, once.

    A request with more rows than a batch may have is cut: `cursor` is where its next rows begin,
    and the answers of its pieces gather in `pieces` until the last is there.
    """

    __slots__ = (
        "answer", "arrived", "cursor", "deadline", "kin", "pieces", "rows", "tensors", "total",
    )  # fmt: skip

    def __init__(
        self,
        tensors: Tensors,
        rows: int,
        kin: Hashable,
        arrived: float,
        deadline: float,
        answer: "asyncio.Future[Tensors]",
    ) -> None:
        self.tensors = tensors
        self.total = rows
        self.rows = rows
        self.cursor = 0
        self.kin = kin
        self.arrived = arrived
        self.deadline = deadline
        self.answer = answer
        self.pieces: list[tuple[int, int, Tensors]] | None = None

    @property
    def settled(self) -> bool:
        return self.answer.done()

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
        if part.whole:
            self.answer.set_result(outputs)
            return True
        pieces = self.pieces = self.pieces or []
        pieces.append((part.start, part.stop, outputs))
        if sum(stop - start for start, stop, _ in pieces) < self.total:
            return False
        pieces.sort(key=lambda piece: piece[0])
        try:
            whole = {name: np.concatenate([p[name] for _, _, p in pieces]) for name in pieces[0][2]}
        except (KeyError, ValueError):
            self.fail(EngineBroken("what the model gave for the request's batches does not fit"))
            return True
        self.answer.set_result(whole)
        return True

    def fail(self, refusal: Refusal) -> None:
        if not self.settled:
            self.answer.set_exception(refusal)
            # The waiter may have been cancelled a moment ago; then nobody fetches the exception,
            # and asyncio would log that as forgotten.
            self.answer.exception()


class Part:
    """Some rows of one entry, in one batch."""

    __slots__ = ("entry", "start", "stop")

    def __init__(self, entry: Entry, start: int, stop: int) -> None:
        self.entry = entry
        self.start = start
        self.stop = stop

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        return self.start == 0 and self.stop == self.entry.total

    def tensors(self) -> Tensors:
        """Views on the entry's tensors."""
        if self.whole:
            return self.entry.tensors
        return {name: a[self.start : self.stop] for name, a in self.entry.tensors.items()}
