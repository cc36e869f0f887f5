"""The laws of a rollout: what has to hold of each plan and each call, whatever has happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.api.status import RolloutStatus
from modelfleet_operator.plan.rollout import progress
from modelfleet_operator.plan.rollout.capacity import needed
from modelfleet_operator.plan.rollout.facts import Facts
from modelfleet_operator.plan.rollout.progress import Progress
from modelfleet_operator.router.site import WHOLE

if TYPE_CHECKING:
    from tests.unit.operator.rollout.world import World


class Broken(AssertionError):
    """A law that did not hold."""


def carrying(world: World, facts: Facts, told: RolloutStatus | None) -> int:
    """By so many pods all of the traffic has to be carried at the worst moment, by what was
    said of the attempt."""
    if told is not None and told.candidate == facts.wanted and not told.failed_since:
        match told.surge:
            case Surge.IN_PLACE:
                return max(1, min(facts.demand, facts.demand + told.spare - 1))
            case Surge.RECREATE:
                return 1
        if not told.failed:
            return facts.demand
    # On the way back, all that stands is exchanged.
    if not world.nodes and world.policy.surge in (Surge.AUTO, Surge.SURGE):
        return facts.demand
    asked = sum(arm.asked - arm.unplaced for arm in facts.arms.values())
    return max(1, min(facts.demand, (asked if world.nodes else max(facts.demand, asked)) - 1))


def choice(world: World, facts: Facts, plan: Progress) -> None:
    """It is made by what is free, and afterwards only gives way to pods without a place."""
    told, before = plan.told, facts.told
    if told is None:
        return
    same = before is not None and before.candidate == told.candidate and before.surge
    if not same or before is None or before.attempt != told.attempt:
        asked = world.policy.surge
        alone = (asked, facts.demand) == (Surge.IN_PLACE, 1)
        if asked is not Surge.AUTO and told.surge != asked and not alone:
            raise Broken(f"{asked} was asked for, and {told.surge} was chosen")
        return
    if (told.surge, told.spare) == (before.surge, before.spare):
        return
    lost = sum(arm.unplaced for arm in facts.arms.values())
    if not lost or told.surge == Surge.SURGE:
        raise Broken(f"{before.surge} became {told.surge} with {lost} pods without a place")
    if told.surge == Surge.IN_PLACE == before.surge and told.spare > before.spare:
        raise Broken("the room has grown")


def room(world: World, facts: Facts, plan: Progress, name: str) -> None:
    """In place, nobody grows into a place that another has still."""
    told = plan.told
    if told is None or told.failed or told.surge not in (Surge.IN_PLACE, Surge.RECREATE):
        return
    room = max(2, facts.demand + told.spare)
    if told.surge == Surge.RECREATE:
        room = max(1, min(facts.demand, facts.demand + told.spare))
    stand = {one: max(arm.present, arm.asked) for one, arm in facts.arms.items()}
    if sum(stand.values()) - stand.get(name, 0) + plan.pods[name] > room:
        raise Broken(f"{name} grows to {plan.pods[name]} beside {stand}, with room for {room}")


def plan(world: World, facts: Facts, plan: Progress) -> None:
    if sum(plan.weights.values()) != WHOLE or min(plan.weights.values()) <= 0:
        raise Broken(f"the weights {plan.weights} do not sum to {WHOLE}")
    if progress.decide(facts) != plan:
        raise Broken("the same facts gave another answer")
    if facts.verbs.aborted and facts.stable and facts.wanted != facts.stable:
        grown = plan.weights.get(facts.wanted, 0) > facts.weight(facts.wanted)
        if grown:
            raise Broken("a rollout that was aborted goes on")


def shift(world: World, facts: Facts, plan: Progress) -> None:
    """On what was seen, which is all that an operator can answer for."""
    if facts.stable is None or facts.demand == 0:
        return
    forward = plan.weights.get(facts.wanted, 0) > facts.weight(facts.wanted)
    lent = not facts.arm(facts.stable).ready  # a share that has nobody is lent at once
    if forward and facts.wanted != facts.stable and not facts.served and not lent:
        raise Broken("a shift began before the one before it was served")
    for name, parts in plan.weights.items():
        if parts <= facts.weight(name):
            continue
        usable, demand = facts.arm(name).usable, carrying(world, facts, plan.told)
        givers = [n for n, has in facts.written.items() if has > plan.weights.get(n, 0)]
        # Who cannot carry what it has gives it up all the same.
        weak = all(facts.arm(n).usable < needed(facts.weight(n), demand) for n in givers)
        if usable == 0 or (usable < needed(parts, demand) and not weak):
            raise Broken(f"{name} got {parts} parts with {usable} pods")


def shrink(world: World, facts: Facts, name: str, pods: int) -> None:
    """Whoever may still be sent something keeps the pods for it, by the way that people have
    been told of."""
    if world.demand == 0 or world.parted:
        return
    placed = sum(arm.asked - arm.unplaced for arm in facts.arms.values())
    if world.bounded and not pods and placed <= 1 and not facts.arm(facts.stable).usable:
        return  # the only place, and the stable revision needs it to come back
    shares = [world.written.get(name, 0), *(r.serves.get(name, 0) for r in world.routers)]
    lives = any(facts.arm(one).usable for one in world.written)
    # In place, those who have the traffic may need the place of one that has none.
    held = facts.stable and facts.arm(name).usable and (max(shares) or not world.bounded)
    if held and not pods and not lives:
        raise Broken(f"{name} goes, the last that could answer")
    least = needed(max(shares), carrying(world, facts, world.told)) if max(shares) else 0
    least = min(least, sum(bool(pod.node) for pod in world.staying(name)))  # or serve nobody
    if pods < least:
        raise Broken(f"{name} shrinks to {pods} pods while a router gives it {max(shares)}")


def traffic(world: World) -> None:
    """What every router does at this moment."""
    if world.stable is not None and world.ready(world.stable):
        world.parted = world.told is not None and world.told.surge == Surge.RECREATE
    if world.parted:
        return
    for router in world.routers:
        for name in router.serves:
            if name == world.stable and name not in world.hurt and not world.ready(name):
                raise Broken(f"{name} gets requests and has no pod, and nobody took them")
