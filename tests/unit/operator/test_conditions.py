"""What is said about the resource: conditions, phase, counts."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet_contract import FailureReason
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import Condition, ConditionType, Status, Truth, VariantStatus
from modelfleet_operator.plan import conditions
from modelfleet_operator.plan.decide import decide
from modelfleet_operator.plan.types import Plan
from modelfleet_operator.seen import InvalidSpec, Observed
from tests.unit.operator.builders import (
    DEFAULTS,
    NOW,
    address,
    healthy,
    pod,
    pods,
    revision,
    seen,
    spec,
    trouble,
)

A, B = revision("v1", 1), revision("v2", 2)
READY, AVAILABLE, PROGRESSING, SCHEDULED, STABLE_HEALTHY = ConditionType
MINUTE = timedelta(minutes=1)


def plan(picture: Observed) -> Plan:
    return decide(picture, DEFAULTS)


def told(picture: Observed, type_: ConditionType) -> tuple[str, str]:
    found = plan(picture).status.condition(type_)
    assert found is not None
    return found.status.value, found.reason.value


def variant(stable: str | None = None, candidate: str | None = None, since: str = "") -> Status:
    return Status(
        variants=(
            VariantStatus(
                name="default", stable=stable, candidate=candidate, candidate_since=since or None
            ),
        )
    )


def starting(ready: int = 0, **more: Any) -> Observed:
    """The first revision, with two pods."""
    return seen(
        spec("v1", replicas=2),
        revisions=[A],
        pods=more.pop("pods", pods(A, ready, of_all=2)),
        address=address(A, ready={A.name: ready}),
        **more,
    )


def changing(ready: int = 0, *, stable: int = 2, **more: Any) -> Observed:
    """From A, which serves, to B."""
    return seen(
        spec("v2", replicas=2),
        revisions=[A, B],
        pods=[*pods(A, stable, of_all=2), *more.pop("pods", pods(B, ready, of_all=2))],
        address=more.pop("address", address(A, ready={A.name: stable})),
        status=more.pop("status", variant(A.name)),
        **more,
    )


def moved(**behind: int) -> Observed:
    """B has taken over; so many endpoints of A and B are behind the address."""
    present = {A.name: behind["a"], B.name: behind["b"]}
    return changing(2, address=address(B, ready=present), status=variant(B.name))


DRIFTED = seen(spec("v1", replicas=0), revisions=[A], address=address(A))
STUCK = changing(pods=[pod(B, "b-1", trouble=trouble()), pod(B, "b-2", ready=False)])
REFUSED = trouble(Reason.PODS_REFUSED, "exceeded quota")
UNPLACED = pod(A, scheduled=False, trouble=trouble(Reason.UNSCHEDULABLE, "no node"))


@pytest.mark.parametrize(
    ("picture", "type_", "status", "reason"),
    [
        pytest.param(healthy(), READY, "True", "Serving", id="ready"),
        pytest.param(starting(), READY, "False", "Starting", id="starting"),
        pytest.param(starting(1), READY, "False", "Scaling", id="the first of two is ready"),
        pytest.param(changing(1), READY, "False", "Starting", id="a change starts"),
        pytest.param(changing(2), READY, "False", "Switching", id="the address is to move"),
        pytest.param(moved(a=2, b=0), READY, "False", "Switching", id="endpoints are to follow"),
        pytest.param(moved(a=1, b=2), READY, "False", "Draining", id="the earlier one finishes"),
        pytest.param(moved(a=0, b=2), READY, "True", "Serving", id="the change is done"),
        pytest.param(STUCK, READY, "False", "ModelInvalid", id="a pod fails"),
        pytest.param(DRIFTED, READY, "False", "Stopped", id="none asked for"),
        pytest.param(healthy(), AVAILABLE, "True", "Serving", id="available"),
        pytest.param(starting(), AVAILABLE, "False", "NoEndpoints", id="nobody answers"),
        pytest.param(STUCK, AVAILABLE, "True", "Serving", id="available while stuck"),
        pytest.param(DRIFTED, AVAILABLE, "False", "Stopped", id="nobody is asked to answer"),
        pytest.param(healthy(), PROGRESSING, "False", "RolledOut", id="nothing moves"),
        pytest.param(changing(1), PROGRESSING, "True", "Starting", id="a change moves"),
        pytest.param(STUCK, PROGRESSING, "False", "ModelInvalid", id="a change is stuck"),
        pytest.param(healthy(), SCHEDULED, "True", "Scheduled", id="all pods have nodes"),
        pytest.param(
            starting(pods=[]), SCHEDULED, "Unknown", "Starting", id="pods are not there yet"
        ),
        pytest.param(
            starting(pods=[UNPLACED]), SCHEDULED, "False", "Unschedulable", id="a pod has no node"
        ),
        pytest.param(
            starting(pods=[], refused={A.name: REFUSED}),
            SCHEDULED,
            "False",
            "PodsRefused",
            id="pods are refused",
        ),
        pytest.param(healthy(), STABLE_HEALTHY, "True", "Serving", id="stable and healthy"),
        pytest.param(starting(), STABLE_HEALTHY, "Unknown", "NoStable", id="none was ready yet"),
        pytest.param(
            changing(stable=1), STABLE_HEALTHY, "False", "NotReady", id="the stable one is weak"
        ),
        pytest.param(STUCK, STABLE_HEALTHY, "True", "Serving", id="a bad change does not hurt"),
        pytest.param(
            starting(1, pods=[pod(A), pod(A, "x", trouble=trouble(Reason.OUT_OF_MEMORY))]),
            STABLE_HEALTHY,
            "False",
            "OutOfMemory",
            id="the stable one fails",
        ),
    ],
)
def test_what_each_condition_says(
    picture: Observed, type_: ConditionType, status: str, reason: str
) -> None:
    assert told(picture, type_) == (status, reason)


@pytest.mark.parametrize("reason", [r for r in Reason if r.name in ("PROBE_FAILED", "CRASHED")])
def test_a_pods_trouble_is_told_in_its_own_words(reason: Reason) -> None:
    picture = changing(pods=[pod(B, trouble=trouble(reason, "the pod's own words"))])
    ready = plan(picture).status.condition(READY)
    assert ready is not None
    assert ready.reason is reason
    assert "the pod's own words" in ready.message
    assert f"revision {A.name} (version v1) goes on serving" in ready.message


@pytest.mark.parametrize(
    ("picture", "phase"),
    [
        pytest.param(starting(), "Pending", id="nothing has served yet"),
        pytest.param(starting(pods=[pod(A, trouble=trouble())]), "Failed", id="nor will it"),
        pytest.param(changing(1), "Progressing", id="a change"),
        pytest.param(changing(1, stable=1), "Degraded", id="a change while the stable one is weak"),
        pytest.param(STUCK, "Degraded", id="a stuck change"),
        pytest.param(healthy(), "Ready", id="the goal"),
        pytest.param(DRIFTED, "Stopped", id="no pods"),
    ],
)
def test_the_phase_is_one_word(picture: Observed, phase: str) -> None:
    assert plan(picture).status.phase == phase


def test_the_counts_are_those_of_what_serves() -> None:
    status = plan(changing(1)).status
    assert (status.version, status.replicas, status.ready_replicas, status.desired_replicas) == (
        "v1",
        2,
        2,
        2,
    )
    assert status.selector == f"modelfleet.dev/deployment=digits,modelfleet.dev/revision={A.name}"
    assert status.url == "http://digits.team-a.svc.cluster.local"
    (variant_,) = status.variants
    assert (variant_.stable, variant_.candidate, variant_.ready_replicas) == (A.name, B.name, 3)
    assert [(r.name, r.number, r.replicas) for r in variant_.revisions] == [
        (A.name, 1, 2),
        (B.name, 2, 2),
    ]


def test_before_the_first_is_ready_the_counts_are_its_own_and_there_is_no_version() -> None:
    status = plan(starting()).status
    assert (status.version, status.replicas, status.ready_replicas) == (None, 2, 0)


@pytest.mark.parametrize("reason", Reason, ids=[reason.value for reason in Reason])
def test_every_reason_is_reached(reason: Reason) -> None:
    """By the operator's own rules, or as a pod's trouble that is handed on."""
    pictures = [starting(), starting(1), changing(1), changing(2), moved(a=1, b=2), healthy()]
    pictures += [DRIFTED, changing(stable=1), seen(InvalidSpec("x")), changing(status=WAITING)]
    pictures += [changing(status=WAITING, after=60 * MINUTE)]
    statuses = [plan(picture).status for picture in pictures]
    statuses += [conditions.with_refusal(pictures[0], statuses[0], "no")]
    own = {c.reason for status in statuses for c in status.conditions}
    handed_on = {*(Reason(r.value) for r in FailureReason), *OF_PODS}
    assert reason in own | handed_on | BEHIND_ROUTERS
    if reason in handed_on:
        assert told(changing(pods=[pod(B, trouble=trouble(reason))]), READY)[1] == reason.value


BEHIND_ROUTERS = {
    Reason.HOLDING,
    Reason.PAUSED,
    Reason.ROLLING_BACK,
    Reason.ROLLED_BACK,
    Reason.ROUTING_REFUSED,
}
"""Reached in rollout/test_said.py."""
OF_PODS = {
    Reason.UNSCHEDULABLE,
    Reason.INSUFFICIENT_ACCELERATORS,
    Reason.PODS_REFUSED,
    Reason.IMAGE_UNAVAILABLE,
    Reason.CONFIG_MISSING,
    Reason.PROBE_FAILED,
}

# Times.


def again(picture: Observed, **changes: Any) -> Observed:
    """The same picture after its status was written; `changes` go to a new `changing`."""
    return changing(status=plan(picture).status, **changes)


def test_a_transition_time_is_that_of_the_last_turn() -> None:
    first = changing(0)
    later = plan(again(first, after=5 * MINUTE, ready=2)).status
    ready = later.condition(READY)
    assert ready is not None
    assert ready.reason is Reason.SWITCHING  # the reason is another, the status is not
    assert ready.last_transition_time == "2026-03-01T12:00:00Z"
    turned = plan(again(first, after=5 * MINUTE, pods=[pod(B, trouble=trouble())])).status
    progressing = turned.condition(PROGRESSING)
    assert progressing is not None
    assert progressing.last_transition_time == "2026-03-01T12:05:00Z"


@pytest.mark.parametrize("picture", [starting(), changing(1), STUCK, healthy(), DRIFTED])
def test_nothing_ticks(picture: Observed) -> None:
    """The status says the same later, so it is not written again."""
    status = plan(picture).status
    resource = picture.resource
    for minutes in (1, 2):
        later = Observed(
            now=picture.now + minutes * MINUTE,
            resource=type(resource)(
                resource.name,
                resource.namespace,
                resource.uid,
                resource.generation,
                resource.spec,
                status,
            ),
            revisions=picture.revisions,
            workloads=picture.workloads,
            pods=picture.pods,
            address=picture.address,
        )
        assert plan(later).status == status


SINCE = "2026-03-01T11:50:00Z"  # ten minutes ago; the deadline is fifteen
WAITING = variant(A.name, B.name, SINCE)


def test_a_change_is_late_when_its_deadline_is_over_and_is_looked_at_again_then() -> None:
    early = plan(changing(0, status=WAITING))
    assert early.again == 5 * MINUTE
    assert early.status.variants[0].candidate_since == SINCE
    late = changing(0, status=WAITING, after=5 * MINUTE)
    assert told(late, PROGRESSING) == ("False", "DeadlineExceeded")
    assert told(late, READY) == ("False", "Starting")
    assert plan(late).again is None
    assert plan(late).status.phase == "Degraded"


def test_another_change_has_its_own_deadline() -> None:
    other = plan(changing(0, status=variant(A.name, "digits-other", SINCE)))
    assert other.again == 15 * MINUTE
    assert other.status.variants[0].candidate_since == "2026-03-01T12:00:00Z"


def test_a_change_that_is_done_has_no_deadline() -> None:
    done = plan(moved(a=1, b=2))
    assert done.again is None
    assert done.status.variants[0].candidate_since is None


def test_the_time_without_pods_does_not_count() -> None:
    """Made with replicas: 0, and started an hour later."""
    stopped = seen(spec("v1", replicas=0), revisions=[A], address=address(A))
    status = plan(stopped).status
    assert plan(stopped).again is None
    an_hour_later = starting(status=status, after=60 * MINUTE)
    assert told(an_hour_later, PROGRESSING) == ("True", "Starting")


@pytest.mark.parametrize("since", ["soon", "2026-03-01T11:50:00"])
def test_a_time_that_cannot_be_read_counts_from_now(since: str) -> None:
    assert plan(changing(0, status=variant(A.name, B.name, since))).again == 15 * MINUTE


# When nothing can be decided, or something was refused.


def test_a_spec_that_cannot_be_read_changes_nothing_of_what_is_so() -> None:
    before = plan(healthy()).status
    made = plan(seen(InvalidSpec("spec.x: no"), revisions=[A], status=before, generation=2))
    assert made.verdict is None
    assert made.again is None
    after = made.status
    assert (after.observed_generation, after.url, after.variants, after.replicas) == (
        2,
        before.url,
        before.variants,
        before.replicas,
    )
    for type_ in (READY, PROGRESSING):
        said = after.condition(type_)
        assert said is not None
        assert (said.status, said.reason, said.message) == (
            Truth.FALSE,
            Reason.SPEC_INVALID,
            "spec.x: no",
        )
    assert after.condition(AVAILABLE) == before.condition(AVAILABLE)
    assert [c.type for c in after.conditions] == list(ConditionType)


def test_a_refusal_is_said_in_the_api_servers_own_words() -> None:
    picture = healthy()
    status = conditions.with_refusal(picture, plan(picture).status, "exceeded quota")
    for type_ in (READY, PROGRESSING):
        assert status.condition(type_) == Condition(
            type=type_,
            status=Truth.FALSE,
            reason=Reason.REFUSED,
            message="exceeded quota",
            observed_generation=1,
            last_transition_time=NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        )
    assert status.condition(AVAILABLE) == plan(picture).status.condition(AVAILABLE)


def test_the_first_trouble_is_told_and_always_the_same_one() -> None:
    held_up = pod(B, "z", scheduled=False, trouble=trouble(Reason.UNSCHEDULABLE))
    failing = [pod(B, n, trouble=trouble(message=n)) for n in ("b", "a")]
    assert told(changing(pods=[*failing, held_up]), READY)[1] == "Unschedulable"
    ready = plan(changing(pods=failing)).status.condition(READY)
    assert ready is not None
    assert ": a;" in ready.message
