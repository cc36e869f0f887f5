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

Where several variants roll out, an annotation may hold a stamp for each, with commas between them:
`STAMP, STAMP all`. Their order means nothing.
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


def stamps(text: str) -> tuple[tuple[Stamp, str], ...]:
    """Those of an annotation, each with the word after it. What is no stamp is left out."""
    found = []
    for part in text.split(","):
        first, _, more = part.strip().partition(" ")
        each = Stamp.parse(first)
        if each is not None:
            found.append((each, more.strip()))
    return tuple(found)


def is_meant(said: Stamp, now: RolloutStatus) -> bool:
    """For this very attempt, whatever the step."""
    present = stamp(now)
    return replace(said, step=present.step) == present


def verbs(resource: Resource, now: RolloutStatus | None) -> Verbs:
    """Of this very rollout; without one nothing has a meaning."""
    if now is None:
        return Verbs()

    def meant(verb: str) -> list[tuple[Stamp, str]]:
        said = stamps(resource.annotations.get(verb, ""))
        return [(each, more) for each, more in said if is_meant(each, now)]

    steps = [FULL if more == EVERY_STEP else each.step for each, more in meant(labels.PROMOTE)]
    return Verbs(
        paused=bool(meant(labels.PAUSE)),
        aborted=bool(meant(labels.ABORT)),
        retried=bool(meant(labels.RETRY)),
        promoted=max(steps, default=None),
    )
