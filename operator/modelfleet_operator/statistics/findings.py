"""What one check of a gate has found so far: the numbers that people need, and one sentence."""

import math
from dataclasses import dataclass
from enum import Enum

from modelfleet_operator.statistics.checks import FAILING, Failing, Limit, Relative
from modelfleet_operator.statistics.memory import Memory
from modelfleet_operator.statistics.mixture import Side, rate_bound
from modelfleet_operator.statistics.outcomes import Tally
from modelfleet_operator.statistics.policy import Margins

ALPHA = 0.05
"""Of the intervals that are shown. Nothing is decided on them."""


class Shown(Enum):
    HARMFUL = "Harmful"
    """Roll back."""
    HARMLESS = "Harmless"
    """Enough so for the next stage."""
    OPEN = "Open"


@dataclass(frozen=True, slots=True)
class Rate:
    """One arm's failures, and between which shares their true rate lies (at any time right with
    95 %)."""

    requests: int
    failures: int
    rate: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The candidate's rate less the stable arm's, over the same periods."""

    point: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Finding:
    """One check."""

    check: str
    """Its name: `failing`, `errors`, `errors against stable`, `p99`, `p99 against stable`."""
    shown: Shown
    candidate: Rate
    stable: Rate | None
    """None where the check needs none."""
    limit: float | None
    """The share of failures that is the limit; None where the stable arm is the measure."""
    difference: Difference | None
    harm: float
    """Evidence (log E) that the candidate is harmful."""
    harm_needed: float
    """With so much it is rolled back."""
    harmless: float | None
    """Evidence that it is harmless enough; None for a check that nothing has to pass."""
    harmless_needed: float
    slack: float
    """By how much the candidate may still be worse in this stage, as a share of its requests."""
    more: int | None
    """The candidate's requests that are still needed, if they end as those before; 0 where none
    are, None where no number would do, or where nothing has come yet."""
    clean: bool
    """Nothing speaks against it: what `ProceedIfClean` asks."""
    says: str


SUSPICION = math.log(5)


def findings(memory: Memory) -> tuple[Finding, ...]:
    """Every check of the stage, those of errors first."""
    policy, stage = memory.policy, memory.stage
    found = [_failing(memory, memory.failing)]
    if memory.errors_limit is not None:
        slack = stage.slack(policy.errors)
        found.append(_limit(memory, memory.errors_limit, "errors", "failed", slack))
    if memory.errors is not None:
        found.append(_relative(memory, memory.errors, "errors", "failed", policy.errors))
    for asked, limit in zip(policy.max_latency, memory.latency_limits, strict=True):
        what = f"took longer than {asked.ms:g} ms"
        found.append(_limit(memory, limit, asked.name, what, stage.slack(policy.latency)))
    if memory.latency is not None:
        name = f"p{100 * policy.tail:g}"
        what = "were slow" if memory.tail_ms is None else f"took longer than {memory.tail_ms:g} ms"
        found.append(_relative(memory, memory.latency, name, what, policy.latency))
    return tuple(found)


def harm_needed(memory: Memory) -> float:
    """The threshold of log E: the rollout's alpha is shared by all checks of all its stages."""
    return math.log(memory.stage.of * memory.policy.checks / memory.policy.alpha_rollback)


def _failing(memory: Memory, check: Failing) -> Finding:
    needed = harm_needed(memory)
    harmful = check.harm >= needed
    seen = _of(check.candidate, "failed")
    if check.stable_fails_too:
        says = f"{seen}, {_of_stable(check.stable)}: both are failing"
    elif harmful:
        says = f"{seen}: it is failing"
    else:
        says = f"{seen}: no sign that it is failing altogether"
    return Finding(
        "failing",
        Shown.HARMFUL if harmful else Shown.OPEN,
        _rate(memory, check.candidate),
        _rate(memory, check.stable),
        FAILING,
        None,
        check.harm,
        needed,
        None,
        0.0,
        0.0,
        0,
        check.harm < SUSPICION,
        says,
    )


def _limit(memory: Memory, check: Limit, name: str, what: str, slack: float) -> Finding:
    policy = memory.policy
    needed, enough = harm_needed(memory), -math.log(policy.alpha_proceed)
    harmless = check.harmless(slack, policy.design_effect)
    more = check.more(slack, enough, policy.design_effect)
    allowed = check.limit + slack
    shown = _shown(check.harm, needed, harmless, enough)
    rate = check.doubt.rate
    bound = f"{percent(check.limit)} are allowed"
    if slack:
        bound += f", {percent(allowed)} in this stage"
    return Finding(
        name,
        shown,
        _rate(memory, check.doubt),
        None,
        check.limit,
        None,
        check.harm,
        needed,
        harmless,
        enough,
        slack,
        more,
        check.harm < SUSPICION and rate is not None and rate <= allowed,
        f"{_of(check.doubt, what)}; {bound}: {_so(shown, more, check.doubt)}",
    )


def _relative(memory: Memory, check: Relative, name: str, what: str, margins: Margins) -> Finding:
    policy, margin = memory.policy, memory.stage.margin(margins)
    needed, enough = harm_needed(memory), -math.log(policy.alpha_proceed)
    harmless = check.harmless(margin, policy.design_effect)
    more = check.more(margin, enough, policy.design_effect)
    shown = _shown(check.harm, needed, harmless, enough)
    point = check.difference
    difference = None
    if point is not None:
        difference = Difference(point, *check.interval(ALPHA, policy.design_effect))
    return Finding(
        f"{name} against stable",
        shown,
        _rate(memory, check.candidate),
        _rate(memory, check.stable),
        None,
        difference,
        check.harm,
        needed,
        harmless,
        enough,
        margin,
        more,
        check.harm < SUSPICION and point is not None and point <= max(margin, margins.floor),
        f"{_of(check.candidate, what)}, {_of_stable(check.stable)}: "
        f"{_so(shown, more, check.candidate)}",
    )


def _shown(harm: float, needed: float, harmless: float, enough: float) -> Shown:
    if harm >= needed:
        return Shown.HARMFUL
    return Shown.HARMLESS if harmless >= enough else Shown.OPEN


def _so(shown: Shown, more: int | None, seen: Tally) -> str:
    if shown is Shown.HARMFUL:
        return "it is worse"
    if shown is Shown.HARMLESS:
        return "good enough for the next stage"
    if not seen.requests:
        return "nothing to judge yet"
    if more is None:
        return "not yet decided, and requests like these are not going to show that it is good"
    return f"not yet decided; about {more:,} more requests like these would show that it is good"


def _of(tally: Tally, what: str) -> str:
    return f"{tally.failures:,} of {tally.requests:,} requests {what}{_share(tally)}"


def _of_stable(tally: Tally) -> str:
    return f"{tally.failures:,} of {tally.requests:,} of the stable revision{_share(tally)}"


def _share(tally: Tally) -> str:
    return "" if tally.rate is None else f" ({percent(tally.rate)})"


def _rate(memory: Memory, arm: Tally) -> Rate:
    effect = memory.policy.design_effect
    return Rate(
        arm.requests,
        arm.failures,
        arm.rate,
        rate_bound(Side.WORSE, arm, ALPHA / 2, effect),
        rate_bound(Side.NOT_WORSE, arm, ALPHA / 2, effect),
    )


def percent(share: float) -> str:
    """0.0125 -> 1.25 %"""
    return f"{100 * share:.3g} %"
