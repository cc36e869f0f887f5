"""The laws of a rollout, over histories that are made up by chance."""

import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet_operator.api.rollout import OnFailure, Surge
from modelfleet_operator.api.status import Phase
from modelfleet_operator.plan.rollout.facts import FULL, Policy, Verbs
from modelfleet_operator.router.site import WHOLE
from tests.unit.operator.rollout import laws
from tests.unit.operator.rollout.world import Node, World

STEPS = int(os.environ.get("LAW_STEPS", "6000"))
"""Of the operator, over all histories; `make test-long` takes 100,000."""
LENGTH = 120
CALM = 120


def _seeds() -> list[int]:
    again = os.environ.get("LAW_SEED")
    if again is not None:
        return [int(again)]
    return [random.SystemRandom().randrange(10**9) for _ in range(max(1, STEPS // (LENGTH * 10)))]


@pytest.mark.parametrize("seed", [pytest.param(s, id=f"seed {s}") for s in _seeds()])
def test_histories(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10):
        world = World(random.Random(chance.random()), nodes=_nodes(chance))
        world.policy = Policy(accelerated=bool(world.nodes))
        _live(world, LENGTH)
        _comes_to_rest(world)


def _nodes(chance: random.Random) -> dict[str, Node]:
    """None in every third history; else with one accelerator to eight."""
    if chance.random() < 0.33:
        return {}
    return {f"node-{n}": Node(chance.randint(1, 4)) for n in range(chance.randint(1, 2))}


def _live(world: World, looks: int) -> None:
    for _ in range(looks):
        _look(world)
        others = list(world.others)
        for move in world.chance.sample(others, world.chance.randint(1, len(others))):
            assert callable(move)
            move()
            laws.traffic(world)


def _look(world: World) -> None:
    """One look, with everybody else between its calls, and perhaps not to its end."""
    for _ in world.look():
        if world.calm:
            continue
        if world.chance.random() < 0.05:
            return  # killed
        if world.chance.random() < 0.2:
            moves: tuple[Callable[[], None], ...] = (
                world.controllers, world.scheduler, world.evictions, world.kubelet, world.requests,
            )  # fmt: skip
            world.chance.choice(moves)()
            laws.traffic(world)


def _comes_to_rest(world: World) -> None:
    """Left alone, each rollout ends: with the wanted revision, or with the stable one."""
    aborted = world.verbs.aborted
    started = world.stable
    world.calm = True
    for node in world.nodes.values():
        node.cordoned = False
    good = world.wanted not in world.dead and world.wanted not in world.bad
    waits = world.told is not None and bool(world.told.failed)
    if (
        good and not waits and world.policy.surge is not Surge.SURGE
    ):  # nothing is to fail that only has to wait its turn
        world.policy = replace(world.policy, progress_deadline=timedelta(days=1))
    if not aborted:
        world.verbs = Verbs(promoted=FULL)
    for _ in range(CALM):
        _live(world, 1)
    served = {name for router in world.routers for name, parts in router.serves.items() if parts}
    told = world.told
    if aborted and started is not None and started != world.wanted:
        assert served == {started}, "an abort ends with the stable revision"
    elif world.stable is not None and (told is None or told.phase is Phase.FAILED):
        assert served == {world.stable}
    if told is None and world.stable is not None:
        assert world.stable == world.wanted
        assert {n for n, pods in world.asked.items() if pods} == {world.wanted}
    elif told is not None and told.phase is not Phase.FAILED:
        assert world.policy.on_failure is OnFailure.PAUSE, told
    if world.nodes and world.policy.surge is Surge.SURGE:
        return  # it waits for accelerators beside those of the stable revision, as it was told to
    if good and not aborted and not waits:
        assert not (told and told.failed), told
    if good and not aborted and not (told and told.failed):
        assert world.stable == world.wanted or world.policy.on_failure is OnFailure.PAUSE, told
    assert world.written.get(world.stable or world.wanted, 0) == WHOLE or (
        told is not None and told.phase is Phase.PAUSED
    )
