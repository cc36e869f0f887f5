"""Would a request that joins the queue now be answered in its time?

Under more load than the engine can take, a queue that is served in order makes everybody late: each
waits for nearly all of its time, and what is run is run in vain. So a request whose turn will come
too late is refused when it comes, at once, and those that are taken are answered.

The forecast is the time of a batch, as it was lately, times the batches that are ahead. It errs on
the side of taking: a single slow batch, and batches that turn out to be more than their rows tell,
refuse nobody.
"""

_WEIGHT = 0.2
"""Of the newest batch in the mean."""


class Forecast:
    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._mean = 0.0
        self._last = 0.0

    def ran(self, seconds: float) -> None:
        """A batch took this long, by the clock."""
        self._last = seconds
        self._mean += _WEIGHT * (seconds - self._mean) if self._mean else seconds

    def answered_in(self, batches_ahead: int) -> float:
        """Seconds until the answer of a request that so many batches are ahead of, its own not
        counted."""
        return (batches_ahead // self._slots + 1) * min(self._mean, self._last)
