"""What is said of a deployment behind routers."""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import ConditionType, Phase, RolloutStatus
from modelfleet_operator.plan import traffic
from modelfleet_operator.plan.conditions import SOON
from modelfleet_operator.plan.decide import decide
from modelfleet_operator.plan.types import Plan
from modelfleet_operator.seen import Address, Observed, Revision
from tests.unit.operator.builders import DEFAULTS, NOW, pods, revision, routed, seen, spec, trouble

A, B = revision("v1", 1), revision("v2", 2)
READY, AVAILABLE, PROGRESSING, SCHEDULED, STABLE_HEALTHY = ConditionType
STAMP = f"{B.name.removeprefix('digits-')}/1/0"
ROUTING = {"mode": "Router"}
ROLLOUT = {"strategy": "Progressive", "steps": [{"weight": 50, "untilPromoted": True}]}


def picture(ready: int = 2, *, model: str = "v2", of: Revision = B, **more: Any) -> Observed:
    """A is there with both pods; B, unless it is the model itself, with `ready` of two."""
    wanted = spec(model, replicas=2, routing=ROUTING, rollout=ROLLOUT)
    there = [*pods(A, 2), *([] if model == "v1" else pods(of, ready, of_all=2))]
    return seen(wanted, revisions=[A, B], pods=there, **more)


def plan(of: Observed) -> Plan:
    return decide(of, DEFAULTS)


def told(phase: Phase, **more: Any) -> RolloutStatus:
    return RolloutStatus(candidate=B.name, phase=phase, **more)


ALL_A, HALF = {A.name: 10000}, {A.name: 5000, B.name: 5000}
HELD = told(Phase.HOLDING, held_since=written_time(NOW))
FAILED = told(Phase.FAILED, failed="worse", failed_since=written_time(NOW))


@pytest.mark.parametrize(
    ("found", "reason", "progressing", "phase"),
    [
        pytest.param(routed(picture(model="v1"), ALL_A, stable=A), Reason.SERVING, "False", "Ready",
                     id="the goal"),
        pytest.param(routed(picture(model="v1"), ALL_A, stable=A, behind=True), Reason.SWITCHING,
                     "True", "Progressing", id="a router is behind"),
        pytest.param(routed(picture(0), ALL_A, stable=A), Reason.STARTING, "True", "Progressing",
                     id="its pods start"),
        pytest.param(routed(picture(), ALL_A, stable=A), Reason.SWITCHING, "True", "Progressing",
                     id="a share is on its way"),
        pytest.param(routed(picture(), HALF, stable=A, told=HELD), Reason.HOLDING, "True",
                     "Progressing", id="it holds"),
        pytest.param(routed(picture(), ALL_A, stable=A, told=FAILED), Reason.ROLLED_BACK, "False",
                     "Degraded", id="rolled back"),
        pytest.param(routed(picture(), ALL_A, stable=A, refused="no such host"),
                     Reason.ROUTING_REFUSED, "False", "Degraded", id="refused"),
    ],
)  # fmt: skip
def test_the_reason(found: Observed, reason: Reason, progressing: str, phase: str) -> None:
    status = plan(found).status
    ready, progress = status.condition(READY), status.condition(PROGRESSING)
    assert ready
    assert progress
    assert ready.reason is reason
    assert progress.status.value == progressing
    assert status.phase == phase


def one_router(found: Observed, **other: Any) -> Observed:
    """The second of the two is as `other` says."""
    first, second = found.routing.routers
    pair = (first, replace(second, **other))
    return replace(found, routing=replace(found.routing, routers=pair))


def test_it_is_not_ready_before_every_router_that_takes_requests_reaches_its_pods() -> None:
    whole = routed(picture(model="v1"), ALL_A, stable=A)
    made = plan(one_router(whole, reached={A.name: 1}))
    ready = made.status.condition(READY)
    assert ready
    assert (ready.status.value, ready.reason) == ("False", Reason.SWITCHING)
    assert "router-1" in ready.message
    assert made.again == SOON
    starting = plan(one_router(whole, reached={}, ready=False)).status.condition(READY)
    assert starting
    assert starting.status.value == "True", "no caller is sent to it"


def test_the_address_moves_to_the_routers_when_each_that_takes_requests_serves() -> None:
    served = routed(picture(model="v1", address=Address(A.name, {A.name: 2})), ALL_A, stable=A)
    site = served.routing.site
    assert traffic.routers_serve(served, site)
    assert traffic.routers_serve(one_router(served, ready=False, version=""), site)
    assert not traffic.routers_serve(one_router(served, version=""), site)
    assert not traffic.routers_serve(one_router(served, reached={}), site)


def marked(found: Observed, **annotations: str) -> Observed:
    said = {f"modelfleet.dev/{verb}": text for verb, text in annotations.items()}
    return replace(found, resource=replace(found.resource, annotations=said))


def test_a_pause_is_neither_progress_nor_failure() -> None:
    found = plan(marked(routed(picture(), HALF, stable=A, told=HELD), pause=STAMP)).status
    progressing = found.condition(PROGRESSING)
    assert progressing
    assert (progressing.status.value, progressing.reason) == ("Unknown", Reason.PAUSED)


def test_an_abort_is_told_while_the_traffic_goes_back() -> None:
    found = marked(routed(picture(), HALF, stable=A, told=HELD), abort=STAMP)
    made = plan(found)
    ready = made.status.condition(READY)
    assert ready
    assert ready.reason is Reason.ROLLING_BACK
    assert made.verdict
    (planned,) = made.verdict.variants
    assert planned.within == {A.name: 10000}


def test_the_share_and_the_stamp_are_in_the_status() -> None:
    (variant,) = plan(routed(picture(), HALF, stable=A, told=HELD)).status.variants
    assert (variant.stable, variant.candidate, variant.weight) == (A.name, B.name, 50)
    assert variant.rollout
    assert variant.rollout.stamp == STAMP
    assert {r.name: r.weight for r in variant.revisions} == HALF


def test_requests_are_answered_while_a_router_reaches_a_pod() -> None:
    up = plan(routed(picture(model="v1"), ALL_A, stable=A)).status.condition(AVAILABLE)
    empty = replace(picture(model="v1"), pods=())
    down = plan(routed(empty, ALL_A, stable=A)).status.condition(AVAILABLE)
    assert up
    assert down
    assert (up.status.value, down.status.value) == ("True", "False")


def test_a_pods_trouble_is_told_in_its_own_words() -> None:
    bad = [*pods(A, 2), replace(pods(B, 0, of_all=1)[0], trouble=trouble(Reason.MODEL_INVALID))]
    found = plan(routed(replace(picture(), pods=tuple(bad)), ALL_A, stable=A)).status
    ready = found.condition(READY)
    assert ready
    assert ready.reason is Reason.MODEL_INVALID
    assert "no such file" in ready.message


def test_without_an_image_for_routers_it_says_so() -> None:
    found = decide(routed(picture(), stable=A), replace(DEFAULTS, routers=False)).status
    ready = found.condition(READY)
    assert ready
    assert ready.reason is Reason.ROUTING_REFUSED
    assert "MODELFLEET_ROUTER_IMAGE" in ready.message
