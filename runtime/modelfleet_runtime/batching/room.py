"""How many rows has the engine memory for?

A batch that ran out of memory says that its size is too much, at least for now. The next batches
stay below it, so that not every one of them fails first, and try more again, slowly: what took the
memory may be gone.
"""

from collections.abc import Sequence

PATIENCE = 100
"""Batches that have to succeed before more rows are tried."""


class Room:
    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = most
        """The most rows that a batch may have now."""
        self._succeeded = 0

    def ran_out(self, failed: Sequence[int]) -> None:
        """One batch's runs of so many rows found no memory. Where one row alone found none, it is
        that request that is too large, and not the batch."""
        if min(failed) > 1:
            self.rows = max(1, min(self.rows, max(failed) // 2))
            self._succeeded = 0

    def succeeded(self) -> None:
        """A batch went through."""
        if self.rows == self._most:
            return
        self._succeeded += 1
        if self._succeeded >= PATIENCE:
            self._succeeded = 0
            self.rows = min(self._most, self.rows * 2)
