"""Has the rollout ended, and how?"""

from collections.abc import Callable
from dataclasses import dataclass

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import (
    ConditionType,
    Phase,
    RolloutStatus,
    Truth,
    VariantStatus,
)
from modelfleet_operator.cli.picture import called, is_stale, steps
from modelfleet_operator.cli.variants import several
from modelfleet_operator.plan.verbs import verbs
from modelfleet_operator.seen import Resource

# Where no router reports a rollout, a standstill is told from a trouble that may pass by these.
_FOR_GOOD = frozenset({Reason.DEADLINE_EXCEEDED, Reason.SPEC_INVALID})


@dataclass(frozen=True, slots=True)
class Outcome:
    well: bool
    says: str


Ended = Callable[[Resource], Outcome | None]


def outcome(resource: Resource, only: str | None = None) -> Outcome | None:
    """None while it goes on, or stands and waits for somebody.

    Of several variants each has to have ended, and it failed if one did. `only` names the variant
    whose rollout is asked for, where there are several.
    """
    if is_stale(resource) or resource.deleting:
        return None
    if only is not None and several(resource):
        return _of_variant(resource, only)
    variants = resource.status.variants
    ends = [_of_rollout(resource, told, told.rollout) for told in variants if told.rollout]
    if None in ends:
        return None
    if ends:
        return Outcome(False, "; ".join(end.says for end in ends if end is not None))
    return _of_conditions(resource)


def _of_variant(resource: Resource, name: str) -> Outcome | None:
    told = next((each for each in resource.status.variants if each.name == name), None)
    if told is None:
        return Outcome(False, f"{resource.name} has no variant {name} any more")
    if told.rollout is not None:
        return _of_rollout(resource, told, told.rollout)
    if told.candidate is None and told.stable is not None:
        return Outcome(True, f"variant {name}: {called(told, told.stable)} serves")
    return _of_conditions(resource)  # while its first revision starts, nothing else tells


def _of_rollout(resource: Resource, told: VariantStatus, rollout: RolloutStatus) -> Outcome | None:
    said = verbs(resource, rollout)
    if rollout.phase is not Phase.FAILED or (said.retried and not said.aborted):
        return None
    whose = f"variant {told.name}: " if several(resource) else ""
    why = rollout.failed or rollout.message
    return Outcome(False, f"{whose}{called(told, rollout.candidate)} was rolled back: {why}")


def _of_conditions(resource: Resource) -> Outcome | None:
    """Where no rollout is told."""
    status = resource.status
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
    status = resource.status
    if is_stale(resource):
        return "the operator has not looked at this spec yet"
    rollouts = [_summary(resource, told, told.rollout) for told in status.variants if told.rollout]
    if rollouts:
        return "; ".join(rollouts)
    ready = status.condition(ConditionType.READY)
    if ready is None:
        return status.phase or "nothing is known yet"
    return f"{status.phase}: {ready.message}"


def _summary(resource: Resource, told: VariantStatus, rollout: RolloutStatus) -> str:
    whose = f"variant {told.name}: " if several(resource) else ""
    count = len(steps(resource))
    at = f"step {rollout.step + 1} of {count}, " if rollout.step < count else ""
    return f"{whose}{at}{told.weight} %, {rollout.phase}: {rollout.message}"
