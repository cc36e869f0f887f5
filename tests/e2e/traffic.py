"""Open-loop traffic on the stable address: requests leave when they are due, whatever comes back.

Every request is accounted for. Half of them come over connections that stay open and half over new
ones, because the two lose requests in different ways.
"""

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from tests.e2e.models import REQUEST


@dataclass
class Account:
    """What became of the requests."""

    sent: int = 0
    answers: Counter[float] = field(default_factory=Counter)
    """How often each factor answered: `scale(2.0)` answers 2.0."""
    lost: list[str] = field(default_factory=list)

    def is_whole(self) -> bool:
        return self.sent == sum(self.answers.values()) + len(self.lost)


class Traffic:
    """`with Traffic(url, name) as traffic:` sends while the block runs."""

    def __init__(
        self, url: str, model: str, *, per_second: float = 40, seconds: float = 180
    ) -> None:
        self._target = f"{url}/v2/models/{model}/infer"
        self._gap = 1 / per_second
        self._most = round(per_second * seconds)
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self.account = Account()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=60)
        assert not self._thread.is_alive(), "the traffic did not end"

    def until_answered_by(self, factor: float, times: int, timeout: float = 60) -> None:
        """Returns when that version has answered so often."""
        with self._changed:
            enough = self._changed.wait_for(
                lambda: self.account.answers[factor] >= times, timeout=timeout
            )
        assert enough, f"{factor} did not answer {times} times in {timeout} s: {self.account}"

    async def _send(self) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=20)
        fresh = httpx.Limits(max_connections=200, max_keepalive_connections=0)
        async with (
            httpx.AsyncClient(timeout=20, limits=limits) as kept,
            httpx.AsyncClient(timeout=20, limits=fresh) as new,
        ):
            under_way: set[asyncio.Task[None]] = set()
            due = time.monotonic()
            while not self._stop.is_set() and self.account.sent < self._most:
                client = (kept, new)[self.account.sent % 2]
                self.account.sent += 1
                task = asyncio.create_task(self._ask(client))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                due += self._gap
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            await asyncio.gather(*under_way)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        try:
            answer = await client.post(self._target, json=REQUEST)
            if answer.status_code == 200:
                factor = answer.json()["outputs"][0]["data"][0]
                with self._changed:
                    self.account.answers[factor] += 1
                    self._changed.notify_all()
                return
            what = f"{answer.status_code} {answer.text[:200]}"
        except httpx.HTTPError as error:
            what = repr(error)
        with self._changed:
            self.account.lost.append(what)
