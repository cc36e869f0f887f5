"""May the rollout go on, must it go back, or is it too early to say?

    verdict    when, the first that holds                               action
    STALE      the arms cannot be compared (`suspect`)                  pause
               the routers cannot be read, or nobody asks               as onNoData says
    FAIL       a check has shown harm; needs no least number            roll back
    WARMUP     within warm-up, or while weights move                    hold
    WAIT       the routers could not be read at this look               hold
    PASS       enough requests, and every check has shown harmlessness  next stage
    TIMEOUT    the stage has had its time                               as onTimeout says
    WAIT       too few requests, too young, no baseline yet             hold
    UNDECIDED  otherwise                                                hold

A stage that does not get its least number of requests times out as well: somebody has to hear of
it.
"""

import math
from dataclasses import dataclass
from enum import Enum

from modelfleet_operator.statistics.findings import Finding, Shown, findings
from modelfleet_operator.statistics.memory import BASELINE, Look, Memory
from modelfleet_operator.statistics.policy import OnNoData, OnTimeout

MISSED = 3
"""Looks in a row at which the routers may be unreadable."""
SILENCE = 300.0
"""Seconds without a request of the candidate, and ten times its usual gap, that are no data."""
GAPS = 10


class Verdict(Enum):
    """Why the gate decides as it does."""

    STALE = "Stale"
    WARMUP = "WarmUp"
    FAIL = "Fail"
    WAIT = "Wait"
    PASS = "Pass"
    TIMEOUT = "Timeout"
    UNDECIDED = "Undecided"


class Action(Enum):
    """What follows from it."""

    HOLD = "Hold"
    """Stay, and look again."""
    NEXT = "Next"
    """The stage has passed."""
    PAUSE = "Pause"
    """Stay until somebody decides."""
    ROLL_BACK = "RollBack"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one look at a stage comes to."""

    verdict: Verdict
    action: Action
    says: str
    """One sentence: the reason, with its numbers."""
    findings: tuple[Finding, ...]
    requests: int
    """The candidate's that were judged."""

    @property
    def more(self) -> int | None:
        """The candidate's requests until every check would pass; None where one never would."""
        wanted = [f.more for f in self.findings if f.harmless is not None]
        return None if None in wanted else max((m for m in wanted if m is not None), default=0)


def judge(memory: Memory, look: Look) -> tuple[Memory, Judgement]:
    """What is remembered after one more look, and what to do."""
    warming = memory.warming(look)
    after = memory.add(look)
    found = findings(after)
    verdict, action, says = _decide(after, look, found, warming)
    return after, Judgement(verdict, action, says, found, after.requests)


_Decision = tuple[Verdict, Action, str]


def _decide(memory: Memory, look: Look, found: tuple[Finding, ...], warming: bool) -> _Decision:
    policy = memory.policy
    if look.suspect:
        return Verdict.STALE, Action.PAUSE, look.suspect
    if nothing := _no_data(memory, look):
        return Verdict.STALE, _without_data(memory, look, found), nothing
    for finding in found:
        if finding.shown is Shown.HARMFUL:
            return Verdict.FAIL, Action.ROLL_BACK, f"{finding.check}: {finding.says}"
    if warming:
        return Verdict.WARMUP, Action.HOLD, _warmup(memory, look)
    if look.missed:
        return (
            Verdict.WAIT,
            Action.HOLD,
            f"the routers could not be read, {look.missed} of {MISSED}",
        )
    waits = _waits_for(memory, look)
    judged = [f for f in found if f.harmless is not None]
    if not waits and all(f.shown is Shown.HARMLESS for f in judged):
        return Verdict.PASS, Action.NEXT, f"good enough after {memory.requests:,} requests"
    why = waits or _farthest(judged)
    if look.age >= policy.max_wait:
        return _timeout(memory, found, why)
    return (Verdict.WAIT if waits else Verdict.UNDECIDED), Action.HOLD, why


def _no_data(memory: Memory, look: Look) -> str:
    if look.missed > MISSED:
        return f"the routers could not be read at the last {look.missed} looks"
    requests = memory.failing.candidate.requests
    gap = look.age / requests if requests else 0.0
    if memory.silent >= max(SILENCE, GAPS * gap):
        return f"the candidate has had no request for {memory.silent / 60:.0f} minutes"
    return ""


def _without_data(memory: Memory, look: Look, found: tuple[Finding, ...]) -> Action:
    match memory.policy.on_no_data:
        case OnNoData.HOLD:
            return Action.HOLD
        case OnNoData.FAIL:
            return Action.ROLL_BACK
        case OnNoData.PROCEED:
            harmful = any(f.shown is Shown.HARMFUL for f in found)
            young = look.age < memory.policy.min_duration
            return Action.HOLD if harmful or young else Action.NEXT


def _warmup(memory: Memory, look: Look) -> str:
    if not look.steady:
        return "the weights are moving, which is not judged"
    policy = memory.policy
    return (
        f"warm-up: the first {policy.warmup_seconds:g} s and the first {policy.warmup_requests} "
        f"requests ({memory.warmed} so far) are not judged"
    )


def _waits_for(memory: Memory, look: Look) -> str:
    """What the stage needs before it may pass, whatever its checks show; empty for nothing."""
    policy = memory.policy
    if memory.requests < policy.min_requests:
        return f"{memory.requests:,} of {policy.min_requests:,} requests"
    if look.age < policy.min_duration:
        return f"a stage lasts at least {policy.min_duration:g} s"
    if memory.latency is not None and memory.tail_ms is None:
        known = memory.stable_latency.total if memory.stable_latency else 0
        return (
            f"{known:,} of the {BASELINE:,} requests of the stable revision by which latencies "
            "are compared"
        )
    return ""


def _farthest(judged: list[Finding]) -> str:
    """What is still open and needs the most."""
    still = [f for f in judged if f.shown is not Shown.HARMLESS]
    last = max(still, key=lambda f: math.inf if f.more is None else f.more)
    return f"{last.check}: {last.says}"


def _timeout(memory: Memory, found: tuple[Finding, ...], why: str) -> _Decision:
    policy = memory.policy
    clean = memory.requests >= policy.min_requests and all(f.clean for f in found)
    match policy.on_timeout:
        case OnTimeout.ROLLBACK:
            action = Action.ROLL_BACK
        case OnTimeout.PROCEED_IF_CLEAN if clean:
            action = Action.NEXT
            why += "; nothing speaks against it, which is no proof"
        case _:
            action = Action.PAUSE
    return Verdict.TIMEOUT, action, f"not decided within {policy.max_wait:g} s. {why}"
