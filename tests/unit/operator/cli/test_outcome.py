"""When a rollout has ended, and how."""

import pytest

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import ConditionType, Phase, Status, Truth
from modelfleet_operator.cli.outcome import outcome, summary
from tests.unit.operator.cli.cases import (
    aborted,
    condition,
    moving,
    resource,
    rollout,
    settled,
)


def standing(reason: Reason) -> Status:
    """Without routers, where nothing moves."""
    told = condition(ConditionType.PROGRESSING, Truth.FALSE, reason, "no such file")
    before = moving(None, weight=0)
    return before.model_copy(update={"conditions": (*before.conditions, told)})


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.FAILED])
def test_a_rollout_goes_on_until_all_traffic_is_somewhere(phase: Phase) -> None:
    assert outcome(resource(moving(rollout(phase)))) is None


def test_one_that_serves_has_ended_well() -> None:
    found = outcome(resource(settled()))
    assert found is not None
    assert found.well
    assert "serves" in found.says


def test_one_that_gave_all_traffic_back_has_failed() -> None:
    found = outcome(resource(moving(aborted(), weight=0)))
    assert found is not None
    assert not found.well
    assert found.says == "revision 3 (version 2) was rolled back: aborted"


def test_a_failure_that_is_to_be_tried_again_is_none() -> None:
    failed = moving(aborted(), weight=0)
    assert outcome(resource(failed, annotations={"retry": "ccc/1/1"})) is None
    assert (
        outcome(resource(failed, annotations={"retry": "ccc/1/1", "abort": "ccc/1/1"})) is not None
    )


def test_nothing_has_ended_while_the_status_is_old() -> None:
    assert outcome(resource(settled(), generation=5)) is None
    assert outcome(resource(None)) is None


def test_what_is_stopped_has_ended_well() -> None:
    found = outcome(resource(Status(observed_generation=4, phase="Stopped")))
    assert found is not None
    assert found.well


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        (Reason.DEADLINE_EXCEEDED, True),
        (Reason.SPEC_INVALID, True),
        (Reason.MODEL_UNREACHABLE, False),
        (Reason.IMAGE_UNAVAILABLE, False),
    ],
)
def test_without_routers_a_trouble_may_pass_until_the_deadline(reason: Reason, ended: bool) -> None:
    found = outcome(resource(standing(reason)))
    assert (found is not None) is ended
    assert found is None or not found.well


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (moving(rollout()), "step 2 of 2, 50 %, Holding: waits to be promoted"),
        (moving(rollout(Phase.SHIFTING, "on its way", step=2)), "50 %, Shifting: on its way"),
        (settled(), "Ready: revision digits-ccc serves"),
        (None, "the operator has not looked at this spec yet"),
    ],
)
def test_where_it_stands_in_a_line(status: Status | None, says: str) -> None:
    assert summary(resource(status)) == says
