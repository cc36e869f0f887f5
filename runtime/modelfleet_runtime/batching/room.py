"""How many rows has the engine memory for?

A batch that ran out of memory says that its size is too much, at least for now. The next batches
stay below it, so that not every one of them fails first, and try more again, slowly: what took the
memory may be gone.
"""

PATIENCE = 100
"""Batches that have to succeed before more rows are tried."""


class Room:
    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = most
        """The most rows that a batch may have now."""
        self._succeeded = 0

    def ran_out(self, rows: int) -> None:
        """A run of that many rows found no memory."""
        self.rows = max(1, min(self.rows, rows // 2))
        self._succeeded = 0

    def succeeded(self) -> None:
        """A batch went through."""
        if self.rows == self._most:
            return
        self._succeeded += 1
        if self._succeeded >= PATIENCE:
            self._succeeded = 0
            self.rows = min(self._most, self.rows * 2)
