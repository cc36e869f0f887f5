"""Which posts came already, as far back as there is room."""

from collections.abc import Hashable

MOST = 65_536
"""The last so many are known for certain, and up to twice as many are held, in some 100 bytes
each."""


class Remembered:
    """Two generations: when the younger one is full, the older one is forgotten."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._young: set[int] = set()
        self._old: set[int] = set()

    def __contains__(self, key: Hashable) -> bool:
        # The hash stands for the key: of text it is 64 bits that nobody outside can foresee.
        number = hash(key)
        return number in self._young or number in self._old

    def add(self, key: Hashable) -> None:
        if len(self._young) >= self._most:
            self._old, self._young = self._young, set()
        self._young.add(hash(key))
