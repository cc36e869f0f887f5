"""May this batch run on the event loop itself?

Handing a batch to another thread and back costs about as much as a small model's whole run. So a
batch whose run is known to be short is run at once on the loop; anything else never is. Known
means: the engine only computes, and runs of at least as many rows were measured, all of them
short. One slow run sends the batches back to the thread until many quick ones have followed.
"""

SHORT = 0.0005
"""Seconds that the loop may be held; a turn with 64 busy connections takes longer anyway."""
ENOUGH = 16
"""Runs measured before the first is trusted."""
_FADE = 0.98


class Pace:
    def __init__(self, computes: bool) -> None:
        self._computes = computes
        self._runs = 0
        self._most_rows = 0
        self._slowest = 0.0

    def note(self, rows: int, seconds: float) -> None:
        """A run of `rows` rows took this long."""
        self._runs += 1
        self._slowest = max(seconds, self._slowest * _FADE)
        if rows > self._most_rows:
            self._most_rows = rows

    def on_loop(self, rows: int) -> bool:
        return (
            self._computes
            and self._runs >= ENOUGH
            and rows <= self._most_rows
            and self._slowest <= SHORT
        )
