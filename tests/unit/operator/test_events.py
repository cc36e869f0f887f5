"""What of a new status is news?"""

import pytest

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import Condition, ConditionType, Status, Truth
from modelfleet_operator.plan.events import changes
from modelfleet_operator.plan.types import Event

READY, AVAILABLE, PROGRESSING, SCHEDULED, STABLE_HEALTHY = ConditionType
YES, NO, UNKNOWN = Truth


def told(*each: tuple[ConditionType, Truth, Reason, str]) -> Status:
    return Status(
        conditions=tuple(
            Condition(type=t, status=s, reason=r, message=m, last_transition_time="x")
            for t, s, r, m in each
        )
    )


def one(type_: ConditionType, status: Truth, reason: Reason, message: str = "it") -> Status:
    return told((type_, status, reason, message))


NOTHING = Status()
STARTING = one(READY, NO, Reason.STARTING)
SERVING = one(READY, YES, Reason.SERVING)
FAILING = one(READY, NO, Reason.CRASHED, "exit 1")


def normal(reason: str, message: str = "it") -> Event:
    return Event(False, reason, message)


def warning(reason: str, message: str = "it") -> Event:
    return Event(True, reason, message)


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        pytest.param(NOTHING, STARTING, normal("Starting"), id="the first word"),
        pytest.param(STARTING, STARTING, None, id="the same again"),
        pytest.param(STARTING, SERVING, normal("Serving"), id="a turn"),
        pytest.param(STARTING, FAILING, warning("Crashed", "exit 1"), id="another reason"),
        pytest.param(
            STARTING, one(READY, NO, Reason.STARTING, "1 of 2"), None, id="a count is no news"
        ),
        pytest.param(
            FAILING,
            one(READY, NO, Reason.CRASHED, "exit 2"),
            warning("Crashed", "exit 2"),
            id="a trouble that reads otherwise",
        ),
        pytest.param(
            SERVING, one(READY, UNKNOWN, Reason.NOT_READY), None, id="nobody knows is no news"
        ),
        pytest.param(
            NOTHING, one(AVAILABLE, NO, Reason.NO_ENDPOINTS), None, id="not yet available"
        ),
        pytest.param(
            NOTHING, one(AVAILABLE, YES, Reason.SERVING), None, id="available at first sight"
        ),
        pytest.param(
            one(AVAILABLE, YES, Reason.SERVING),
            one(AVAILABLE, NO, Reason.NO_ENDPOINTS),
            warning("NoEndpoints"),
            id="not available any more",
        ),
        pytest.param(
            one(STABLE_HEALTHY, UNKNOWN, Reason.NO_STABLE),
            one(STABLE_HEALTHY, YES, Reason.SERVING),
            None,
            id="known for the first time",
        ),
        pytest.param(
            one(STABLE_HEALTHY, NO, Reason.NOT_READY),
            one(STABLE_HEALTHY, YES, Reason.SERVING),
            normal("Serving"),
            id="healthy again",
        ),
        pytest.param(
            NOTHING,
            one(SCHEDULED, NO, Reason.UNSCHEDULABLE),
            warning("Unschedulable"),
            id="unschedulable from the beginning",
        ),
        pytest.param(
            one(SCHEDULED, UNKNOWN, Reason.STARTING),
            one(SCHEDULED, YES, Reason.SCHEDULED),
            None,
            id="placed, as expected",
        ),
        pytest.param(
            one(SCHEDULED, NO, Reason.UNSCHEDULABLE),
            one(SCHEDULED, YES, Reason.SCHEDULED),
            normal("Scheduled"),
            id="placed at last",
        ),
    ],
)
def test_what_is_news(before: Status, after: Status, news: Event | None) -> None:
    assert changes(before, after) == (() if news is None else (news,))


def test_what_two_conditions_say_in_the_same_words_is_told_once_and_in_their_order() -> None:
    after = told(
        (READY, NO, Reason.REFUSED, "exceeded quota"),
        (PROGRESSING, NO, Reason.REFUSED, "exceeded quota"),
        (SCHEDULED, NO, Reason.PODS_REFUSED, "no pods"),
    )
    assert changes(NOTHING, after) == (
        warning("Refused", "exceeded quota"),
        warning("PodsRefused", "no pods"),
    )
