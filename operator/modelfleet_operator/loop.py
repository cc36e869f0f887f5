"""Wake, observe, plan, act, sleep: the whole life of one ModelDeployment.

One task lives for each resource. It is woken by anything that may have changed, and looks for
itself: no event is believed beyond "look again". Everything that it has to know is in the cluster,
so a task that dies, or an operator, is replaced by another that goes on in the same place.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from modelfleet_operator import act
from modelfleet_operator.api.status import Status
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import ApiError, Conflict, Unavailable
from modelfleet_operator.cluster.prometheus import PrometheusApi
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.observe.gather import observe
from modelfleet_operator.observe.gpus import GpuReader
from modelfleet_operator.plan import conditions, events
from modelfleet_operator.plan.decide import decide
from modelfleet_operator.plan.types import Defaults
from modelfleet_operator.seen import Observed

log = logging.getLogger("modelfleet.loop")

SOON_S = 0.2
"""After a picture that was old."""
REFUSED_S = 15.0
"""After a refusal: a quota or a policy changes when a person changes it."""
LONGEST_BACKOFF_S = 60.0
PATIENCE_S, MOST_PATIENT_S = 0.1, 5.0
"""So much longer is each wait after looks that nothing has called for, and at most."""


class Key(NamedTuple):
    """Names one ModelDeployment."""

    namespace: str
    name: str


def now() -> datetime:
    """To the second, because that is how far the API's own times go."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one resource: reads once, decides once, writes what differs."""

    cluster: KubeApi
    routers: RouterApi
    defaults: Defaults
    reporter: str
    clock: Callable[[], datetime] = now
    gpus: GpuReader = field(default_factory=GpuReader)
    prometheus: PrometheusApi | None = None

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look is due, None when only a change makes one due.

        Raises `Gone` when there is nothing to look after any more.
        """
        seen = await observe(self.cluster, self.routers, key.namespace, key.name, self.clock())
        if seen is None:
            raise Gone
        if seen.resource.deleting:
            return None  # the children follow by their owner references
        plan = decide(seen, self.defaults)
        # By an answer a rollout may end, and another begin that looks for its places.
        if self.prometheus is not None and (asked := plan.asks_for_answers):
            seen = replace(seen, answers=await self.prometheus.read(asked))
            plan = decide(seen, self.defaults)
        if asked := plan.asks_for_gpus:  # dear to read, and seldom needed
            seen = replace(seen, gpus=await self.gpus.read(self.cluster, asked))
            plan = decide(seen, self.defaults)
        refusal = None
        if plan.verdict is not None:
            refusal = await act.children(self.cluster, seen, plan.verdict)
        told = (
            plan.status if refusal is None else conditions.with_refusal(seen, plan.status, refusal)
        )
        if await act.status(self.cluster, seen, told):  # stored first, told afterwards
            await self._tell(key, seen, told)
        if refusal is not None:
            return REFUSED_S
        return plan.again.total_seconds() if plan.again is not None else None

    async def _tell(self, key: Key, seen: Observed, told: Status) -> None:
        news = events.changes(seen.resource.status, told)
        for event in news:
            level = logging.WARNING if event.warning else logging.INFO
            log.log(level, "%s: %s", event.reason, event.message, extra=_about(key))
        try:
            await act.events(self.cluster, seen, news, self.reporter)
        except ApiError as error:
            log.info("an event was not taken: %s", error, extra=_about(key))


class Gone(Exception):
    """The resource does not exist any more."""


def _about(key: Key) -> dict[str, str]:
    return {"namespace": key.namespace, "deployment": key.name}


LookAt = Callable[[Key], Awaitable[float | None]]
"""One look at what a key names: seconds until the next, None when only a change makes one due.
Raises `Gone` where there is nothing to look after any more, and `ApiError`."""


class Keeper:
    """Keeps one task alive for each key that was ever woken and is not gone."""

    def __init__(self, look: LookAt, *, concurrency: int, resync: timedelta) -> None:
        self._look = look
        self._resync_s = resync.total_seconds()
        self._slots = asyncio.Semaphore(concurrency)
        self._wakes: dict[Key, asyncio.Event] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def wake(self, key: Key) -> None:
        """Something about that resource may have changed."""
        wake = self._wakes.get(key)
        if wake is None:
            wake = self._wakes[key] = asyncio.Event()
            self._tasks[key] = asyncio.create_task(self._live(key, wake), name=f"live {key}")
        wake.set()

    @property
    def count(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Ends all tasks, wherever they are; whatever they left half done is seen by the next."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, key: Key, wake: asyncio.Event) -> None:
        failures = unwoken = 0
        try:
            while True:
                async with self._slots:
                    wake.clear()  # before reading: a change during the look wakes us again
                    try:
                        rest, failures = await self._look(key), 0
                    except Gone:
                        if not wake.is_set():
                            return
                        rest = 0.0
                    except Conflict as error:
                        log.debug("the picture was old: %s", error, extra=_about(key))
                        failures += 1
                        rest = SOON_S * min(failures, 25)
                    except ApiError as error:
                        failures += 1
                        rest = _backoff(failures, error)
                        _log_failure(key, failures, str(error), rest)
                    except Exception:
                        failures += 1
                        rest = _backoff(failures, None)
                        log.exception("a look failed; this is a bug", extra=_about(key))
                rest = self._resync_s if rest is None else min(rest, self._resync_s)
                # What nobody tells (a router took its configuration) is asked for often at first,
                # and ever less often while it does not come.
                rest = max(rest, min(MOST_PATIENT_S, PATIENCE_S * unwoken))
                woken = await _first(wake, rest * random.uniform(1.0, 1.1))
                unwoken = 0 if woken else unwoken + 1
        finally:
            self._wakes.pop(key, None)
            self._tasks.pop(key, None)


async def _first(wake: asyncio.Event, seconds: float) -> bool:
    """Whether it was woken, before the time was over."""
    try:
        async with asyncio.timeout(seconds):
            await wake.wait()
    except TimeoutError:
        return False
    return True


def _backoff(failures: int, error: ApiError | None) -> float:
    asked = error.retry_after if isinstance(error, Unavailable) else None
    return max(asked or 0.0, min(LONGEST_BACKOFF_S, 0.5 * 2.0 ** min(failures, 10)))


def _log_failure(key: Key, failures: int, message: str, rest: float) -> None:
    """Loudly once; what goes on failing the same way is not news."""
    level = logging.WARNING if failures == 1 else logging.DEBUG
    log.log(level, "%s; again in %.1f s", message, rest, extra=_about(key))
