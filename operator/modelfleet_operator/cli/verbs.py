"""What a verb writes onto a resource, or why it has no sense at this moment.

Each verb bears the stamp that the status shows, so that it is meant for the revision, the attempt
and the step that its author saw (`plan/verbs.py`). Saying it twice is saying it once, and an abort
wins over the others.
"""

from dataclasses import dataclass, field
from datetime import datetime

from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus, VariantStatus
from modelfleet_operator.cli.exits import Refusal
from modelfleet_operator.cli.picture import called, is_stale, steps, variant
from modelfleet_operator.plan.rollout.facts import FULL
from modelfleet_operator.plan.verbs import EVERY_STEP, verbs
from modelfleet_operator.seen import Resource


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be written, and the sentence for people."""

    says: str
    annotations: dict[str, str | None] = field(default_factory=dict)
    """None takes one away. Empty: it has been said already."""


def promote(resource: Resource, *, every_step: bool = False) -> Saying:
    """Past the step that stands, or past all of them. Raises `Refusal`."""
    told, rollout = _under_way(resource, "promote")
    name, said = resource.name, verbs(resource, told.rollout)
    if rollout.failed or rollout.phase is Phase.ROLLING_BACK:
        raise Refusal(
            f"{called(told, rollout.candidate)} was rolled back ({_why(rollout)}): "
            f"`modelfleet retry {name}` tries it again, or change the spec"
        )
    if said.aborted:
        raise Refusal(
            f"{name} was told to abort, and an abort wins: `modelfleet retry {name}` "
            "begins again once the traffic is back"
        )
    if said.paused:
        raise Refusal(f"{name} is paused: say `modelfleet resume {name}` first")
    if rollout.phase is Phase.PAUSED:
        raise Refusal(
            f"the rollout of {name} {rollout.message}; no step can be promoted: "
            f"`modelfleet abort {name}` gives all traffic back, or change the spec"
        )
    if said.promoted == FULL or (not every_step and said.promoted == rollout.step):
        return Saying(f"{name} has been promoted past {_step(resource, rollout)} already")
    if rollout.step >= len(steps(resource)) and rollout.phase is not Phase.HOLDING:
        return Saying(
            f"{name} has no step left to be promoted: all of the traffic is on its way to "
            f"{called(told, rollout.candidate)}"
        )
    if every_step:
        text = f"{rollout.stamp} {EVERY_STEP}"
        says = f"{name} goes past every step to {called(told, rollout.candidate)}"
        return Saying(says, {labels.PROMOTE: text})
    return Saying(f"{name} goes past {_step(resource, rollout)}", {labels.PROMOTE: rollout.stamp})


def abort(resource: Resource) -> Saying:
    """All traffic back to the stable revision, whatever the step. Raises `Refusal`."""
    told, rollout = _under_way(resource, "abort")
    name = resource.name
    if rollout.phase is Phase.FAILED:
        return Saying(f"{name} is rolled back already ({_why(rollout)})")
    if verbs(resource, told.rollout).aborted or rollout.failed:
        return Saying(f"{name} is being rolled back already")
    return Saying(f"{name} goes back to {called(told, told.stable)}", {labels.ABORT: rollout.stamp})


def retry(resource: Resource) -> Saying:
    """The revision that failed, again from the first step. Raises `Refusal`."""
    told, rollout = _under_way(resource, "retry")
    name, said = resource.name, verbs(resource, told.rollout)
    if not rollout.failed and said.aborted:
        raise Refusal(f"{name} is being rolled back at this moment: say it again when it is")
    if not rollout.failed:
        waits = rollout.phase is Phase.PAUSED and not said.paused
        instead = f"`modelfleet abort {name}` first, and then retry" if waits else (
            f"`modelfleet status {name} --watch` shows how it goes on"
        )  # fmt: skip
        raise Refusal(
            f"{called(told, rollout.candidate)} has not been rolled back, so there is nothing to "
            f"retry: {instead}"
        )
    if said.retried and not said.aborted:
        return Saying(f"{name} is being tried again already")
    # The abort that ended the attempt would win over the retry.
    return Saying(
        f"{name} tries {called(told, rollout.candidate)} again",
        {labels.RETRY: rollout.stamp, labels.ABORT: None},
    )


def pause(resource: Resource) -> Saying:
    """Where it is, until it is resumed or another revision is asked for. Raises `Refusal`."""
    told, rollout = _under_way(resource, "pause")
    name = resource.name
    if rollout.failed or rollout.phase is Phase.ROLLING_BACK:
        raise Refusal(
            f"{called(told, rollout.candidate)} was rolled back ({_why(rollout)}), so there is "
            "nothing to pause"
        )
    if verbs(resource, told.rollout).paused:
        return Saying(f"{name} is paused already")
    return Saying(f"{name} stays where it is", {labels.PAUSE: rollout.stamp})


def resume(resource: Resource) -> Saying:
    """What was paused. Raises `Refusal`."""
    name, told = resource.name, variant(resource)
    rollout = told.rollout if told is not None else None
    if labels.PAUSE in resource.annotations:
        return Saying(f"{name} goes on", {labels.PAUSE: None})
    if rollout is not None and rollout.phase is Phase.PAUSED and not is_stale(resource):
        if rollout.message == "paused":
            return Saying(f"{name} goes on already")
        raise Refusal(
            f"nobody paused {name}: it {rollout.message}; `modelfleet abort {name}` gives all "
            "traffic back, or change the spec"
        )
    return Saying(f"{name} is not paused")


def restart(resource: Resource, now: datetime) -> Saying:
    """The same content as a new revision, which takes over as the spec says. Raises `Refusal`."""
    if resource.deleting:
        raise Refusal(f"{resource.name} is being deleted")
    if isinstance(resource.spec, Spec) and resource.spec.replicas == 0:
        raise Refusal(
            f"{resource.name} is stopped (replicas is 0), so there is nothing to restart: "
            f"`kubectl scale {labels.PLURAL}.{labels.GROUP} {resource.name} --replicas 1` starts it"
        )
    return Saying(
        f"{resource.name} starts anew, as a new revision", {labels.RESTART: written_time(now)}
    )


def _under_way(resource: Resource, verb: str) -> tuple[VariantStatus, RolloutStatus]:
    """The rollout that the verb is about. Raises `Refusal`."""
    name, told = resource.name, variant(resource)
    if resource.deleting:
        raise Refusal(f"{name} is being deleted")
    if is_stale(resource):
        observed = resource.status.observed_generation
        if observed is None:
            raise Refusal(
                f"the operator has not looked at {name} yet: say it again when it has, or find "
                f"out why it does not (`modelfleet status {name}`)"
            )
        raise Refusal(
            f"the status of {name} speaks of generation {observed}, and the spec is at "
            f"{resource.generation}: say it again when the operator has looked "
            f"(`modelfleet status {name}`)"
        )
    if told is None or told.rollout is None:
        raise Refusal(_nothing(resource, told, verb))
    return told, told.rollout


def _nothing(resource: Resource, told: VariantStatus | None, verb: str) -> str:
    name = resource.name
    begin = f"there is nothing to {verb}: no rollout of {name} is on its way"
    if told is None or told.stable is None:
        return f"{begin}, for no revision has served yet (`modelfleet status {name}` says why)"
    if told.candidate is not None and _direct(resource):
        return (
            f"there is nothing to {verb}: a plain Service moves from one revision to the next at "
            f"once; `modelfleet undo {name}` goes back to {called(told, told.stable)}, and "
            "routing.mode: Router with rollout.strategy: Progressive makes steps of it"
        )
    instead = {
        "retry": f"`modelfleet restart {name}` starts the same content as a new revision",
        "abort": f"`modelfleet undo {name}` goes back to the revision before",
    }.get(verb, "a change of spec.model begins one")
    return f"{begin}, and {called(told, told.stable)} serves; {instead}"


def _direct(resource: Resource) -> bool:
    spec = resource.spec
    return isinstance(spec, Spec) and spec.routing.mode is RoutingMode.DIRECT


def _step(resource: Resource, rollout: RolloutStatus) -> str:
    asked = steps(resource)
    if rollout.step >= len(asked):
        return "the time to bake (rollout.bake)"
    if not asked[rollout.step].weight:
        return "the preview"
    return f"step {rollout.step + 1} of {len(asked)} ({asked[rollout.step].weight} %)"


def _why(rollout: RolloutStatus) -> str:
    return rollout.failed or rollout.message
