"""Only one operator works at a time: the one that holds the Lease."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.cluster.errors import Unavailable
from modelfleet_operator.cluster.lease import DURATION_S, GIVE_UP_S, RENEW_S, Lease, LeaseLost
from modelfleet_operator.kinds import Kind
from modelfleet_operator.seen import Json
from tests.unit.operator.memory_api import MemoryApi
from tests.unit.operator.virtual_time import clock, live, settle

SPACE, NAME = "modelfleet", "operator"
HANGS = 30.0
"""How long the client waits for an answer."""


class Link(MemoryApi):
    """One operator's way to the API server, which can be slow or cut."""

    def __init__(self, server: MemoryApi) -> None:
        super().__init__()
        self.server = server
        self.there: Callable[[], Awaitable[None]] = self.at_once
        self.back: Callable[[], Awaitable[None]] = self.at_once

    async def at_once(self) -> None:
        pass

    def cut(self, after: float = 0.0) -> None:
        """From now on every call fails, so long after it was made."""

        async def fail() -> None:
            await asyncio.sleep(after)
            raise Unavailable("no route to host")

        self.there = fail

    def mend(self) -> None:
        self.there = self.back = self.at_once

    def slow(self, answer: float) -> None:
        """What is asked for is done at once, and the answer is long on its way."""

        async def wait() -> None:
            await asyncio.sleep(answer)

        self.back = wait

    async def _through(self, call: Awaitable[Json]) -> Json:
        try:
            await self.there()
        except BaseException:
            call.close()  # type: ignore[attr-defined]
            raise
        answer = await call
        await self.back()
        return answer

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        return await self._through(self.server.get(kind, namespace, name))

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        return await self._through(self.server.create(kind, namespace, body))

    async def replace(self, kind: Kind, namespace: str, body: Json) -> Json:
        return await self._through(self.server.replace(kind, namespace, body))


def operators(number: int) -> tuple[MemoryApi, list[Link], list[Lease]]:
    server = MemoryApi()
    links = [Link(server) for _ in range(number)]
    leases = [Lease(link, SPACE, NAME, f"op-{i}", clock) for i, link in enumerate(links)]
    return server, links, leases


def stored(server: MemoryApi) -> dict[str, Any]:
    found = server.find(kinds.LEASE, SPACE, NAME)
    assert found is not None
    spec: dict[str, Any] = found["spec"]
    return spec


async def lost_at(lease: Lease) -> float:
    """When `keep` gives up."""
    with pytest.raises(LeaseLost):
        await lease.keep()
    return clock()


def test_the_first_takes_it_and_the_second_waits() -> None:
    async def story() -> None:
        server, _, (one, two) = operators(2)
        await one.acquire()
        assert clock() == 0
        keeping = asyncio.create_task(one.keep())
        waiting = asyncio.create_task(two.acquire())
        await asyncio.sleep(600)
        assert not waiting.done()
        assert not keeping.done()
        assert stored(server)["holderIdentity"] == "op-0"
        assert stored(server)["leaseTransitions"] == 0
        assert two.renewed_at is None
        for task in (keeping, waiting):
            task.cancel()

    live(story())


def test_of_two_that_begin_together_one_gets_it() -> None:
    async def story() -> None:
        _, _, leases = operators(2)
        tasks = [asyncio.create_task(lease.acquire()) for lease in leases]
        await settle()
        assert sorted(task.done() for task in tasks) == [False, True]
        for task in tasks:
            task.cancel()

    live(story())


def test_a_lease_that_is_given_back_is_taken_at_the_next_try() -> None:
    async def story() -> None:
        server, _, (one, two) = operators(2)
        await one.acquire()
        waiting = asyncio.create_task(two.acquire())
        await asyncio.sleep(1)
        await one.release()
        assert one.renewed_at is None
        await waiting
        assert clock() <= RENEW_S
        assert stored(server)["holderIdentity"] == "op-1"
        assert stored(server)["leaseTransitions"] == 1

    live(story())


def test_one_that_vanished_is_followed_after_the_whole_duration_and_not_before() -> None:
    async def story() -> None:
        _, _, (one, two) = operators(2)
        await one.acquire()
        await two.acquire()
        assert DURATION_S < clock() <= DURATION_S + RENEW_S

    live(story())


