"""What people have told a rollout, as annotations.

    modelfleet.dev/pause: GENERATION              stay where it is, until this is taken away
    modelfleet.dev/promote: STAMP                 go past this step now
    modelfleet.dev/promote: STAMP all             go past every step
    modelfleet.dev/abort: STAMP                   give all traffic back; wins over the others
    modelfleet.dev/retry: STAMP                   try a revision again that failed

STAMP is what `status.variants[].rollout.stamp` says at that moment: GENERATION/ATTEMPT/STEP. So a
verb is meant for the spec, the attempt and the step that its author saw, and saying it twice is
saying it once. An abort holds for its whole attempt, whatever the step.
"""

from dataclasses import dataclass

from modelfleet_operator.api import labels
from modelfleet_operator.api.status import RolloutStatus, VariantStatus
from modelfleet_operator.plan.rollout.facts import FULL, Verbs
from modelfleet_operator.seen import Resource

EVERY_STEP = "all"


@dataclass(frozen=True, slots=True)
class Stamp:
    generation: int
    attempt: int
    step: int

    def __str__(self) -> str:
        return f"{self.generation}/{self.attempt}/{self.step}"

    @staticmethod
    def parse(text: str) -> "Stamp | None":
        """None: it is none."""
        numbers = text.strip().split("/")
        if len(numbers) != 3 or not all(n.isascii() and n.isdecimal() for n in numbers):
            return None
        return Stamp(*(int(n) for n in numbers))


def stamp(resource: Resource, told: RolloutStatus) -> Stamp:
    return Stamp(resource.generation, told.attempt, told.step)


def verbs(resource: Resource, told: VariantStatus | None) -> Verbs:
    said = resource.annotations
    now = told.rollout if told is not None else None
    paused = said.get(labels.PAUSE, "").strip() == str(resource.generation)
    if now is None:
        return Verbs(paused=paused)
    attempt = resource.generation, now.attempt

    def meant(verb: str) -> tuple[Stamp | None, str]:
        text, _, more = said.get(verb, "").strip().partition(" ")
        found = Stamp.parse(text)
        if found is None or (found.generation, found.attempt) != attempt:
            return None, ""
        return found, more.strip()

    promoted, how_far = meant(labels.PROMOTE)
    past = None if promoted is None else FULL if how_far == EVERY_STEP else promoted.step
    return Verbs(
        paused=paused,
        aborted=meant(labels.ABORT)[0] is not None,
        retried=meant(labels.RETRY)[0] is not None,
        promoted=past,
    )
