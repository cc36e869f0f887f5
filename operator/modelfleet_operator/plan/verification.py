"""Do the requests follow the weights?

That every router says it serves a weight is one thing, where the requests go is another. From when
a step is served, the requests that were sent to each revision are counted on all routers, and
compared with what drawing each of them by the weights would give. Where callers stick to a revision
a share of callers is no share of requests, so there it is only told. What a Gateway sends cannot be
counted, and nothing is said of it.
"""

import math
from dataclasses import dataclass

from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.analysis import started_at
from modelfleet_operator.plan.rollout.picture import steps_of
from modelfleet_operator.seen import Observed, RouterPod
from modelfleet_operator.statistics.counters import Pod, Snapshot, Traffic, added
from modelfleet_operator.statistics.encoding import BrokenText

LEAST = 50
"""Requests before anything is said."""
BAND = 4.0
"""Standard deviations: a right split is found astray once in 16,000 looks."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the routers have counted since the step was served."""

    counted: str = ""
    """At its beginning, as text."""
    says: str = ""
    """For people; empty where there is nothing to say."""
    astray: str = ""
    """Why the step cannot pass; empty where the requests follow."""


NOTHING = Seen()


def decide(seen: Observed, spec: Spec, told: RolloutStatus | None, stable: str | None) -> Seen:
    """Of the step that is held."""
    if told is None or stable is None or told.phase is not Phase.HOLDING or told.failed:
        return NOTHING
    if not any(router.countable for router in seen.routing.routers):
        return NOTHING
    steps = steps_of(spec)
    share = steps[told.step].weight / 100 if told.step < len(steps) else 1.0
    if not share:
        return NOTHING
    now = _sent(seen, stable, told.candidate)
    before = _read(told.counted)
    if before is None:
        return Seen(counted=now.to_text())
    grown = added(before, now, (stable, told.candidate)).arms
    its = grown.get(told.candidate, Traffic()).requests
    all_ = its + grown.get(stable, Traffic()).requests
    if not all_:
        return Seen(told.counted)
    says = f"{its:,} of {all_:,} requests went to it"
    if spec.routing.sticky is not None or follows(its, all_, share):
        return Seen(told.counted, says)
    return Seen(told.counted, says, f"the requests do not follow the weights: {says}")


def follows(its: int, all_: int, share: float) -> bool:
    """Whether drawing `all_` requests with this share may give so many."""
    if all_ < LEAST:
        return True
    # Half a request for the step from counts to a curve, and one that was under way.
    return abs(its - all_ * share) <= BAND * math.sqrt(all_ * share * (1 - share)) + 1.5


def _sent(seen: Observed, *revisions: str) -> Snapshot:
    """Counted when they are sent: answers come later, and may be to requests of the step before."""

    def arms(router: RouterPod) -> dict[str, Traffic]:
        return {name: Traffic(_attempts(router, name)) for name in revisions}

    pods = {
        router.uid or router.name: Pod(started_at(router), arms(router))
        for router in seen.routing.routers
        if not router.silent
    }
    return Snapshot(seen.now.timestamp(), pods)


def _attempts(router: RouterPod, revision: str) -> int:
    found = router.counters.get(revision)
    return 0 if found is None else found.attempts


def _read(text: str) -> Snapshot | None:
    try:
        return Snapshot.from_text(text) if text else None
    except BrokenText:
        return None
