"""The step that a rollout is at: when it goes on, fails, or ends.

    Starting     the pods for the next share are on their way to being ready
    Shifting     the weight is written, and not every router serves it yet
    Holding      the share is served; its pause, its analysis or a person decides what is next
    Paused       somebody paused it, or it failed and is to wait for a person
    RollingBack  the traffic is on its way back
    Failed       it is back; the revision is not tried again until the spec changes, or on a retry

Everything that has to be known is in the facts: a look that is lost, or done twice, changes
nothing. An abort always wins.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelfleet_contract import format_duration
from modelfleet_operator.api.moments import read_time, written_time
from modelfleet_operator.api.rollout import OnFailure, Surge
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.rollout import rest, shift, surge
from modelfleet_operator.plan.rollout.facts import Facts, Policy, Weights
from modelfleet_operator.router.site import WHOLE

ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Progress:
    """What follows from one look."""

    stable: str | None
    """The revision that serves from now on; None while none has been ready."""
    weights: Weights
    """What is to be written; sums to `WHOLE`."""
    pods: Mapping[str, int]
    """The fewest pods of each revision that takes part; those that are missing get none."""
    told: RolloutStatus | None = None
    """None: no rollout is on its way, and none has failed."""
    idle_since: Mapping[str, datetime] = field(default_factory=dict)
    """Of revisions that wait for their last requests."""
    again: timedelta | None = None
    """When time alone will change the answer."""
    counts: bool = False
    """Nothing of this holds: the accelerators that are free have to be counted first."""


def decide(facts: Facts) -> Progress:
    """The same facts always give the same progress."""
    stable = facts.stable
    if facts.demand == 0:
        return _stopped(facts)
    if stable is None:
        return _with_the_rest(surge.settling(facts, facts.wanted), _first(facts))
    if facts.wanted == stable:
        facts = surge.settling(facts, stable)
        return _with_the_rest(facts, _settled(facts, stable))
    told = _at(facts)
    asked, told = surge.is_asked(facts, told), surge.decide(facts, told)
    facts = surge.bound(facts, stable, told)
    found = _with_the_rest(facts, _rollout(facts, stable, told))
    if found.told is not None and surge.is_news(facts.told, told):
        # What costs pods that serve is told first, and begins with the next look.
        found = replace(found, pods={name: arm.asked for name, arm in facts.arms.items()})
    return replace(found, counts=asked)


def _with_the_rest(facts: Facts, progress: Progress) -> Progress:
    left = rest.decide(facts, progress.weights, progress.pods)
    times = [each for each in (progress.again, left.again) if each is not None]
    return replace(
        progress, pods=left.pods, idle_since=left.idle_since, again=min(times, default=None)
    )


def gone(facts: Facts) -> Progress:
    """Of a variant that has no share any more, and gets none again: its pods go when nobody can be
    sent to them."""
    return _with_the_rest(replace(facts, written={}), Progress(facts.stable, {}, {}))


def _stopped(facts: Facts) -> Progress:
    """Only the pods go: who serves, and what failed, is the same when they come back."""
    whole = sum(facts.written.values()) == WHOLE
    weights = facts.written if whole else {facts.stable or facts.wanted: WHOLE}
    told = facts.told if facts.told and facts.told.candidate == facts.wanted else None
    return Progress(facts.stable, dict(weights), {}, told)


def _first(facts: Facts) -> Progress:
    """Nobody is to be lost: nothing has served yet."""
    wanted = facts.wanted
    stable = wanted if facts.arm(wanted).ready else None
    return Progress(stable, {wanted: WHOLE}, {wanted: facts.demand})


def _settled(facts: Facts, stable: str) -> Progress:
    """The stable revision is the wanted one; whoever else has a share gives it back."""
    return Progress(stable, shift.back(facts, stable), {stable: facts.demand})


def _rollout(facts: Facts, stable: str, told: RolloutStatus) -> Progress:
    if told.failed:
        return _retreat(facts, stable, told)
    if facts.verbs.aborted:
        return _retreat(facts, stable, replace_told(told, failed=ABORTED))
    # Between the one that goes and the one that comes nobody serves: no time to stand still.
    between = facts.recreates and not (facts.arm(stable).asked or facts.arm(facts.wanted).usable)
    why = _failure(facts, told)
    if why and (facts.policy.on_failure is OnFailure.ROLLBACK or between):
        return _retreat(facts, stable, replace_told(told, failed=why))
    if why:
        return _stay(facts, stable, told, f"failed, and waits for a person: {why}")
    if facts.verbs.paused and not between:
        return _stay(facts, stable, told, "paused")
    if surge.is_news(facts.told, told):
        return _announced(facts, stable, told)
    if facts.recreates:
        return _replaced(facts, stable, told)
    return _advance(facts, stable, told)


def _at(facts: Facts) -> RolloutStatus:
    """The rollout as it stands: the one that was told, or a new one."""
    told = facts.told
    if told is None or told.candidate != facts.wanted:
        return _new(facts, 1)
    if told.failed and facts.verbs.retried and not facts.verbs.aborted:
        return _new(facts, told.attempt + 1)
    if not told.failed and told.steps and told.steps != steps_digest(facts.policy):
        # Other steps: the number of one says nothing any more. The way stays as it was chosen.
        way = told.model_dump(include={"surge", "surge_reason", "demand", "spare"})
        return _new(facts, told.attempt).model_copy(update=way)
    return told


def _new(facts: Facts, attempt: int) -> RolloutStatus:
    """From the beginning, or where the weights say that it was, if somebody emptied the status."""
    has = facts.weight(facts.wanted)
    step = 0
    while not facts.policy.full and step < len(facts.policy.steps) and _goal(facts, step) < has:
        step += 1
    return RolloutStatus(
        candidate=facts.wanted,
        attempt=attempt,
        step=step,
        steps=steps_digest(facts.policy),
        phase=Phase.STARTING,
        waiting_since=written_time(facts.now),
    )


def steps_digest(policy: Policy) -> str:
    """Stands for the steps, and for how they begin."""
    text = json.dumps([policy.full, [each.model_dump(mode="json") for each in policy.steps]])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _failure(facts: Facts, told: RolloutStatus) -> str:
    candidate, arm = facts.wanted, facts.arm(facts.wanted)
    why = arm.hopeless or arm.crashed
    if facts.weight(candidate):
        if facts.judgement.fails:
            return facts.judgement.fails
        if why and not arm.ready:
            return why
    elif facts.recreates and arm.asked and why and not arm.ready:
        return why  # the one that served has gone for it
    waiting = read_time(told.waiting_since)
    deadline = facts.policy.progress_deadline
    # Only its own pods are its fault: for routers, and for whoever is before it, it waits.
    short = arm.ready < facts.least(_goal(facts, told.step))
    if short and told.phase is Phase.STARTING and waiting and facts.now - waiting >= deadline:
        limit = format_duration(deadline)
        return f"not ready within rollout.progressDeadline ({limit})" + (f": {why}" if why else "")
    return ""


# -- forward


def _advance(facts: Facts, stable: str, told: RolloutStatus) -> Progress:
    candidate, step = facts.wanted, told.step
    others = [n for n, parts in facts.written.items() if parts and n not in (stable, candidate)]
    if others:
        weights = shift.back(facts, stable)
        say = f"{others[0]}, the candidate before, gives its share back first"
        going = _going(facts, stable, told, weights, Phase.STARTING, say)
        if facts.room is not None:  # the stable one needs its place
            going = replace(going, pods={stable: facts.demand})
        return going
    goal = _goal(facts, step)
    weights = shift.towards(facts, stable, candidate, goal)
    weights = shift.relieved(facts, stable, candidate, weights)
    has, lent = facts.weight(candidate), not facts.arm(stable).usable
    as_wanted = has == weights.get(candidate, 0) and (has == goal or (lent and has > goal))
    if facts.served and has_pods_for(facts, goal) and as_wanted:
        done, told = _held(facts, stable, told, weights)
        if done is not None:
            return done
        if goal == WHOLE:
            return Progress(candidate, {candidate: WHOLE}, {candidate: facts.demand})
        step += 1
        goal = _goal(facts, step)
        told = replace_told(told, step=step, held_since=None, counted="", observed="")
        told = replace_told(told, waiting_since=written_time(facts.now), phase=Phase.STARTING)
    if not facts.arm(stable).ready and facts.arm(stable).hopeless:
        goal = WHOLE  # it is the stable revision that is sick: there is nothing to protect
        told = replace_told(told, step=len(facts.policy.steps), held_since=None)
    weights = shift.towards(facts, stable, candidate, goal)
    if weights.get(candidate, 0) == goal and has_pods_for(facts, goal):
        say = f"{percent(goal)} of the traffic is on its way to it" if goal else "it is ready"
        if facts.lagging:
            say += f"; waits for {', '.join(facts.lagging)}"
        return _going(facts, stable, told, weights, Phase.SHIFTING, say)
    say = _short_of(facts, candidate, goal)
    if cost := surge.says(facts, stable, told):
        say += f"; {cost}"
    return _going(facts, stable, told, weights, Phase.STARTING, say)


def _announced(facts: Facts, stable: str, told: RolloutStatus) -> Progress:
    candidate, has = facts.wanted, facts.weight(facts.wanted)
    weights = shift.towards(facts, stable, candidate, has) if has else shift.back(facts, stable)
    say = f"{told.surge}: {told.surge_reason}"
    return _going(facts, stable, told, weights, Phase.STARTING, say)


def _replaced(facts: Facts, stable: str, told: RolloutStatus) -> Progress:
    """Recreate: the others go, the candidate comes, and all of the traffic is its own from the
    first pod that can answer. There are no steps on this way."""
    candidate = facts.wanted
    if told.step < len(facts.policy.steps):
        told = replace_told(told, step=len(facts.policy.steps), held_since=None)
    arm, whole = facts.arm(candidate), sum(facts.written.values()) == WHOLE
    weights: Weights = {candidate: WHOLE} if arm.usable else dict(facts.written)
    if not arm.usable and not whole:
        weights = {stable: WHOLE}
    if facts.weight(candidate) == WHOLE and facts.served and has_pods_for(facts, WHOLE):
        done, told = _held(facts, stable, told, weights)
        return done or Progress(candidate, {candidate: WHOLE}, {candidate: facts.demand})
    if facts.arm(stable).present:
        say = f"the earlier revision leaves its place first; {surge.says(facts, stable, told)}"
    elif arm.usable:
        say = f"all of the traffic is on its way to it; {_short_of(facts, candidate, WHOLE)}"
    else:
        say = f"{_short_of(facts, candidate, WHOLE)}; {surge.says(facts, stable, told)}"
    return _going(facts, stable, told, weights, Phase.STARTING, say)


def _held(
    facts: Facts, stable: str, told: RolloutStatus, weights: Weights
) -> tuple[Progress | None, RolloutStatus]:
    """The step is served: what it waits for, if it does."""
    held = read_time(told.held_since) or facts.now
    told = replace_told(told, held_since=written_time(held))
    left, why = _hold(facts, told.step, held)
    if not why:
        return None, told
    done = _going(facts, stable, told, weights, Phase.HOLDING, why)
    return replace(done, again=left), told


def has_pods_for(facts: Facts, goal: int) -> bool:
    return facts.arm(facts.wanted).usable >= facts.least(goal)


def _goal(facts: Facts, step: int) -> int:
    steps = facts.policy.steps
    return steps[step].weight * WHOLE // 100 if step < len(steps) else WHOLE


def _hold(facts: Facts, step: int, held: datetime) -> tuple[timedelta | None, str]:
    """What a step that is served waits for, and until when that lasts; empty for nothing."""
    if facts.verbs.promoted is not None and facts.verbs.promoted >= step:
        return None, ""
    steps = facts.policy.steps
    if step < len(steps) and steps[step].until_promoted:
        return None, "waits to be promoted"
    pause = steps[step].pause if step < len(steps) else facts.policy.bake
    left = held + pause - facts.now
    if left > timedelta(0):
        return left, f"{'pauses' if step < len(steps) else 'bakes'} for {format_duration(pause)}"
    if facts.astray:
        return None, facts.astray
    if not facts.judgement.passes:
        return None, facts.judgement.waits_for or "the analysis has not seen enough"
    return None, ""


def _short_of(facts: Facts, candidate: str, goal: int) -> str:
    arm, least = facts.arm(candidate), facts.least(goal)
    if arm.ready < least:
        share = percent(WHOLE if facts.policy.full and facts.room is None else goal)
        return f"{arm.ready} of the {least} pods for {share} of the traffic are ready"
    if arm.usable < least:
        return f"the routers reach {arm.usable} of its {least} pods"
    return f"waits for {', '.join(facts.lagging) or 'the routers'} to serve the weights of before"


def _going(
    facts: Facts, stable: str, told: RolloutStatus, weights: Weights, phase: Phase, say: str
) -> Progress:
    candidate = facts.wanted
    weights = shift.relieved(facts, stable, candidate, weights)
    goal = max(_goal(facts, told.step), weights.get(candidate, 0))
    waiting = told.waiting_since
    if phase is not Phase.STARTING:
        waiting = None
    elif facts.room is not None and facts.arm(candidate).ready >= facts.arm(candidate).asked:
        waiting = None  # it has what it was given: it waits for the others to leave their places
    elif told.phase is not Phase.STARTING or waiting is None:
        waiting = written_time(facts.now)
    since = read_time(waiting)
    again = None if since is None else since + facts.policy.progress_deadline - facts.now
    told = replace_told(told, phase=phase, message=say, waiting_since=waiting)
    pods = _pods(facts, stable, max(1, facts.least(goal)))
    return Progress(stable, weights, pods, told, again=again)


def _pods(facts: Facts, stable: str, of_candidate: int) -> dict[str, int]:
    """What the stable revision keeps beside so many pods of the candidate."""
    candidate, demand = facts.wanted, facts.demand
    if facts.recreates:
        return {stable: 0, candidate: demand}
    if facts.room is None:
        return {stable: demand, candidate: of_candidate}
    return {stable: max(0, min(demand, facts.room - of_candidate)), candidate: of_candidate}


# -- standing still, and back


def _stay(facts: Facts, stable: str, told: RolloutStatus, say: str) -> Progress:
    """No share grows; one that its pods cannot carry shrinks all the same."""
    has = facts.weight(facts.wanted)
    weights = shift.towards(facts, stable, facts.wanted, has) if has else shift.back(facts, stable)
    weights = shift.relieved(facts, stable, facts.wanted, weights)
    told = replace_told(told, phase=Phase.PAUSED, message=say, waiting_since=None)
    goal = max(has, _goal(facts, told.step))
    pods = _pods(facts, stable, max(1, facts.least(goal)))
    if facts.room is not None:  # it goes no further, and gives nothing back
        arm = facts.arm(facts.wanted)
        pods = _pods(facts, stable, max(arm.asked, facts.least(has)))
    if facts.recreates and facts.arm(stable).asked:
        pods = {stable: facts.demand}
    return Progress(stable, weights, pods, told)


def _retreat(facts: Facts, stable: str, told: RolloutStatus) -> Progress:
    candidate = facts.wanted
    weights = shift.back(facts, stable, candidate)
    back = facts.served and (facts.arm(stable).usable or not facts.recreates)
    if facts.weight(candidate) or not (back or told.failed_since):
        told = replace_told(told, phase=Phase.ROLLING_BACK, message=told.failed, held_since=None)
        pods = {stable: facts.demand, candidate: facts.arm(candidate).asked}
        if facts.room is not None:
            pods[candidate] = 0  # the places of those that its share does not need are needed
        return Progress(stable, weights, pods, told)
    failed = read_time(told.failed_since) or facts.now
    told = replace_told(
        told,
        phase=Phase.FAILED,
        message=told.failed,
        failed_since=written_time(failed),
        held_since=None,
        waiting_since=None,
    )
    left = failed + facts.policy.debug_for - facts.now
    kept = 1 if left > timedelta(0) and told.surge in ("", Surge.SURGE) else 0
    pods = {stable: facts.demand, candidate: min(kept, facts.arm(candidate).asked)}
    again = left if kept and facts.arm(candidate).asked else None
    return Progress(stable, weights, pods, told, again=again)


# -- words


def percent(parts: int) -> str:
    return f"{parts / 100:g} %"


def replace_told(told: RolloutStatus, **changes: object) -> RolloutStatus:
    return told.model_copy(update=changes)
