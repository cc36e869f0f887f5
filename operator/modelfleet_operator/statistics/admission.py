"""How long will a stage take at this traffic?

Told before it starts, so that nobody waits half an hour for what half an hour cannot show. The
least is reached when no request fails; good releases with a few failures of their own have needed
two and a half to four times as long.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelfleet_operator.statistics.checks import Limit, Relative, further
from modelfleet_operator.statistics.memory import BASELINE
from modelfleet_operator.statistics.outcomes import Block, Tally
from modelfleet_operator.statistics.policy import Margins, Policy, Stage

USUAL = 3.0
"""How many times the least a good release needs."""

TOO_LONG = "which is more than the"
"""In what is said of a stage that does not fit its time."""

_FEW = 10
_NO_END = 1e12


@dataclass(frozen=True, slots=True)
class Need:
    """What one stage needs."""

    stage: Stage
    requests: int
    """The candidate's, at least."""
    seconds: float
    """At least; infinite where no traffic reaches the candidate."""
    usual: float
    """Seconds that a good release needs as a rule."""
    fits: bool
    """The usual is within the stage's longest time."""
    says: str


def stage_needs(policy: Policy, stage: Stage, rate: float) -> Need:
    """`rate`: requests/s of both arms together."""
    enough = -math.log(policy.alpha_proceed)
    least = max([policy.min_requests, *_clean(policy, stage, enough)])
    per_second, stable_per_second = rate * stage.share, rate * (1 - stage.share)
    warmup = _seconds(policy.warmup_requests, per_second)
    start = max(policy.warmup_seconds, min(warmup, 10 * policy.warmup_seconds))
    baseline = _seconds(BASELINE, stable_per_second) if _compares(policy, stage) else 0.0
    judged = _seconds(least, per_second)
    seconds = max(policy.min_duration, start + baseline + judged)
    usual = max(policy.min_duration, start + baseline + USUAL * judged)
    fits = usual <= policy.max_wait
    says = (
        f"stage {stage.number} of {stage.of}: at {rate:g} requests/s, {100 * stage.share:g} % of "
        f"them the candidate's, at least {least:,} requests and {duration(seconds)}, "
        f"as a rule {duration(usual)}"
    )
    if not fits:
        says += (
            f", {TOO_LONG} {duration(policy.max_wait)} that it has: give it more time or "
            "a larger share, or allow more harm"
        )
    return Need(stage, least, seconds, usual, fits, says)


def rollout_needs(policy: Policy, stages: Sequence[Stage], rate: float) -> tuple[Need, ...]:
    """The same for all stages of a rollout."""
    return tuple(stage_needs(policy, stage, rate) for stage in stages)


def _compares(policy: Policy, stage: Stage) -> bool:
    return policy.compare_latency and stage.share < 1


def _clean(policy: Policy, stage: Stage, enough: float) -> list[int]:
    """Requests that each check needs where none of them fails."""
    needs = [
        _of_limit(Limit(1 - asked.quantile), stage.slack(policy.latency), policy, enough)
        for asked in policy.max_latency
    ]
    if policy.max_error_rate is not None:
        limit = Limit(policy.max_error_rate)
        needs.append(_of_limit(limit, stage.slack(policy.errors), policy, enough))
    if policy.compare_errors and stage.share < 1:
        needs.append(_of_relative(policy.errors, policy, stage, enough))
    if policy.compare_latency and stage.share < 1:
        needs.append(_of_relative(policy.latency, policy, stage, enough))
    return needs


def _of_limit(limit: Limit, slack: float, policy: Policy, enough: float) -> int:
    few = Tally(_FEW)
    clean = limit.add(few, few, policy.design_effect)
    return _times_few(lambda t: clean.harmless(slack, policy.design_effect, t), enough)


def _of_relative(margins: Margins, policy: Policy, stage: Stage, enough: float) -> int:
    few = Block(Tally(_FEW), Tally(max(1, round(_FEW * (1 - stage.share) / stage.share))))
    clean = Relative.start(margins).add(few, 0.0, policy.design_effect)
    margin = stage.margin(margins)
    return _times_few(lambda t: clean.harmless(margin, policy.design_effect, t), enough)


def _times_few(evidence: Callable[[float], float], enough: float) -> int:
    # Without a failure the evidence always gets there: every limit and margin is above 0.
    return math.ceil((further(evidence, enough, _NO_END) or _NO_END) * _FEW)


def _seconds(requests: int, rate: float) -> float:
    return requests / rate if rate > 0 else math.inf


def duration(seconds: float) -> str:
    """For people."""
    if math.isinf(seconds):
        return "without end"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{math.ceil(seconds / 60)} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
