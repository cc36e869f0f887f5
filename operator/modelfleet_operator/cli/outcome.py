"""Has the rollout ended, and how?"""

from dataclasses import dataclass

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import ConditionType, Phase, Truth
from modelfleet_operator.cli.picture import called, is_stale, steps, variant
from modelfleet_operator.plan.verbs import verbs
from modelfleet_operator.seen import Resource

# Where no router reports a rollout, a standstill is told from a trouble that may pass by these.
_FOR_GOOD = frozenset({Reason.DEADLINE_EXCEEDED, Reason.SPEC_INVALID})


@dataclass(frozen=True, slots=True)
class Outcome:
    well: bool
    says: str


def outcome(resource: Resource) -> Outcome | None:
    """None while it goes on, or stands and waits for somebody."""
    told, status = variant(resource), resource.status
    if is_stale(resource) or resource.deleting:
        return None
    rollout = told.rollout if told is not None else None
    if told is not None and rollout is not None:
        said = verbs(resource, told.rollout)
        if rollout.phase is not Phase.FAILED or (said.retried and not said.aborted):
            return None
        candidate = called(told, rollout.candidate)
        return Outcome(False, f"{candidate} was rolled back: {rollout.failed or rollout.message}")
    ready = status.condition(ConditionType.READY)
    if ready is not None and ready.status is Truth.TRUE:
        return Outcome(True, ready.message or f"{resource.name} is ready")
    if status.phase == "Stopped":
        return Outcome(True, f"{resource.name} is stopped: replicas is 0")
    progressing = status.condition(ConditionType.PROGRESSING)
    if progressing is not None and progressing.reason in _FOR_GOOD:
        return Outcome(False, progressing.message)
    return None


def summary(resource: Resource) -> str:
    """Where it stands, in one line."""
    told, status = variant(resource), resource.status
    if is_stale(resource):
        return "the operator has not looked at this spec yet"
    rollout = told.rollout if told is not None else None
    if rollout is not None and told is not None:
        count = len(steps(resource))
        at = f"step {rollout.step + 1} of {count}, " if rollout.step < count else ""
        return f"{at}{told.weight} %, {rollout.phase}: {rollout.message}"
    ready = status.condition(ConditionType.READY)
    if ready is None:
        return status.phase or "nothing is known yet"
    return f"{status.phase}: {ready.message}"
