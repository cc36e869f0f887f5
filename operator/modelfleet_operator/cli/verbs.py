"""What a verb writes onto a resource, or why it has no sense at this moment.

Each verb bears the stamp that the status shows, so that it is meant for the revision, the attempt
and the step that its author saw (`plan/verbs.py`). Saying it twice is saying it once, and an abort
wins over the others. What was said to another variant's rollout stays.
"""

from dataclasses import dataclass, field
from datetime import datetime

from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus, VariantStatus
from modelfleet_operator.cli.exits import Refusal
from modelfleet_operator.cli.meant import goes_on, has_failed, has_traffic, paused, under_way
from modelfleet_operator.cli.picture import called, is_stale, steps
from modelfleet_operator.cli.variants import command, several, who
from modelfleet_operator.plan.rollout.facts import FULL
from modelfleet_operator.plan.variants import asked
from modelfleet_operator.plan.verbs import EVERY_STEP, is_meant, stamps, verbs
from modelfleet_operator.seen import Resource


@dataclass(frozen=True, slots=True)
class Saying:
    """What is to be written, and the sentence for people."""

    says: str
    annotations: dict[str, str | None] = field(default_factory=dict)
    """None takes one away. Empty: it has been said already."""
    variant: str | None = None
    """Whose rollout it is about, where there are several variants; None: it is about all there
    is."""


def promote(resource: Resource, only: str | None = None, *, every_step: bool = False) -> Saying:
    """Past the step that stands, or past all of them. Raises `Refusal` and `Missing`.

    `only` names the variant, here and below. None: the only one whose rollout may be meant.
    """
    told, rollout = under_way(resource, "promote", only, goes_on)
    it, said = who(resource, told), verbs(resource, told.rollout)
    if rollout.failed or rollout.phase is Phase.ROLLING_BACK:
        raise Refusal(
            f"{called(told, rollout.candidate)} was rolled back ({_why(rollout)}): "
            f"{command('retry', resource, told)} tries it again, or change the spec"
        )
    if said.aborted:
        raise Refusal(
            f"{it} was told to abort, and an abort wins: "
            f"{command('retry', resource, told)} begins again once the traffic is back"
        )
    if said.paused:
        raise Refusal(f"{it} is paused: say {command('resume', resource, told)} first")
    if rollout.phase is Phase.PAUSED:
        raise Refusal(
            f"the rollout of {it} {rollout.message}; no step can be promoted: "
            f"{command('abort', resource, told)} gives all traffic back, or change the spec"
        )
    if said.promoted == FULL or (not every_step and said.promoted == rollout.step):
        return _saying(
            resource, told, f"{it} has been promoted past {_step(resource, rollout)} already"
        )
    if rollout.step >= len(steps(resource)) and rollout.phase is not Phase.HOLDING:
        return _saying(
            resource,
            told,
            f"{it} has no step left to be promoted: all of the traffic is on its way to "
            f"{called(told, rollout.candidate)}",
        )
    past, how_far = f"{it} goes past {_step(resource, rollout)}", rollout.stamp
    if every_step:
        past = f"{it} goes past every step to {called(told, rollout.candidate)}"
        how_far = f"{rollout.stamp} {EVERY_STEP}"
    return _saying(resource, told, past, {labels.PROMOTE: how_far})


def abort(resource: Resource, only: str | None = None) -> Saying:
    """All traffic back to the stable revision, whatever the step. Raises `Refusal`."""
    told, rollout = under_way(resource, "abort", only, has_traffic)
    it = who(resource, told)
    if rollout.phase is Phase.FAILED:
        return _saying(resource, told, f"{it} is rolled back already ({_why(rollout)})")
    if verbs(resource, told.rollout).aborted or rollout.failed:
        return _saying(resource, told, f"{it} is being rolled back already")
    says = f"{it} goes back to {called(told, told.stable)}"
    return _saying(resource, told, says, {labels.ABORT: rollout.stamp})


def retry(resource: Resource, only: str | None = None) -> Saying:
    """The revision that failed, again from the first step. Raises `Refusal`."""
    told, rollout = under_way(resource, "retry", only, has_failed)
    it, said = who(resource, told), verbs(resource, told.rollout)
    if not rollout.failed and said.aborted:
        raise Refusal(f"{it} is being rolled back at this moment: say it again when it is")
    if not rollout.failed:
        waits = rollout.phase is Phase.PAUSED and not said.paused
        instead = f"{command('abort', resource, told)} first, and then retry" if waits else (
            f"`modelfleet status {resource.name} --watch` shows how it goes on"
        )  # fmt: skip
        raise Refusal(
            f"{called(told, rollout.candidate)} has not been rolled back, so there is nothing to "
            f"retry: {instead}"
        )
    if said.retried and not said.aborted:
        return _saying(resource, told, f"{it} is being tried again already")
    # The abort that ended the attempt would win over the retry.
    says = f"{it} tries {called(told, rollout.candidate)} again"
    return _saying(resource, told, says, {labels.RETRY: rollout.stamp, labels.ABORT: None})


