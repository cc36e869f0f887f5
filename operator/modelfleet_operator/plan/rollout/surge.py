"""Where do the pods of a new revision find their places?

    Surge      beside those of the stable one, which keeps all of its own to the end
    InPlace    both together have so many places (`room`), and exchange them one by one. One place
               is always empty, so shares are counted in the pods that are left: where nothing is
               free, N pods serve with N - 1
    Recreate   the stable one goes, and then the new one comes: there is only one place

The way is chosen once for each attempt, from what is free at that moment, and told before a pod
goes. After that it only gives way: pods that find no accelerator, whatever was counted, make the
room as small as it is. A rollout therefore never waits for an accelerator that its own stable
revision holds.
"""

from dataclasses import replace
from datetime import timedelta

from modelfleet_operator.api.moments import read_time, written_time
from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.api.status import RolloutStatus
from modelfleet_operator.plan.rollout.facts import Facts

PATIENCE = timedelta(seconds=30)
"""How long a pod may look for a place before it is believed that there is none: those that held it
may have gone a moment ago."""


def decide(facts: Facts, told: RolloutStatus) -> RolloutStatus:
    """The way of this attempt: the one that was told, or where none was, a new one."""
    if not told.surge:
        return _chosen(facts, told)
    if told.failed_since or facts.policy.surge is Surge.SURGE:
        return told
    return _given_way(facts, told)


def is_asked(facts: Facts, told: RolloutStatus) -> bool:
    """What is free has to be counted before this look can decide about `told`."""
    if facts.places is not None or not facts.policy.accelerated:
        return False
    if not told.surge:
        return facts.policy.surge is Surge.AUTO
    return decide(facts, told) != told


def bound(facts: Facts, stable: str, told: RolloutStatus) -> Facts:
    """The same facts, within the room that this way has."""
    if told.failed_since:
        return settling(facts, stable)
    match told.surge:
        case Surge.IN_PLACE:
            return replace(facts, room=max(2, facts.demand + told.spare))
        case Surge.SURGE if told.failed:
            return settling(facts, stable)
        case Surge.RECREATE:
            places = max(1, min(facts.demand, facts.demand + told.spare))
            return replace(facts, room=places, recreates=True)
    return facts


def settling(facts: Facts, stable: str) -> Facts:
    """The same for the way back to a stable revision that all others leave their places to. No
    attempt is on its way that could say what was chosen, but what stands at this moment has room.
    """
    free = not facts.policy.accelerated and facts.policy.surge in (Surge.AUTO, Surge.SURGE)
    others = [arm for name, arm in facts.arms.items() if name != stable]
    if free or not any(arm.asked or arm.present for arm in others):
        return facts
    asked, lost = sum(arm.asked for arm in facts.arms.values()), _unplaced(facts)
    room = max(1, asked - lost) if lost else max(facts.demand, asked)
    # The only place is another's: that one has to go first, whatever share it has.
    taken = room == 1 and facts.stable is not None and not facts.arm(stable).usable
    return replace(facts, room=room, recreates=taken)


def fitted(facts: Facts, pods: dict[str, int], floors: dict[str, int]) -> dict[str, int]:
    """Nobody grows into a place that another has still; and a pod that has found no place while
    its revision has more of them than there is room for is taken back."""
    if facts.room is None:
        return pods
    pods = dict(pods)
    for name, arm in facts.arms.items():
        free = facts.room - arm.leaving - _held(facts, pods, name)
        if pods.get(name, 0) > arm.asked:
            pods[name] = max(arm.asked, min(pods[name], free))
        if arm.unplaced and pods.get(name, 0) > max(0, free):
            placed = min(pods[name], arm.asked) - arm.unplaced
            pods[name] = min(pods[name], max(free, placed, floors.get(name, 0), 0))
    return pods


def _held(facts: Facts, pods: dict[str, int], but: str) -> int:
    """Places that the others have, or may have before this look has been acted upon."""
    return sum(
        max(pods.get(name, 0), arm.asked, arm.present)
        for name, arm in facts.arms.items()
        if name != but
    )


def _unplaced(facts: Facts) -> int:
    """Pods without a node that nobody is about to make room for."""
    arms = facts.arms.values()
    return 0 if any(arm.leaving for arm in arms) else sum(arm.unplaced for arm in arms)


# -- the choice


def _chosen(facts: Facts, told: RolloutStatus) -> RolloutStatus:
    way, spare, why = _choice(facts)
    return told.model_copy(
        update={
            "surge": way.value, "surge_reason": why, "demand": facts.demand, "spare": spare,
        }
    )  # fmt: skip


def _choice(facts: Facts) -> tuple[Surge, int, str]:
    asked, demand, places = facts.policy.surge, facts.demand, facts.places
    if asked is Surge.IN_PLACE and demand == 1:
        return Surge.RECREATE, 0, "rollout.surge is InPlace, and the only pod has to go first"
    if asked is not Surge.AUTO:
        return asked, 0, f"rollout.surge is {asked}"
    if not facts.policy.accelerated:
        return Surge.SURGE, 0, "no accelerator has to be free"
    if places is None or places.fits is None:
        why = "nobody has counted them" if places is None else places.says
        return Surge.SURGE, 0, f"how many accelerators are free is not known: {why}"
    lacks = max(0, demand - facts.arm(facts.wanted).present)
    why = f"{places.says}, {lacks * places.count} needed"
    if places.fits >= lacks:
        return Surge.SURGE, 0, why
    if not places.total:
        return Surge.SURGE, 0, f"{why}; the earlier pods would leave none to it: it waits for them"
    room = places.total + places.elsewhere
    return Surge.RECREATE if room == 1 else Surge.IN_PLACE, room - demand, why


def _given_way(facts: Facts, told: RolloutStatus) -> RolloutStatus:
    """Only ever to a smaller room."""
    lost, since = _unplaced(facts), read_time(told.waiting_since)
    waits = since is None or facts.now - since < PATIENCE
    if not lost or (waits and not told.failed):
        return told
    places = facts.places
    if places is not None and places.fits is not None and not places.total:
        return told  # whoever went would leave no place to it
    placed = sum(arm.present for arm in facts.arms.values()) - lost
    spare = max(1, placed) - facts.demand
    if told.surge != Surge.SURGE and spare >= told.spare:
        return told
    in_place = placed > 1 and told.surge != Surge.RECREATE
    way = Surge.IN_PLACE if in_place else Surge.RECREATE
    why = f"{lost} of {placed + lost} pods found no accelerator that is free"
    return told.model_copy(
        update={
            "surge": way.value,
            "surge_reason": f"{why}; at first it was {told.surge}: {told.surge_reason}"[:4096],
            "demand": facts.demand,
            "spare": spare,
            "waiting_since": written_time(facts.now),
        }
    )


def is_news(before: RolloutStatus | None, told: RolloutStatus) -> bool:
    """The stable revision is about to give up pods, and nobody was told yet."""
    if told.surge == Surge.SURGE:
        return False
    return before is None or (before.candidate, before.attempt, before.surge, before.spare) != (
        told.candidate, told.attempt, told.surge, told.spare,
    )  # fmt: skip


def says(facts: Facts, stable: str, told: RolloutStatus) -> str:
    """What this way costs at this moment; empty for nothing."""
    if facts.room is None:
        return ""
    if facts.recreates:
        return f"{told.surge}, nothing serves until it is ready"
    able = sum(facts.arm(name).usable for name in (stable, facts.wanted))
    return f"in place, {min(able, facts.demand)} of {facts.demand} pods serve meanwhile"
