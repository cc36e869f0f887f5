"""Where the pods of a new revision find their places, rule by rule."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.rollout import OnFailure, Step, Surge
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.rollout import progress
from modelfleet_operator.plan.rollout.capacity import carried, lasting, needed
from modelfleet_operator.plan.rollout.facts import Arm, Facts, Places, Policy, Verbs
from modelfleet_operator.plan.rollout.progress import Progress
from modelfleet_operator.router.site import WHOLE
from tests.unit.operator.builders import NOW

A, B, C = "digits-a", "digits-b", "digits-c"
SAYS = "3 of 4 nvidia.com/gpu in use, 1 free"


def arm(ready: int, asked: int | None = None, **more: Any) -> Arm:
    asked = ready if asked is None else asked
    usual = {"ready": ready, "reachable": ready, "asked": asked, "present": asked}
    return Arm(**usual | more)


def places(fits: int | None = 0, total: int = 4, **more: Any) -> Places:
    return Places(fits, total, says=SAYS, **more)


def decide(way: str = "InPlace", **more: Any) -> Progress:
    """From A to B, of which all four places are A's. `way`: as it was told."""
    policy = {"accelerated": True, **more.pop("policy", {})}
    told: dict[str, Any] = {
        "candidate": B,
        "phase": Phase.STARTING,
        "surge": way,
        **more.pop("told", {}),
    }
    usual = {
        "now": NOW,
        "wanted": B,
        "stable": A,
        "demand": 4,
        "arms": {A: arm(4), B: arm(0)},
        "written": {A: WHOLE},
        "policy": Policy(**policy),
        "told": RolloutStatus(**told) if way else None,
    }
    return progress.decide(Facts(**{**usual, **more}))


def ago(seconds: float) -> str:
    return written_time(NOW - timedelta(seconds=seconds))


# -- what so many pods can carry


@pytest.mark.parametrize("demand", range(1, 12))
def test_what_the_one_side_leaves_the_other_has_the_pods_for(demand: int) -> None:
    for pods in range(demand + 1):
        assert needed(carried(pods, demand), demand) == pods
        assert needed(WHOLE - carried(pods, demand), demand) == demand - pods


@pytest.mark.parametrize(
    ("demand", "room", "lasts"),
    [
        pytest.param(4, 4, 3, id="nothing is free"),
        pytest.param(4, 5, 4, id="one is free"),
        pytest.param(4, 3, 2, id="one is missing"),
        pytest.param(2, 2, 1, id="of two"),
        pytest.param(1, 1, 1, id="of one"),
    ],
)
def test_pods_that_serve_at_any_time(demand: int, room: int, lasts: int) -> None:
    assert lasting(demand, room) == lasts


# -- the choice


@pytest.mark.parametrize(
    ("found", "demand", "way", "spare"),
    [
        pytest.param(places(4, 8), 4, "Surge", 0, id="there is room for all"),
        pytest.param(places(3, 7), 4, "InPlace", 3, id="for all but one"),
        pytest.param(places(0, 4), 4, "InPlace", 0, id="for none"),
        pytest.param(places(0, 1), 1, "Recreate", 0, id="there is only one place"),
        pytest.param(places(1, 2), 1, "Surge", 0, id="one of two is free"),
        pytest.param(places(0, 0), 4, "Surge", 0, id="the earlier pods would leave none to it"),
        pytest.param(places(0, 1, elsewhere=3), 4, "InPlace", 0, id="of which one on its nodes"),
        pytest.param(places(None), 4, "Surge", 0, id="not known"),
    ],
)
def test_the_way_is_chosen_by_what_is_free(
    found: Places, demand: int, way: str, spare: int
) -> None:
    arms = {A: arm(demand), B: arm(0)}
    told = decide("", places=found, demand=demand, arms=arms).told
    assert told is not None
    assert (told.surge, told.spare, told.demand) == (way, spare, demand)
    assert SAYS in told.surge_reason


def test_the_reason_has_what_is_free_and_what_is_needed() -> None:
    told = decide("", places=places(1, 5, count=2)).told
    assert told is not None
    assert told.surge_reason == f"{SAYS}, 8 needed"