def pause(resource: Resource, only: str | None = None) -> Saying:
    """Where it is, until it is resumed or another revision is asked for. Raises `Refusal`."""
    told, rollout = under_way(resource, "pause", only, goes_on)
    it = who(resource, told)
    if rollout.failed or rollout.phase is Phase.ROLLING_BACK:
        raise Refusal(
            f"{called(told, rollout.candidate)} was rolled back ({_why(rollout)}), so there is "
            "nothing to pause"
        )
    if verbs(resource, told.rollout).paused:
        return _saying(resource, told, f"{it} is paused already")
    return _saying(resource, told, f"{it} stays where it is", {labels.PAUSE: rollout.stamp})


def resume(resource: Resource, only: str | None = None) -> Saying:
    """What was paused. Raises `Refusal`."""
    told = paused(resource, only)
    it = who(resource, told)
    rollout = told.rollout if told is not None else None
    # One that is meant for no rollout any more is taken away as well.
    forgotten = labels.PAUSE in resource.annotations and not _said_to_others(resource, told)
    if forgotten or verbs(resource, rollout).paused:
        return _saying(resource, told, f"{it} goes on", {labels.PAUSE: None})
    if told is not None and rollout is not None and rollout.phase is Phase.PAUSED:
        if not is_stale(resource) and rollout.message != "paused":
            raise Refusal(
                f"nobody paused {it}: it {rollout.message}; "
                f"{command('abort', resource, told)} gives all traffic back, or change the "
                "spec"
            )
        if not is_stale(resource):
            return _saying(resource, told, f"{it} goes on already")
    return _saying(resource, told, f"{it} is not paused")


def restart(resource: Resource, now: datetime) -> Saying:
    """The same content as new revisions, one of each variant, which take over as the spec says.
    Raises `Refusal`."""
    name = resource.name
    if resource.deleting:
        raise Refusal(f"{name} is being deleted")
    if isinstance(resource.spec, Spec) and all(v.spec.replicas == 0 for v in asked(resource.spec)):
        start = f"`kubectl scale {labels.PLURAL}.{labels.GROUP} {name} --replicas 1` starts it"
        if resource.spec.variants:
            start = "write more replicas to start it"
        raise Refusal(f"{name} is stopped (replicas is 0), so there is nothing to restart: {start}")
    many = resource.spec.variants[1:] if isinstance(resource.spec, Spec) else ()
    anew = f"every variant of {name} starts anew" if many else f"{name} starts anew"
    return Saying(f"{anew}, as a new revision", {labels.RESTART: written_time(now)})


# -- what is written


def _saying(
    resource: Resource,
    told: VariantStatus | None,
    says: str,
    own: dict[str, str | None] | None = None,
) -> Saying:
    """`own` is what the annotations are to say to this variant's rollout; None: nothing."""
    written = {verb: _beside(resource, told, verb, text) for verb, text in (own or {}).items()}
    about = told.name if told is not None and several(resource) else None
    return Saying(says, written, about)


def _beside(
    resource: Resource, told: VariantStatus | None, verb: str, text: str | None
) -> str | None:
    """The annotation with `text`, and with what it says to the other variants' rollouts. What it
    says to nobody any more is left out."""
    others = [
        f"{each} {more}".strip()
        for each, more in stamps(resource.annotations.get(verb, ""))
        if any(is_meant(each, rollout) for rollout in _rollouts(resource, told))
    ]
    return ", ".join([*others, *([text] if text else [])]) or None


def _said_to_others(resource: Resource, told: VariantStatus | None) -> bool:
    """A pause is meant for another variant's rollout."""
    return _beside(resource, told, labels.PAUSE, None) is not None


def _rollouts(resource: Resource, told: VariantStatus | None) -> list[RolloutStatus]:
    others = [each for each in resource.status.variants if told is None or each.name != told.name]
    return [each.rollout for each in others if each.rollout is not None]


# -- words


def _step(resource: Resource, rollout: RolloutStatus) -> str:
    shares = steps(resource)
    if rollout.step >= len(shares):
        return "the time to bake (rollout.bake)"
    if not shares[rollout.step].weight:
        return "the preview"
    return f"step {rollout.step + 1} of {len(shares)} ({shares[rollout.step].weight} %)"


def _why(rollout: RolloutStatus) -> str:
    return rollout.failed or rollout.message
