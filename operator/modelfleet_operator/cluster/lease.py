"""Only one operator works at a time: the one that holds the Lease.

The library's own elector was left aside because it does not give the lease back when it ends (the
next operator then waits for the whole lease), and brings in the typed models (80 MB). The rules are
those of every controller: take a lease that nobody holds or that was not renewed for its whole
duration by this process's own clock, renew it often, and stop at once when that fails for long.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from modelfleet_operator import kinds
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import ApiError, Conflict, NotFound

log = logging.getLogger("modelfleet.lease")

DURATION_S = 15
RENEW_S = 5.0
RETRY_S = 1.0
"""After a renewal that failed."""
GIVE_UP_S = 10.0
"""A holder that could not renew for so long stops, well before another may take over."""


class LeaseLost(Exception):
    """Another holds the lease, or may by now."""


class Lease:
    """One process's claim on the lease."""

    def __init__(
        self,
        cluster: KubeApi,
        namespace: str,
        name: str,
        holder: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._namespace, self._name, self._holder = namespace, name, holder
        self._clock = clock
        self._last_seen: tuple[Any, float] | None = None
        self.renewed_at: float | None = None
        """By `clock`, when the last renewal was asked for; None while another holds the lease."""

    async def acquire(self) -> None:
        """Returns when the lease is ours. Waits as long as another renews it."""
        waiting = False
        while True:
            try:
                if await self._try():
                    log.info("holding the lease %s as %s", self._name, self._holder)
                    return
            except ApiError as error:
                log.warning("the lease cannot be read or written: %s", error)
            if not waiting:
                log.info("waiting for the lease %s", self._name)
                waiting = True
            await asyncio.sleep(RENEW_S / 2)

    async def keep(self) -> None:
        """Renews for ever. Raises `LeaseLost` when that did not work for too long.

        No call is waited for beyond that moment: one may hang for longer than the lease lasts.
        """
        rest, problem = RENEW_S, "no answer"
        while True:
            await asyncio.sleep(max(0.0, min(rest, self._left())))
            if self._left() <= 0.0:
                raise LeaseLost(f"not renewed for {GIVE_UP_S:.0f} s: {problem}")
            try:
                async with asyncio.timeout(self._left()):
                    held = await self._try()
            except (ApiError, TimeoutError) as error:
                rest, problem = RETRY_S, str(error) or "no answer"
                continue
            if not held:
                raise LeaseLost("another operator holds the lease")
            rest = RENEW_S

    def _left(self) -> float:
        """How long we may go on without another renewal."""
        return 0.0 if self.renewed_at is None else self.renewed_at + GIVE_UP_S - self._clock()

    async def release(self) -> None:
        """Gives the lease back, so that another need not wait for it to run out."""
        if self.renewed_at is None:
            return
        self.renewed_at = None
        try:
            lease = await self._cluster.get(kinds.LEASE, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") != self._holder:
                return
            lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            await self._cluster.replace(kinds.LEASE, self._namespace, lease)
        except ApiError as error:
            log.info("the lease could not be given back: %s", error)

    async def _try(self) -> bool:
        try:
            lease = await self._cluster.get(kinds.LEASE, self._namespace, self._name)
        except NotFound:
            return await self._create()
        spec = lease.setdefault("spec", {})
        holder = spec.get("holderIdentity")
        if holder and holder != self._holder and not self._ran_out(lease):
            self.renewed_at = None
            return False
        stamp = _stamp()
        if holder != self._holder:
            spec["acquireTime"] = stamp
            spec["leaseTransitions"] = spec.get("leaseTransitions", 0) + 1
        spec |= {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": DURATION_S,
            "renewTime": stamp,
        }
        asked = self._clock()  # others count from when the lease changes, not from when we hear it
        try:
            await self._cluster.replace(kinds.LEASE, self._namespace, lease)
        except Conflict:
            self.renewed_at = None
            return False
        self.renewed_at = asked
        return True

    async def _create(self) -> bool:
        stamp = _stamp()
        body = {
            "apiVersion": kinds.LEASE.api_version,
            "kind": kinds.LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._holder,
                "leaseDurationSeconds": DURATION_S,
                "acquireTime": stamp,
                "renewTime": stamp,
                "leaseTransitions": 0,
            },
        }
        asked = self._clock()
        try:
            await self._cluster.create(kinds.LEASE, self._namespace, body)
        except Conflict:
            return False
        self.renewed_at = asked
        return True

    def _ran_out(self, lease: dict[str, Any]) -> bool:
        """Whether the lease stood unchanged for its whole duration while we watched.

        The holder's clock is not believed: only that its lease changes.
        """
        version, now = lease["metadata"]["resourceVersion"], self._clock()
        if self._last_seen is None or self._last_seen[0] != version:
            self._last_seen = (version, now)
            return False
        duration = lease["spec"].get("leaseDurationSeconds", DURATION_S)
        return now - self._last_seen[1] > float(duration)


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
