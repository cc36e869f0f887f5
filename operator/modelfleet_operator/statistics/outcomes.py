"""What was counted: requests with a yes/no outcome, of one arm or of two over the same period.

A *failure* is any outcome of which less is better: an error, an answer slower than a limit, a
reward that did not come. Arms are only ever compared within a block: both have then seen the same
hour of the day and the same callers, whatever their shares were.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tally:
    """So many of one arm's requests failed."""

    requests: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.failures <= self.requests:
            raise ValueError(
                f"{self.failures} failures of {self.requests} requests: "
                "failures must lie between 0 and the number of requests"
            )

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.requests + other.requests, self.failures + other.failures)

    @property
    def rate(self) -> float | None:
        """The share of failures, 0 to 1; None where nothing was counted."""
        return self.failures / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Block:
    """The outcomes of both arms over one period."""

    candidate: Tally = Tally()
    stable: Tally = Tally()

    def __add__(self, other: "Block") -> "Block":
        return Block(self.candidate + other.candidate, self.stable + other.stable)

    @property
    def comparable(self) -> bool:
        """Both arms had requests."""
        return self.candidate.requests > 0 and self.stable.requests > 0