def test_pods_that_it_has_already_need_no_place() -> None:
    told = decide("", places=places(2, 8), arms={A: arm(4), B: arm(2)}).told
    assert told is not None
    assert told.surge == "Surge"


@pytest.mark.parametrize(
    ("surge", "demand", "way"),
    [
        pytest.param(Surge.SURGE, 4, "Surge", id="surge"),
        pytest.param(Surge.IN_PLACE, 4, "InPlace", id="in place"),
        pytest.param(Surge.RECREATE, 4, "Recreate", id="recreate"),
        pytest.param(Surge.IN_PLACE, 1, "Recreate", id="in place, with a single pod"),
    ],
)
def test_what_is_asked_for_is_not_counted(surge: Surge, demand: int, way: str) -> None:
    found = decide("", policy={"surge": surge}, demand=demand, arms={A: arm(demand)})
    assert found.told is not None
    assert (found.told.surge, found.counts) == (way, False)


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        pytest.param({}, True, id="a rollout that begins"),
        pytest.param({"places": places()}, False, id="it was counted"),
        pytest.param({"way": "InPlace"}, False, id="the way is known"),
        pytest.param({"policy": {"accelerated": False}}, False, id="no accelerator"),
        pytest.param({"wanted": A}, False, id="no rollout"),
        pytest.param({"demand": 0}, False, id="no pods"),
        pytest.param(
            {
                "way": "InPlace",
                "told": {"failed": "aborted", "failed_since": ago(9)},
                "verbs": Verbs(retried=True),
            },
            True,
            id="another attempt",
        ),
    ],
)
def test_when_accelerators_are_counted(more: dict[str, Any], counts: bool) -> None:
    assert decide(**{"way": "", **more}).counts is counts


def test_it_is_told_before_a_pod_goes() -> None:
    first = decide("", places=places())
    assert first.pods == {A: 4, B: 0}
    assert first.told is not None
    assert first.told.message.startswith(f"InPlace: {SAYS}")
    assert decide(told=first.told.model_dump()).pods[A] == 3


def test_other_steps_are_no_other_choice() -> None:
    steps = (Step(weight=50),)
    found = decide("InPlace", told={"steps": "others", "spare": 1}, policy={"steps": steps})
    assert found.told is not None
    assert (found.told.surge, found.told.spare, found.counts) == ("InPlace", 1, False)


# -- in place


@pytest.mark.parametrize(
    ("arms", "written", "pods", "share"),
    [
        pytest.param(
            {A: arm(4), B: arm(0)}, {A: 10000}, {A: 3, B: 0}, 0, id="the earlier one gives one up"
        ),
        pytest.param(
            {A: arm(3, present=4, leaving=1), B: arm(0)},
            {A: 10000}, {A: 3, B: 0}, 0, id="which still has its place",
        ),
        pytest.param(
            {A: arm(3), B: arm(0)}, {A: 10000}, {A: 3, B: 1}, 0, id="the new one gets it"
        ),
        pytest.param(
            {A: arm(3), B: arm(1)}, {A: 10000}, {A: 3, B: 1}, 3333, id="a third of the traffic"
        ),
        pytest.param(
            {A: arm(3), B: arm(1)}, {A: 6667, B: 3333}, {A: 2, B: 1}, 3333, id="the next place"
        ),
        pytest.param(
            {A: arm(1), B: arm(3)}, {A: 3334, B: 6666}, {A: 1, B: 3}, 10000, id="all of it"
        ),
    ],
)  # fmt: skip
def test_in_place_one_follows_the_other(
    arms: dict[str, Arm], written: dict[str, int], pods: dict[str, int], share: int
) -> None:
    found = decide(arms=arms, written=written)
    assert (dict(found.pods), found.weights.get(B, 0)) == (pods, share)


def test_a_place_that_is_free_is_used_first() -> None:
    found = decide(told={"spare": 1})
    assert found.pods == {A: 4, B: 1}, "nobody has to give one up"


def test_a_step_is_not_overshot() -> None:
    steps = (Step(weight=20, until_promoted=True),)
    told = {"steps": progress.steps_digest(Policy(steps=steps))}
    found = decide(arms={A: arm(3), B: arm(1)}, policy={"steps": steps}, told=told)
    assert found.weights == {A: 8000, B: 2000}


