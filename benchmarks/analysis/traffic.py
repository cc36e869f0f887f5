"""Simulated requests: each is sent to the candidate or to the stable arm by chance, and fails or
not by chance."""

from dataclasses import dataclass

import numpy as np

from benchmarks.analysis.many import Counts, Generator

LOOK = 50
"""Requests of both arms between two looks."""


@dataclass(frozen=True)
class Traffic:
    """What the arms are really like, look by look."""

    stable: float
    candidate: float
    share: float
    looks: int
    per_look: int = LOOK
    ramp: tuple[float, ...] = ()
    """Instead of `share`: the candidate's share in each equal part of the time."""
    drift: float = 1.0
    """Both rates are multiplied by a factor that goes from 1 to this, evenly by ratio."""
    breaks_at: int | None = None
    """Before this look the candidate is as good as the stable arm."""

    def at(self, look: int) -> tuple[float, float, float]:
        """Share, rate of the candidate, rate of the stable arm."""
        done = look / self.looks
        factor = self.drift**done
        share = self.ramp[int(done * len(self.ramp))] if self.ramp else self.share
        well = self.breaks_at is not None and look < self.breaks_at
        return share, (self.stable if well else self.candidate) * factor, self.stable * factor

    def draw(self, rng: Generator, look: int, pairs: int) -> tuple[Counts, Counts, Counts, Counts]:
        """n_c, x_c, n_s, x_s of one look, for many pairs."""
        share, candidate, stable = self.at(look)
        n_c = rng.binomial(self.per_look, share, pairs)
        n_s = self.per_look - n_c
        x_c, x_s = rng.binomial(n_c, candidate), rng.binomial(n_s, stable)
        return (
            n_c.astype(np.int64),
            x_c.astype(np.int64),
            n_s.astype(np.int64),
            x_s.astype(np.int64),
        )
