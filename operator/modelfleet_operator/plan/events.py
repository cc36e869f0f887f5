"""What of a new status is news? An event tells a change, once; a state that lasts is no event."""

from collections.abc import Iterator

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import Condition, ConditionType, Status, Truth
from modelfleet_operator.plan.types import Event
from modelfleet_operator.statistics.admission import TOO_LONG

ESTIMATE = "AnalysisEstimate"

_NORMAL = frozenset(
    {
        Reason.SERVING,
        Reason.ROLLED_OUT,
        Reason.STARTING,
        Reason.SWITCHING,
        Reason.HOLDING,
        Reason.DRAINING,
        Reason.SCALING,
        Reason.SCHEDULED,
        Reason.STOPPED,
    }
)
# These are told when they turn, and not for the first time: at first each of them is as expected.
_ONLY_TURNS = frozenset(
    {ConditionType.AVAILABLE, ConditionType.STABLE_HEALTHY, ConditionType.SCHEDULED}
)


def changes(before: Status, after: Status) -> tuple[Event, ...]:
    """The events in the order of the conditions. What two conditions say in the same words is one
    event."""
    told: dict[str, Event] = {}
    for condition in after.conditions:
        if _is_news(before.condition(condition.type), condition):
            event = Event(
                warning=condition.reason not in _NORMAL,
                reason=condition.reason.value,
                message=condition.message,
            )
            told.setdefault(event.message, event)
    for event in _estimates(before, after):
        told.setdefault(event.message, event)
    return tuple(told.values())


def _estimates(before: Status, after: Status) -> Iterator[Event]:
    """How long an analysis will take, when that is first known: before anybody has waited."""
    known = _estimated(before)
    for rollout, text in _estimated(after).items():
        if rollout not in known:
            yield Event(warning=TOO_LONG in text, reason=ESTIMATE, message=text)


def _estimated(status: Status) -> dict[tuple[str, str], str]:
    """By variant and candidate."""
    return {
        (variant.name, variant.rollout.candidate): variant.rollout.analysis.estimate
        for variant in status.variants
        if variant.rollout and variant.rollout.analysis and variant.rollout.analysis.estimate
    }


def _is_news(before: Condition | None, after: Condition) -> bool:
    if after.status is Truth.UNKNOWN:
        return False
    warning = after.reason not in _NORMAL
    if after.type in _ONLY_TURNS:
        if before is None or before.status is Truth.UNKNOWN:
            return warning and after.type is ConditionType.SCHEDULED
        return before.status is not after.status
    if before is None or (before.status, before.reason) != (after.status, after.reason):
        return True
    return warning and before.message != after.message