def test_how_many_serve_is_told() -> None:
    found = decide(arms={A: arm(3), B: arm(0, 1)})
    assert found.told is not None
    assert "in place, 3 of 4 pods serve meanwhile" in found.told.message


def test_whoever_waits_for_a_place_is_not_late() -> None:
    waits = {"waiting_since": ago(10**6)}
    assert decide(told=waits | {"phase": Phase.SHIFTING}).told.failed == ""  # type: ignore[union-attr]
    found = decide(arms={A: arm(3), B: arm(0, 1)}, told=waits)
    assert found.told is not None
    assert "progressDeadline" in found.told.failed


def test_at_the_end_the_last_place_follows() -> None:
    found = decide(arms={A: arm(1), B: arm(3)}, written={B: 10000})
    assert (found.stable, found.pods) == (B, {B: 3})
    settled = decide("", wanted=B, stable=B, arms={A: arm(0), B: arm(3)}, written={B: 10000})
    assert settled.pods[B] == 4


def test_a_retreat_gives_the_places_back_one_by_one() -> None:
    half: dict[str, Any] = {"arms": {A: arm(2), B: arm(2)}, "written": {A: 3334, B: 6666}}
    failed = {"failed": "aborted", "phase": Phase.ROLLING_BACK}
    found = decide(**half, told=failed)
    assert found.weights == {A: 6666, B: 3334}
    moved: dict[str, Any] = {"written": {A: 6666, B: 3334}}
    assert decide(**half | moved, told=failed).pods == {A: 2, B: 1}
    later = decide(arms={A: arm(2), B: arm(1)}, **moved, told=failed)
    assert later.pods == {A: 3, B: 1}


def test_back_to_the_earlier_spec_the_same_way() -> None:
    half: dict[str, Any] = {"arms": {A: arm(2), B: arm(2)}, "written": {A: 6666, B: 3334}}
    found = decide("", **half, wanted=A)
    assert found.pods == {A: 2, B: 1}


def test_a_pause_stays_where_it_is() -> None:
    half: dict[str, Any] = {"arms": {A: arm(3), B: arm(1)}, "written": {A: 6667, B: 3333}}
    found = decide(**half, verbs=Verbs(paused=True))
    assert (found.pods, found.weights) == ({A: 3, B: 1}, half["written"])


# -- giving way


@pytest.mark.parametrize(
    ("way", "arms", "policy", "since", "to"),
    [
        pytest.param(
            "Surge", {A: arm(4), B: arm(1, 2, unplaced=1)}, {}, 30, ("InPlace", 1), id="one fits"
        ),
        pytest.param(
            "Surge", {A: arm(4), B: arm(0, 1, unplaced=1)}, {}, 30, ("InPlace", 0), id="none fits"
        ),
        pytest.param(
            "Surge", {A: arm(4), B: arm(0, 1, unplaced=1)}, {}, 29, ("Surge", 0), id="too soon"
        ),
        pytest.param(
            "Surge", {A: arm(4, present=5, leaving=1), B: arm(0, 1, unplaced=1)}, {}, 30,
            ("Surge", 0), id="somebody leaves a place at this moment",
        ),
        pytest.param(
            "Surge", {A: arm(4), B: arm(0, 1, unplaced=1)}, {"surge": Surge.SURGE}, 30,
            ("Surge", 0), id="asked for by name",
        ),
        pytest.param(
            "InPlace", {A: arm(2, 3, unplaced=1), B: arm(0, 1, unplaced=1)}, {}, 30,
            ("InPlace", -2), id="a node is gone",
        ),
        pytest.param(
            "InPlace", {A: arm(1), B: arm(0, 1, unplaced=1)}, {}, 30,
            ("Recreate", -3), id="there is only one place left",
        ),
    ],
)  # fmt: skip
def test_pods_without_a_place_make_the_room_smaller(
    way: str, arms: dict[str, Arm], policy: dict[str, Any], since: float, to: tuple[str, int]
) -> None:
    told = decide(way, arms=arms, policy=policy, told={"waiting_since": ago(since)}).told
    assert told is not None
    assert (told.surge, told.spare) == to


