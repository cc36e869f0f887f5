"""How often have the routers sent a request again? Their own counters, kept beyond their lives.

A router's counters go with its process, so they are read each second, and what a process had
counted when it was last seen stays counted.
"""

import contextlib
import threading
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from modelfleet_operator.router.names import OPS_PORT
from modelfleet_operator.router.observed import Unreadable, read_statistics

EACH_S: Final = 1.0
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Retries:
    """`with Retries(deployment, routers) as retries:` watches while the block runs.

    `routers`: asks for the addresses of the routers by their pods' uids; may fail.
    """

    def __init__(self, deployment: str, routers: Callable[[], dict[str, str]]) -> None:
        self._deployment, self._routers = deployment, routers
        self._known: dict[str, str] = {}
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._before = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def total(self) -> int:
        """Since the block began."""
        seen = sum(self._last.values()) - sum(self._first.values())
        return self._before + seen

    def __enter__(self) -> Self:
        self._look(first=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._stop.wait(EACH_S):
            self._look()

    def _look(self, *, first: bool = False) -> None:
        with contextlib.suppress(AssertionError, OSError, ValueError):
            self._known |= self._routers()
        for uid, address in self._known.items():
            with contextlib.suppress(OSError, Unreadable):
                self._enter(uid, self._counted(address), first)

    def _enter(self, uid: str, counted: int, first: bool) -> None:
        last = self._last.get(uid, 0)
        if counted < last:  # another process in the same pod
            self._before += last - self._first[uid]
            self._first[uid] = 0
        self._first.setdefault(uid, counted if first else 0)
        self._last[uid] = counted

    def _counted(self, address: str) -> int:
        with _OPEN(f"http://{address}:{OPS_PORT}/stats/prometheus", timeout=2) as answer:
            found = read_statistics(answer.read().decode())
        # A revision is called DEPLOYMENT-HASH.
        return sum(
            counters.retries
            for revision, counters in found.items()
            if revision.rpartition("-")[0] == self._deployment
        )
