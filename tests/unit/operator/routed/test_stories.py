"""Whole stories of deployments behind routers: the operator's real looks, at each deployment and at
the pair, in a world that moves in any order.

Each is told in a fixed order, with seed 0, and with seeds that differ from run to run and stand in
the test's name. STORY_SEED=n tells all of them with that seed again; STORY_SEEDS=100 tells more.
In the orders of chance the operator is killed between its calls, too.
"""

import os
import random

import pytest

from modelfleet_operator import kinds
from tests.unit.operator.routed import (
    gpu_stories,
    pair_stories,
    query_stories,
    rollout_stories,
    variant_stories,
)
from tests.unit.operator.routed.laws import Laws
from tests.unit.operator.routed.words import Story
from tests.unit.operator.routed.world import RoutedWorld, killing

STORIES = (
    *rollout_stories.STORIES,
    *query_stories.STORIES,
    *gpu_stories.STORIES,
    *variant_stories.STORIES,
    *pair_stories.STORIES,
)
SEEDS = int(os.environ.get("STORY_SEEDS", "0"))
LONGEST = 2000
"""Steps. Every story that ends at all ends long before."""
TROUBLED = 250
"""So long pods and routers are killed, where a story has that."""


def _orders() -> list[int | None]:
    again = os.environ.get("STORY_SEED")
    if again is not None:
        return [int(again)]
    return [None, 0, *(random.SystemRandom().randrange(1, 10**6) for _ in range(SEEDS))]


@pytest.mark.parametrize("seed", [pytest.param(s, id=f"seed {s}") for s in _orders()])
@pytest.mark.parametrize("story", [pytest.param(s, id=s.name) for s in STORIES])
async def test_story(story: Story, seed: int | None) -> None:
    await tell(story, None if seed is None else random.Random(f"{story.name} {seed}"))


async def tell(story: Story, chance: random.Random | None) -> None:
    world = RoutedWorld(chance)
    laws = Laws(world)
    world.api.watched.append(laws.before_write)
    if chance is not None:
        world.api.watched.append(lambda _: _meanwhile(world, chance))
        world.api.watched.append(killing(chance, 0.02))
    story.begin(world)
    due = list(story.chapters)
    for step in range(LONGEST):
        if due and due[0][0](world):
            due.pop(0)[1](world)
        await _step(world, laws, step)
        if step < TROUBLED:
            _trouble(world, story)
        if story.forgetful and step % 5 == 0:
            world.forget_status()
        if not due and story.goal(world):
            break
    else:
        pytest.fail(f"never arrives; {len(due)} chapters left; {world.status()}")
    await _comes_to_rest(world, laws, story)


async def _step(world: RoutedWorld, laws: Laws, step: int) -> None:
    if world.chance is None:
        for key in world.awake:
            await world.look(key)
            laws.after_step()
        for move in world.others:
            move()
            laws.after_step()
    elif step % 2:
        awake = world.awake
        for key in world.chance.sample(awake, world.chance.randint(0, len(awake))):
            await world.look(key)
            laws.after_step()
    else:
        for move in world.chance.sample(world.others, 4):
            move()
            laws.after_step()


def _meanwhile(world: RoutedWorld, chance: random.Random) -> None:
    """Between two calls of one look somebody else moves: the picture is old at once."""
    if chance.random() < 0.2:
        moves = (world.deployments, world.kubelets, world.endpoints, world.syncs, world.checks)
        chance.choice(moves)()


def _trouble(world: RoutedWorld, story: Story) -> None:
    if world.chance is None or world.chance.random() >= story.trouble:
        return
    pods = [pod for pod in world.api.all(kinds.POD) if pod["status"].get("conditions")]
    if pods:
        world.kill_pod(world.chance.choice(pods))


async def _comes_to_rest(world: RoutedWorld, laws: Laws, story: Story) -> None:
    world.chance = None
    world.api.watched = [laws.before_write]
    for _ in range(40):
        await _step(world, laws, 0)
    for key in world.keys:
        await world.look(key)  # an experiment counts what came, each half minute
    world.api.writes.clear()
    for key in world.keys:
        await world.look(key)
    assert world.api.writes == [], "a look at what is at rest writes nothing"
    assert story.goal(world), "what was reached is lost again"
