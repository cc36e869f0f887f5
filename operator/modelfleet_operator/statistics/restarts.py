"""Long periods: a break is found although there were good times before.

A single process remembers good times: after 100,000 good requests it has lost so much of its stake
that it needs as many bad ones to win it back. So a new process starts every so many blocks, with a
part of the stake that was kept back, and what is judged is the sum of them all. The sum of
processes whose parts add up to 1 is a process with the same guarantee.

Because the margin is fixed, the processes of one grid point multiply by the same factor and can be
added up once and for all: the memory is 25 numbers, whatever the number of starts, and none is
ever dropped. The price is that a design effect acts on each block as it comes.
"""

import math
from dataclasses import dataclass

from modelfleet_operator.statistics.encoding import Reader, Writer
from modelfleet_operator.statistics.mixture import LOG_WEIGHTS, POINTS, Stakes, log_sum

FIRST = 0.8
"""The part of the first start. The rest is for the later ones, 1/2 of it, 1/6, 1/12, ...: what
they cost the first is log(1/0.8), and the j-th starts 2*log(j) behind."""

BLOCKS = 60
"""Blocks between two starts."""


@dataclass(frozen=True, slots=True)
class Restarting:
    """Evidence from a mixture of starts; fed with the stakes that one block makes."""

    sums: Stakes = (math.log(FIRST),) * POINTS
    """For each grid point, the logarithm of what all starts together hold."""
    starts: int = 1
    blocks: int = 0
    """Since the last start."""

    def add(self, gained: Stakes, design_effect: float = 1.0) -> "Restarting":
        sums, starts, blocks = self.sums, self.starts, self.blocks
        if blocks == BLOCKS:
            part = math.log((1 - FIRST) / (starts * (starts + 1)))
            sums = tuple(log_sum((s, part)) for s in sums)
            starts, blocks = starts + 1, 0
        sums = tuple(s + g / design_effect for s, g in zip(sums, gained, strict=True))
        return Restarting(sums, starts, blocks + 1)

    @property
    def log_e(self) -> float:
        held = [w + s for w, s in zip(LOG_WEIGHTS, self.sums, strict=True)]
        return log_sum([*held, math.log((1 - FIRST) / self.starts)])

    def write(self, writer: Writer) -> None:
        writer.count(self.starts)
        writer.count(self.blocks)
        writer.numbers(self.sums)

    @classmethod
    def read(cls, reader: Reader) -> "Restarting":
        starts, blocks = reader.count(), reader.count()
        return cls(reader.numbers(POINTS), starts, blocks)
