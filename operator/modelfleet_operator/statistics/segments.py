"""Evidence that goes on through several segments of one experiment.

A segment begins whenever the shares change: what was counted before was counted of other hours, and
is not added to what comes. The evidence of the segments before is a factor that stays: a product of
e-processes, each begun when the one before has ended, is an e-process.
"""

from dataclasses import dataclass

from modelfleet_operator.statistics.encoding import Reader, Writer

CERTAIN = 1e6
"""No logarithm is kept that is larger: values that never vary make it infinite."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Logarithms of one e-process."""

    before: float = 0.0
    """Of all segments before this one."""
    now: float = 0.0
    """Of this segment, at this moment."""
    peak: float = 0.0
    """The highest of the whole so far: what a p-value that may be looked at again and again is
    made of."""

    def add(self, now: float) -> "Evidence":
        now = max(-CERTAIN, min(CERTAIN, now))
        return Evidence(self.before, now, max(self.peak, self.before + now))

    def next_segment(self) -> "Evidence":
        return Evidence(self.before + self.now, 0.0, self.peak)

    @property
    def log_e(self) -> float:
        return self.before + self.now

    def write(self, writer: Writer) -> None:
        writer.numbers((self.before, self.now, self.peak))

    @classmethod
    def read(cls, reader: Reader) -> "Evidence":
        return cls(*reader.numbers(3))