def test_a_holders_clock_is_not_believed() -> None:
    """Neither one that is ahead nor one that is behind: only that its lease changes."""

    async def story(renewed: str) -> None:
        server, _, (_, two) = operators(2)
        spec = {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": renewed}
        server.put(kinds.LEASE, {"metadata": {"name": NAME, "namespace": SPACE}, "spec": spec})
        await two.acquire()
        assert DURATION_S < clock() <= DURATION_S + RENEW_S

    for renewed in ("1999-01-01T00:00:00.0Z", "2999-01-01T00:00:00.0Z"):
        live(story(renewed))


def test_a_lease_that_another_has_taken_is_lost_at_the_next_renewal() -> None:
    async def story() -> None:
        server, _, (one, _) = operators(2)
        await one.acquire()
        server.change(kinds.LEASE, SPACE, NAME, spec={"holderIdentity": "op-1"})
        assert await lost_at(one) == RENEW_S
        assert one.renewed_at is None
        await one.release()
        assert stored(server)["holderIdentity"] == "op-1", "and it is not given back for another"

    live(story())


@pytest.mark.parametrize("after", [0.0, 1.5, 4.0, HANGS])
def test_a_holder_that_cannot_renew_stops_well_before_another_may_begin(after: float) -> None:
    """Whether its calls fail at once, late, or hang."""

    async def story() -> None:
        _, (link, _), (one, _) = operators(2)
        await one.acquire()
        link.cut(after)
        assert await lost_at(one) <= GIVE_UP_S < DURATION_S

    live(story())


def test_a_renewal_counts_from_when_it_was_asked_for() -> None:
    """Its answer may be long on its way, and others count from when the lease changed."""

    async def story() -> None:
        _, (link, _), (one, two) = operators(2)
        await one.acquire()
        waiting = asyncio.create_task(two.acquire())
        link.slow(4.0)
        await asyncio.sleep(0)
        keeping = asyncio.create_task(lost_at(one))
        await asyncio.sleep(RENEW_S + 4.5)  # the lease has been read; its renewal is on its way
        link.cut(HANGS)
        lost = await keeping
        await waiting
        assert lost < clock(), "the first stopped before the second began"

    live(story())


def test_a_short_outage_costs_nothing() -> None:
    async def story() -> None:
        _, (link, _), (one, _) = operators(2)
        await one.acquire()
        keeping = asyncio.create_task(one.keep())
        for _ in range(20):
            await asyncio.sleep(11)
            link.cut()
            await asyncio.sleep(3)
            link.mend()
        assert not keeping.done()
        keeping.cancel()

    live(story())


def test_who_waits_goes_on_waiting_through_an_outage() -> None:
    async def story() -> None:
        _, (link, _), (one, _) = operators(2)
        link.cut()
        waiting = asyncio.create_task(one.acquire())
        await asyncio.sleep(100)
        link.mend()
        await waiting
        assert clock() <= 100 + RENEW_S

    live(story())


def test_giving_back_what_cannot_be_reached_is_no_error() -> None:
    async def story() -> None:
        _, (link,), (one,) = operators(1)
        await one.release()  # never held
        await one.acquire()
        link.cut()
        await one.release()

    live(story())


@pytest.mark.parametrize("seed", range(8), ids=lambda seed: f"seed {seed}")
def test_two_never_hold_it_at_once(seed: int) -> None:
    """Three operators, each of whose calls may be slow, fail or hang at any time, for an hour."""
    chance = random.Random(seed)
    working: set[int] = set()
    turns: list[int] = []

    async def weather(link: Link) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0, 40))
            kind = chance.choice(("fine", "fine", "cut", "slow"))
            link.mend()
            if kind == "cut":
                link.cut(chance.choice((0.0, 0.1, 3.0, HANGS)))
            if kind == "slow":
                link.slow(chance.uniform(0, 8))

    async def work(number: int, lease: Lease) -> None:
        while True:
            await lease.acquire()
            assert not working, f"{number} begins while {working} works"
            working.add(number)
            turns.append(number)
            try:
                async with asyncio.timeout(chance.choice((3.0, 60.0, 600.0))):
                    await lease.keep()
            except (LeaseLost, TimeoutError):
                pass
            working.discard(number)
            await lease.release()
            await asyncio.sleep(chance.uniform(0, 5))

    async def story() -> None:
        _, links, leases = operators(3)
        async with asyncio.timeout(3600):
            async with asyncio.TaskGroup() as group:
                for number, lease in enumerate(leases):
                    group.create_task(work(number, lease))
                    group.create_task(weather(links[number]))

    with pytest.raises(TimeoutError):
        live(story())
    assert len(set(turns)) == 3, "each had its turn"
