"""The rollout's rules, one by one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.rollout import OnFailure, Step
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.rollout import progress
from modelfleet_operator.plan.rollout.facts import FULL, Arm, Facts, Judgement, Policy, Verbs
from modelfleet_operator.plan.rollout.progress import Progress
from tests.unit.operator.builders import NOW

A, B, C = "digits-a", "digits-b", "digits-c"
STEPS = (
    Step(weight=10, pause=timedelta(minutes=2)),
    Step(weight=50, until_promoted=True),
)


def arm(ready: int, asked: int | None = None, **more: Any) -> Arm:
    return Arm(**{"ready": ready, "reachable": ready, "asked": ready if asked is None else asked}
               | more)  # fmt: skip


def facts(**more: Any) -> Facts:
    """From A to B: both have their pods, A has all of the traffic."""
    usual = {
        "now": NOW,
        "wanted": B,
        "stable": A,
        "demand": 4,
        "arms": {A: arm(4), B: arm(4)},
        "written": {A: 10000},
        "policy": Policy(steps=STEPS),
    }
    return Facts(**{**usual, **more})


def told(phase: Phase = Phase.HOLDING, step: int = 0, **more: Any) -> RolloutStatus:
    return RolloutStatus(candidate=B, phase=phase, step=step, **more)


def decide(**more: Any) -> Progress:
    return progress.decide(facts(**more))


def held(ago: float) -> str:
    return written_time(NOW - timedelta(seconds=ago))


AT_TEN = {"written": {A: 9000, B: 1000}}


def phase(found: Progress) -> Phase | None:
    return None if found.told is None else found.told.phase


# -- the order of a shift


def test_a_share_waits_for_its_pods() -> None:
    found = decide(arms={A: arm(4), B: arm(0, 1)})
    assert (found.weights, phase(found)) == ({A: 10000}, Phase.STARTING)
    assert found.pods == {A: 4, B: 1}, "as many as a tenth of the traffic needs"


def test_a_share_waits_for_every_router_to_reach_the_pods() -> None:
    found = decide(arms={A: arm(4), B: arm(1, reachable=0)})
    assert found.weights == {A: 10000}
    assert found.told
    assert "the routers reach 0 of its 1 pods" in found.told.message


def test_a_share_waits_for_the_one_before_it() -> None:
    found = decide(served=False, lagging=("router-2",))
    assert found.weights == {A: 10000}
    assert found.told
    assert "router-2" in found.told.message


def test_with_its_pods_it_gets_its_share() -> None:
    found = decide(arms={A: arm(4), B: arm(1)})
    assert (found.weights, phase(found)) == ({A: 9000, B: 1000}, Phase.SHIFTING)


def test_a_step_counts_from_when_every_router_serves_it() -> None:
    shifting = decide(**AT_TEN, served=False, told=told(Phase.SHIFTING))
    assert phase(shifting) is Phase.SHIFTING
    found = decide(**AT_TEN, told=told(Phase.SHIFTING))
    assert phase(found) is Phase.HOLDING
    assert found.told
    assert found.told.held_since == written_time(NOW)
    assert found.again == timedelta(minutes=2)


@pytest.mark.parametrize(
    ("ago", "more", "step"),
    [
        pytest.param(60, {}, 0, id="its pause is not over"),
        pytest.param(120, {}, 1, id="its pause is over"),
        pytest.param(60, {"verbs": Verbs(promoted=0)}, 1, id="promoted before its time"),
        pytest.param(60, {"verbs": Verbs(promoted=FULL)}, 1, id="promoted past every step"),
        pytest.param(120, {"verbs": Verbs(paused=True)}, 0, id="paused"),
        pytest.param(120, {"judgement": Judgement(passes=False)}, 0, id="the analysis needs more"),
    ],
)
def test_when_the_next_step_comes(ago: float, more: dict[str, Any], step: int) -> None:
    found = decide(**AT_TEN, told=told(held_since=held(ago)), **more)
    assert found.told is not None
    assert found.told.step == step


def test_a_step_until_promoted_waits_for_ever() -> None:
    at_half = {"written": {A: 5000, B: 5000}}
    found = decide(**at_half, told=told(step=1, held_since=held(10**6)))
    assert (phase(found), found.again) == (Phase.HOLDING, None)
    after = decide(**at_half, told=told(step=1, held_since=held(1)), verbs=Verbs(promoted=1))
    assert after.weights == {B: 10000}


def test_after_all_of_the_traffic_it_is_the_stable_one() -> None:
    found = decide(written={B: 10000}, told=told(Phase.SHIFTING, 2))
    assert (found.stable, found.told) == (B, None)
    assert found.pods[B] == 4


def test_the_earlier_one_shrinks_when_nothing_of_it_is_in_flight() -> None:
    busy = {"wanted": B, "stable": B, "written": {B: 10000}}
    found = decide(**busy, arms={A: arm(4, quiet=False), B: arm(4)})
    assert (found.pods[A], found.idle_since[A]) == (4, NOW)
    late = arm(4, quiet=False, idle_since=NOW - timedelta(seconds=30))
    assert A not in decide(**busy, arms={A: late, B: arm(4)}).pods, "at most one request's time"
    assert A not in decide(**busy, arms={A: arm(4), B: arm(4)}).pods


# -- blue and green


PREVIEW = Step.model_construct(weight=0, pause=timedelta(minutes=5), until_promoted=False)
BLUE_GREEN = Policy(steps=(PREVIEW,), full=True, bake=timedelta(minutes=10))


def test_a_preview_needs_all_of_its_pods_and_has_no_traffic() -> None:
    found = decide(policy=BLUE_GREEN, arms={A: arm(4), B: arm(3, 4)})
    assert (found.weights, found.pods, phase(found)) == (
        {A: 10000},
        {A: 4, B: 4},
        Phase.STARTING,
    )
    ready = decide(policy=BLUE_GREEN, told=found.told)
    assert (ready.weights, phase(ready), ready.again) == (
        {A: 10000},
        Phase.HOLDING,
        timedelta(minutes=5),
    )


def test_the_switch_is_one_change_and_the_earlier_one_stays_while_it_bakes() -> None:
    switch = decide(policy=BLUE_GREEN, told=told(held_since=held(300)))
    assert switch.weights == {B: 10000}
    baking = decide(policy=BLUE_GREEN, told=switch.told, written={B: 10000})
    assert (phase(baking), baking.stable, baking.pods[A]) == (Phase.HOLDING, A, 4)
    worse = Judgement(fails="more errors")
    back = decide(policy=BLUE_GREEN, told=baking.told, written={B: 10000}, judgement=worse)
    assert back.weights == {A: 10000}
    late = told(step=1, held_since=held(600))
    done = decide(policy=BLUE_GREEN, told=late, written={B: 10000})
    assert (done.stable, done.told) == (B, None)


# -- failing and coming back


@pytest.mark.parametrize(
    ("more", "why"),
    [
        pytest.param({"judgement": Judgement(fails="more errors")}, "more errors", id="worse"),
        pytest.param({"verbs": Verbs(aborted=True)}, "aborted", id="aborted"),
        pytest.param(
            {"arms": {A: arm(4), B: arm(0, 1, hopeless="no such op")}}, "no such op", id="crashes"
        ),
    ],
)
def test_what_rolls_back(more: dict[str, Any], why: str) -> None:
    found = decide(**AT_TEN, told=told(held_since=held(10)), **more)
    assert (found.weights, phase(found)) == ({A: 10000}, Phase.ROLLING_BACK)
    assert found.told
    assert found.told.failed == why


def test_a_revision_that_is_not_ready_in_time_is_rolled_back() -> None:
    waits = told(Phase.STARTING, waiting_since=held(16 * 60))
    found = decide(arms={A: arm(4), B: arm(0, 1)}, told=waits)
    assert found.told
    assert "progressDeadline (15m)" in found.told.failed
    asked = Policy(steps=STEPS, on_failure=OnFailure.PAUSE)
    paused = decide(arms={A: arm(4), B: arm(0, 1)}, told=waits, policy=asked)
    assert phase(paused) is Phase.PAUSED


def test_a_failed_one_is_kept_for_a_while_and_not_tried_again() -> None:
    failed = told(Phase.FAILED, failed="worse", failed_since=held(60))
    debug = Policy(steps=STEPS, debug_for=timedelta(minutes=5))
    found = decide(told=failed, policy=debug)
    assert (found.weights, found.pods) == ({A: 10000}, {A: 4, B: 1})
    assert found.again == timedelta(minutes=4)
    later = decide(told=failed)
    assert (later.weights, later.pods.get(B, 0), phase(later)) == ({A: 10000}, 0, Phase.FAILED)
    again = decide(told=failed, verbs=Verbs(retried=True))
    assert again.told
    assert (again.told.attempt, again.told.failed) == (2, "")


def test_an_abort_wins_over_a_retry_and_a_promotion() -> None:
    verbs = Verbs(aborted=True, retried=True, promoted=FULL)
    assert decide(**AT_TEN, told=told(), verbs=verbs).weights == {A: 10000}
    assert phase(decide(told=told(Phase.FAILED, failed="worse"), verbs=verbs)) is Phase.FAILED


def test_what_the_stable_one_cannot_carry_stays_until_it_can() -> None:
    half = {"written": {A: 5000, B: 5000}, "verbs": Verbs(aborted=True), "told": told(step=1)}
    weak = decide(**half, arms={A: arm(3, 4), B: arm(2)})
    assert weak.weights == {A: 7500, B: 2500}
    nobody = decide(**half, arms={A: arm(0, 4), B: arm(2)})
    assert nobody.weights == {A: 5000, B: 5000}


def test_a_candidate_that_loses_pods_keeps_what_it_can_carry() -> None:
    at_half = {"written": {A: 5000, B: 5000}, "told": told(step=1)}
    assert decide(**at_half, arms={A: arm(4), B: arm(1, 2)}).weights == {A: 7500, B: 2500}
    assert decide(**at_half, arms={A: arm(4), B: arm(0, 2)}).weights == {A: 10000}


# -- changes on the way


def test_the_newest_spec_wins_and_the_candidate_before_gives_back_first() -> None:
    found = decide(wanted=C, arms={A: arm(4), B: arm(2), C: arm(4)}, written={A: 5000, B: 5000})
    assert found.weights == {A: 10000}
    assert found.told
    assert found.told.candidate == C
    after = decide(wanted=C, arms={A: arm(4), B: arm(2), C: arm(4)}, told=found.told)
    assert after.weights == {A: 9000, C: 1000}


def test_a_sick_stable_revision_is_no_reason_to_wait() -> None:
    sick = {A: arm(0, 4, hopeless="it crashes"), B: arm(4)}
    assert decide(arms=sick).weights == {B: 10000}


def test_a_stable_revision_without_a_pod_lends_its_share() -> None:
    """And it stays a loan: the step is the same, and what was lent is given back."""
    at_half = {"written": {A: 5000, B: 5000}, "told": told(step=1, held_since=held(9))}
    found = decide(**at_half, arms={A: arm(0, 4), B: arm(4)})
    assert (found.weights, found.pods[B]) == ({B: 10000}, 4)
    assert found.told
    assert found.told.step == 1
    back = decide(written={B: 10000}, told=found.told, arms={A: arm(4), B: arm(4)})
    assert back.weights == {A: 5000, B: 5000}
    # One that has no share yet is not tried on everybody.
    assert decide(arms={A: arm(0, 4), B: arm(4)}, served=False).weights == {A: 10000}


def test_one_crash_of_the_stable_revision_skips_no_step() -> None:
    found = decide(arms={A: arm(0, 4, crashed="killed"), B: arm(4)})
    assert found.told
    assert found.told.step == 0


def test_other_steps_are_counted_anew() -> None:
    began = decide(**AT_TEN, told=told(Phase.SHIFTING, 0)).told
    assert began
    at_one = began.model_copy(update={"step": 1, "steps": progress.steps_digest(facts().policy)})
    careful = Policy(steps=(Step(weight=50, until_promoted=True),))
    found = decide(written={A: 9000, B: 1000}, told=at_one, policy=careful)
    assert found.told
    assert (found.told.step, found.weights) == (0, {A: 5000, B: 5000})
    preview = decide(written={A: 9000, B: 1000}, told=at_one, policy=BLUE_GREEN)
    assert preview.weights == {A: 10000}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"arms": {A: arm(4), B: arm(4, reachable=0)}}, id="no router reaches it"),
        pytest.param({"served": False, "lagging": ("r",)}, id="a router is behind"),
        pytest.param({}, id="nobody looked for so long"),
    ],
)
def test_what_is_not_its_fault_is_no_failure(more: dict[str, Any]) -> None:
    waits = told(Phase.STARTING, waiting_since=held(16 * 60))
    found = decide(told=waits, **more)
    assert found.told
    assert found.told.failed == ""


def test_a_failure_stays_one_while_a_router_starts_again() -> None:
    failed = told(Phase.FAILED, failed="worse", failed_since=held(60))
    assert phase(decide(told=failed, served=False)) is Phase.FAILED


def test_the_last_that_could_answer_is_kept() -> None:
    found = decide(wanted=B, stable=B, written={B: 10000}, arms={A: arm(4), B: arm(0, 4)})
    assert found.pods[A] == 4


def test_an_emptied_status_does_not_throw_a_rollout_back() -> None:
    found = decide(written={A: 5000, B: 5000}, arms={A: arm(4), B: arm(2)})
    assert found.told
    assert (found.told.step, found.weights) == (1, {A: 5000, B: 5000})


def test_the_first_revision_gets_everything_at_once() -> None:
    found = decide(stable=None, arms={B: arm(0, 0)}, written={})
    assert (found.weights, found.pods, found.stable) == ({B: 10000}, {B: 4}, None)
    assert decide(stable=None, arms={B: arm(1, 4)}, written={B: 10000}).stable == B


def test_when_nothing_is_to_run_only_the_pods_go() -> None:
    failed = told(Phase.FAILED, failed="worse", failed_since=held(60))
    found = decide(demand=0, told=failed)
    assert (found.weights, found.pods, found.stable, found.told) == ({A: 10000}, {}, A, failed)
    first = decide(demand=0, stable=None, written={})
    assert (first.weights, first.stable) == ({B: 10000}, None)


def test_rolling_is_one_step() -> None:
    rolling = Policy()
    found = decide(policy=rolling, arms={A: arm(4), B: arm(3, 4)})
    assert (found.weights, found.pods) == ({A: 10000}, {A: 4, B: 4})
    assert decide(policy=rolling).weights == {B: 10000}


def test_paused_shares_do_not_grow() -> None:
    found = decide(told=told(Phase.STARTING), verbs=Verbs(paused=True))
    assert (found.weights, phase(found)) == ({A: 10000}, Phase.PAUSED)
    assert replace(found, told=None).pods[B] == 1


@pytest.mark.parametrize(
    ("earlier", "pods"),
    [
        pytest.param(arm(4), None, id="nobody is sent to it any more"),
        pytest.param(arm(4, addressed=True), 4, id="the address names it"),
        pytest.param(arm(6, addressed=True), 4, id="as many as all of the traffic needs"),
        pytest.param(arm(1, addressed=True), 1, id="those that it has"),
    ],
)
def test_an_earlier_revision_stays_while_the_address_sends_somebody_to_it(
    earlier: Arm, pods: int | None
) -> None:
    """So it is when a deployment comes to the routers with a change."""
    found = decide(stable=B, arms={A: earlier, B: arm(4)}, written={B: 10000})
    assert found.pods.get(A) == pods


def test_a_step_is_held_with_a_share_that_was_lent() -> None:
    """The stable revision has no pod: the candidate has all of the traffic, at the same step."""
    lent = {"arms": {A: arm(0, 4), B: arm(4)}, "written": {B: 10000}}
    found = decide(told=told(Phase.STARTING, step=1), **lent)
    assert (phase(found), found.weights, found.stable) == (Phase.HOLDING, {B: 10000}, A)
    promoted = decide(told=told(step=1), verbs=Verbs(promoted=FULL), **lent)
    assert promoted.told is not None
    assert promoted.told.step == 2
