"""What people have told a rollout, as annotations.

    modelfleet.dev/pause: STAMP                   stay where it is, until this is taken away
    modelfleet.dev/promote: STAMP                 go past this step now
    modelfleet.dev/promote: STAMP all             go past every step
    modelfleet.dev/abort: STAMP                   give all traffic back; wins over the others
    modelfleet.dev/retry: STAMP                   try a revision again that failed

STAMP is what `status.variants[].rollout.stamp` says at that moment: REVISION/ATTEMPT/STEP, with the
letters that end the candidate's name. So a verb is meant for the revision, the attempt and the step
that its author saw, saying it twice is saying it once, and scaling meanwhile changes nothing. A
pause, an abort and a retry hold for their whole attempt, whatever the step.
"""

from dataclasses import dataclass, replace

from modelfleet_operator.api import labels
from modelfleet_operator.api.status import RolloutStatus
from modelfleet_operator.plan.rollout.facts import FULL, Verbs
from modelfleet_operator.seen import Resource

EVERY_STEP = "all"


@dataclass(frozen=True, slots=True)
class Stamp:
    revision: str
    attempt: int
    step: int

    def __str__(self) -> str:
        return f"{self.revision}/{self.attempt}/{self.step}"

    @staticmethod
    def parse(text: str) -> "Stamp | None":
        """None: it is none."""
        revision, *numbers = text.strip().split("/")
        if len(numbers) != 2 or not all(n.isascii() and n.isdecimal() for n in numbers):
            return None
        return Stamp(revision, int(numbers[0]), int(numbers[1]))


def stamp(told: RolloutStatus) -> Stamp:
    return Stamp(told.candidate.rpartition("-")[2], told.attempt, told.step)


def verbs(resource: Resource, now: RolloutStatus | None) -> Verbs:
    """Of this very rollout; without one nothing has a meaning."""
    said = resource.annotations
    if now is None:
        return Verbs()
    present = stamp(now)

    def meant(verb: str) -> tuple[Stamp | None, str]:
        text, _, more = said.get(verb, "").strip().partition(" ")
        found = Stamp.parse(text)
        if found is None or replace(found, step=present.step) != present:
            return None, ""
        return found, more.strip()

    promoted, how_far = meant(labels.PROMOTE)
    past = None if promoted is None else FULL if how_far == EVERY_STEP else promoted.step
    return Verbs(
        paused=meant(labels.PAUSE)[0] is not None,
        aborted=meant(labels.ABORT)[0] is not None,
        retried=meant(labels.RETRY)[0] is not None,
        promoted=past,
    )
