"""Whole rollouts by a Gateway, in any order: whoever is sent to a revision finds a pod there."""

import random
from collections.abc import Callable

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.plan.rollout.capacity import needed
from modelfleet_operator.router.site import WHOLE
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import NAME
from tests.unit.operator.gateway.world import GatewayWorld, weights_of
from tests.unit.operator.memory_api import Write

LONGEST = 1500
PODS = 2
STEPS = {
    "strategy": "Progressive",
    "steps": [{"weight": 20, "pause": "2s"}, {"weight": 60, "pause": "5s"}],
    "progressDeadline": "24h",
}
SEEDS = (None, *range(4))

NO_ROUTE: Json = {"spec": {"rules": [{"backendRefs": []}]}}

When = Callable[[GatewayWorld], bool]


class Laws:
    """Watches one world."""

    def __init__(self, world: GatewayWorld) -> None:
        self.world = world
        self.answered: set[str] = set()

    def before_write(self, write: Write) -> None:
        world, route = self.world, self.world.route
        if write.kind != kinds.HTTP_ROUTE.kind or route is None or not write.body:
            return
        before, now = weights_of(route), weights_of(write.body)
        assert sum(now.values()) == WHOLE, "all of the traffic goes somewhere"
        for revision, parts in now.items():
            if parts <= before.get(revision, 0) or not any(map(world.reaching, before)):
                continue
            assert world.reaching(revision) >= min(needed(parts, PODS), 1), "a share for nobody"
        if _moves(before, now) and not self._goes_back(now):
            assert world.accepted(route), "a shift before the one before it was taken"
            candidate = self._candidate()
            assert world.reaching(candidate) >= needed(now.get(candidate, 0), PODS)

    def after_step(self) -> None:
        """What answered those who are sent to it goes on answering them."""
        for revision, parts in self.world.split.items():
            if not parts:
                self.answered.discard(revision)
            elif self.world.reaching(revision):
                self.answered.add(revision)
            else:
                assert revision not in self.answered, f"nobody of {revision} answers"

    def _candidate(self) -> str:
        return str((self.world.status.get("variants") or [{}])[0].get("candidate") or "")

    def _goes_back(self, now: dict[str, int]) -> bool:
        return not now.get(self._candidate(), 0)


def _moves(before: dict[str, int], now: dict[str, int]) -> bool:
    return {n: p for n, p in before.items() if p} != {n: p for n, p in now.items() if p}


def serves(model: str) -> When:
    return lambda w: w.condition("Ready")[0] == "True" and w.status.get("version") == model


def alone(model: str) -> When:
    def when(world: GatewayWorld) -> bool:
        own = world.revision_of(model)
        return {n: p for n, p in world.split.items() if p} == {own: WHOLE} and all(
            world._of(pod) == own for pod in world.pods()
        )

    return lambda w: serves(model)(w) and when(w)


def share_of(model: str, parts: int) -> When:
    """As it is written; the proxies may be behind by several shifts."""
    return lambda w: weights_of(w.route or NO_ROUTE).get(w.revision_of(model) or "", 0) == parts


async def tell(world: GatewayWorld, until: When, laws: Laws) -> None:
    for _ in range(LONGEST):
        await world.look()
        laws.after_step()
        moves = world.others if world.chance is None else world.chance.sample(world.others, 4)
        for move in moves:
            move()
            laws.after_step()
        if until(world):
            return
    pytest.fail(f"never arrives: {world.status}")


def told(seed: int | None, *, gateway: bool = True) -> tuple[GatewayWorld, Laws]:
    world = GatewayWorld(None if seed is None else random.Random(seed), gateway=gateway)
    laws = Laws(world)
    world.api.watched.append(laws.before_write)
    return world, laws


@pytest.mark.parametrize("seed", SEEDS)
async def test_by_steps(seed: int | None) -> None:
    world, laws = told(seed)
    world.ask("v1")
    await tell(world, serves("v1"), laws)
    world.ask("v2", rollout=STEPS)
    await tell(world, share_of("v2", 2000), laws)
    await tell(world, share_of("v2", 6000), laws)
    await tell(world, alone("v2"), laws)
    assert world.selected == world.revision_of("v2"), "the address follows"
    world.api.writes.clear()
    await world.look()
    assert world.api.writes == [], "a look at a healthy resource writes nothing"


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_broken_one_gets_nothing(seed: int | None) -> None:
    world, laws = told(seed)
    world.ask("v1")
    await tell(world, serves("v1"), laws)
    world.ask("broken", rollout={**STEPS, "progressDeadline": "10s"})
    rolled_back: When = lambda w: w.condition("Progressing")[1] == "RolledBack"  # noqa: E731
    await tell(world, rolled_back, laws)
    assert not world.split.get(world.revision_of("broken") or "", 0)
    world.ask("v3", rollout=STEPS)
    await tell(world, alone("v3"), laws)


@pytest.mark.parametrize("seed", SEEDS)
async def test_another_in_the_middle(seed: int | None) -> None:
    world, laws = told(seed)
    world.ask("v1")
    await tell(world, serves("v1"), laws)
    world.ask("v2", rollout=STEPS)
    await tell(world, share_of("v2", 6000), laws)
    world.ask("v3", rollout=STEPS)
    await tell(world, alone("v3"), laws)


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_gateway_comes_later(seed: int | None) -> None:
    world, laws = told(seed, gateway=False)
    world.ask("v1")
    refused: When = lambda w: w.condition("Ready") == ("False", "RoutingRefused")  # noqa: E731
    await tell(world, refused, laws)
    await tell(world, lambda w: w.condition("Available")[0] == "True", laws)
    world.make_gateway()
    await tell(world, alone("v1"), laws)


@pytest.mark.parametrize("seed", SEEDS)
async def test_to_a_gateway_and_away_again(seed: int | None) -> None:
    world, laws = told(seed)
    world.ask("v1", routing={"mode": "Direct"})
    await tell(world, serves("v1"), laws)
    assert world.route is None
    world.ask("v1")
    await tell(world, alone("v1"), laws)
    world.ask("v1", routing={"mode": "Direct"})
    await tell(world, lambda w: serves("v1")(w) and w.route is None, laws)
    for _ in range(3):
        await world.look()
    service = world.api.find(kinds.SERVICE, "team-a", NAME)
    assert service is not None
    assert not service["metadata"]["annotations"].get(labels.GATEWAY)
