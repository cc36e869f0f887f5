"""Do the requests follow the weights?"""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.decide import decide
from modelfleet_operator.plan.events import ESTIMATE, changes
from modelfleet_operator.plan.verification import follows
from modelfleet_operator.router.observed import Counters
from modelfleet_operator.seen import Observed
from tests.unit.operator.builders import DEFAULTS, NOW, pods, revision, routed, seen, spec

A, B = revision("v1", 1), revision("v2", 2)


@pytest.mark.parametrize(
    ("its", "all_", "share", "right"),
    [
        (0, 49, 0.5, True),
        (25, 50, 0.5, True),
        (0, 50, 0.5, False),
        (5, 100, 0.05, True),
        (0, 100, 0.05, True),
        (0, 1000, 0.05, False),
        (200, 1000, 0.05, False),
        (990, 1000, 0.99, True),
        (1000, 1000, 1.0, True),
        (990, 1000, 1.0, False),
    ],
)
def test_the_band(its: int, all_: int, share: float, right: bool) -> None:
    assert follows(its, all_, share) is right


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2, 0.5, 0.99])
def test_a_right_split_is_hardly_ever_found_astray(share: float) -> None:
    chance = random.Random(7)
    drawn = [sum(chance.random() < share for _ in range(400)) for _ in range(500)]
    assert sum(not follows(its, 400, share) for its in drawn) <= 1


def at_half(told: RolloutStatus, a: int = 0, b: int = 0, **more: object) -> Observed:
    """Both routers have counted so many requests of each."""
    asked = {"strategy": "Progressive", "steps": [{"weight": 50}, {"weight": 80}], **more}
    wanted = spec("v2", replicas=2, routing={"mode": "Router"}, rollout=asked)
    picture = seen(wanted, revisions=[A, B], pods=[*pods(A, 2), *pods(B, 2)])
    found = routed(picture, {A.name: 5000, B.name: 5000}, stable=A, told=told)
    counters = {
        A.name: Counters(attempts=a, answers={"2": a}),
        B.name: Counters(attempts=b, answers={"2": b}),
    }
    routers = tuple(replace(r, uid=r.name, counters=counters) for r in found.routing.routers)
    return replace(found, routing=replace(found.routing, routers=routers))


def look(told: RolloutStatus, a: int, b: int) -> RolloutStatus:
    found = decide(at_half(told, a, b), DEFAULTS).status.variants[0].rollout
    assert found is not None
    return found


HELD = RolloutStatus(candidate=B.name, phase=Phase.HOLDING, held_since=written_time(NOW))


def test_a_step_does_not_pass_while_the_requests_go_elsewhere() -> None:
    began = look(HELD, 100, 100)
    # Nothing has been counted since, so nothing speaks against it: without a pause it passes.
    assert began.step == 1
    held = HELD.model_copy(update={"counted": counted_at(100, 100)})
    astray = look(held, 300, 110)
    assert (astray.step, astray.observed) == (0, "20 of 420 requests went to it")
    assert "do not follow the weights" in astray.message
    assert look(held, 200, 195).step == 1


def counted_at(a: int, b: int) -> str:
    """As a step with a pause remembers it."""
    paused = {"strategy": "Progressive", "steps": [{"weight": 50, "untilPromoted": True}]}
    wanted = spec("v2", replicas=2, routing={"mode": "Router"}, rollout=paused)
    picture = at_half(HELD, a, b)
    waiting = replace(picture, resource=replace(picture.resource, spec=wanted))
    found = decide(waiting, DEFAULTS).status.variants[0].rollout
    assert found is not None
    return found.counted


@pytest.mark.parametrize(
    ("per_look", "timeout", "says", "warns"),
    [
        pytest.param(3000, "30m", "over all steps", False, id="it fits"),
        pytest.param(20, "30m", "which is more than the 30 min that it has", True, id="too long"),
    ],
)
def test_how_long_the_analysis_takes_is_told_when_the_rollout_begins(
    per_look: int,
    timeout: str,
    says: str,
    warns: bool,
) -> None:
    judged = {"analysis": {"maxErrorRate": "1%", "timeout": timeout}}
    before = decide(at_half(HELD, 0, 0, **judged), DEFAULTS).status
    told = before.variants[0].rollout
    assert told is not None
    later = at_half(told, per_look, per_look, **judged)
    later = replace(later, now=later.now + timedelta(seconds=10))
    after = decide(later, DEFAULTS).status
    assert after.variants[0].rollout is not None
    assert after.variants[0].rollout.analysis is not None
    assert says in after.variants[0].rollout.analysis.estimate
    (event,) = [each for each in changes(before, after) if each.reason == ESTIMATE]
    assert event.warning is warns
    assert not [each for each in changes(after, after) if each.reason == ESTIMATE]