def test_nobody_goes_where_that_would_leave_no_place() -> None:
    lost = {A: arm(4), B: arm(0, 1, unplaced=1)}
    told = {"waiting_since": ago(30)}
    assert decide("Surge", arms=lost, told=told).counts
    found = decide("Surge", arms=lost, told=told, places=places(0, 0)).told
    assert found is not None
    assert found.surge == "Surge"


def test_giving_way_says_why() -> None:
    lost = {A: arm(4), B: arm(0, 1, unplaced=1)}
    told = {"waiting_since": ago(30), "surge_reason": SAYS}
    found = decide("Surge", arms=lost, told=told).told
    assert found is not None
    assert found.surge_reason == (
        f"1 of 5 pods found no accelerator that is free; at first it was Surge: {SAYS}"
    )


# -- recreate

ONE = {"demand": 1}


@pytest.mark.parametrize(
    ("arms", "written", "pods", "weights"),
    [
        pytest.param(
            {A: arm(1), B: arm(0)}, {A: 10000}, {A: 0, B: 0}, {A: 10000}, id="the earlier one goes"
        ),
        pytest.param(
            {A: arm(0, present=1, leaving=1), B: arm(0)},
            {A: 10000}, {A: 0, B: 0}, {A: 10000}, id="which still has its place",
        ),
        pytest.param(
            {A: arm(0), B: arm(0)}, {A: 10000}, {A: 0, B: 1}, {A: 10000}, id="the new one comes"
        ),
        pytest.param(
            {A: arm(0), B: arm(1)}, {A: 10000}, {A: 0, B: 1}, {B: 10000}, id="and has everything"
        ),
    ],
)  # fmt: skip
def test_one_goes_and_then_the_other_comes(
    arms: dict[str, Arm], written: dict[str, int], pods: dict[str, int], weights: dict[str, int]
) -> None:
    found = decide("Recreate", **ONE, arms=arms, written=written)
    assert (found.stable, dict(found.pods), found.weights) == (A, pods, weights)


def test_it_is_the_stable_one_when_it_serves() -> None:
    found = decide("Recreate", **ONE, arms={A: arm(0), B: arm(1)}, written={B: 10000})
    assert (found.stable, found.told) == (B, None)


BETWEEN = {**ONE, "arms": {A: arm(0), B: arm(0, 1)}}


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"verbs": Verbs(paused=True)}, id="a pause"),
        pytest.param({}, id="nothing"),
    ],
)
def test_nothing_stops_it_where_nobody_serves(more: dict[str, Any]) -> None:
    found = decide("Recreate", **BETWEEN, **more)
    assert found.told is not None
    assert (found.told.phase, found.pods[B]) == (Phase.STARTING, 1)


@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_broken_one_goes_back_at_once(on_failure: OnFailure) -> None:
    broken = {**BETWEEN, "arms": {A: arm(0), B: arm(0, 1, hopeless="no such file")}}
    found = decide("Recreate", **broken, policy={"on_failure": on_failure})
    assert found.told is not None
    assert (found.told.phase, found.told.failed) == (Phase.ROLLING_BACK, "no such file")
    assert found.pods == {A: 0, B: 0}, "its place has to be left first"
    later = decide("Recreate", **ONE, arms={A: arm(0), B: arm(0)}, told=found.told.model_dump())
    assert later.pods == {A: 1, B: 0}
    back = decide("Recreate", **ONE, arms={A: arm(1), B: arm(0)}, told=later.told.model_dump())  # type: ignore[union-attr]
    assert back.told is not None
    assert back.told.phase is Phase.FAILED


def test_what_came_between_is_passed_over() -> None:
    """B has the place, and C is wanted now: B goes for it, not for A first."""
    arms = {A: arm(0), B: arm(1), C: arm(0)}
    told = {"candidate": C, "surge": "Recreate"}
    found = decide("Recreate", **ONE, wanted=C, arms=arms, written={B: 10000}, told=told)
    assert (found.pods.get(B, 0), found.weights) == (0, {B: 10000})
