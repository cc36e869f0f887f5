"""When is a block of both arms' outcomes complete?

As soon as each arm has a request in it and both together have ten. The rule looks at the number of
requests and never at how they ended, so it cannot prefer blocks that end one way. Where little
comes, closing at every look would compare one request with two and learn next to nothing.

A block that stays open because one arm gets nothing is dropped after five minutes: what the other
arm saw meanwhile belongs to another hour.
"""

from dataclasses import dataclass, replace

from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.outcomes import Block, Tally

LEAST = 10
"""Requests of both arms in a closed block."""

PATIENCE = 300.0
"""Seconds for which one arm may get nothing."""


_EMPTY = Block()


@dataclass(frozen=True, slots=True)
class OpenBlock:
    """What has come since the last block was closed."""

    block: Block = _EMPTY
    candidate_silent: float = 0.0
    """Seconds since the candidate's last request."""
    stable_silent: float = 0.0

    def add(self, period: Block, seconds: float) -> "tuple[OpenBlock, Block | None]":
        """What is open after a period of so many seconds, and the block that it closed."""
        silent = (
            0.0 if period.candidate.requests else self.candidate_silent + seconds,
            0.0 if period.stable.requests else self.stable_silent + seconds,
        )
        if max(silent) >= PATIENCE:
            # Only what came after the silence may be compared.
            return OpenBlock(_EMPTY, *silent), None
        whole = self.block + period
        if whole.comparable and whole.candidate.requests + whole.stable.requests >= LEAST:
            return OpenBlock(), whole
        return replace(self, block=whole, candidate_silent=silent[0], stable_silent=silent[1]), None

    def write(self, writer: Writer) -> None:
        for arm in (self.block.candidate, self.block.stable):
            write_tally(writer, arm)
        writer.numbers((self.candidate_silent, self.stable_silent))

    @classmethod
    def read(cls, reader: Reader) -> "OpenBlock":
        candidate, stable = read_tally(reader), read_tally(reader)
        return cls(Block(candidate, stable), *reader.numbers(2))


def write_tally(writer: Writer, tally: Tally) -> None:
    writer.count(tally.failures)
    writer.count(tally.requests - tally.failures)


def read_tally(reader: Reader) -> Tally:
    failures = reader.count()
    return Tally(failures + reader.count(), failures)
