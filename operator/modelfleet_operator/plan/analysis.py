"""Is the new revision good enough for its next share, or worse?

What the routers have counted since the last look goes into the evidence that the step has gathered
so far (`statistics/gate.py` decides on it), and what a Prometheus answers goes beside it
(`queries.py`). All of it stands in the status, as text, so that an operator that is replaced goes
on where the other was.
"""

from dataclasses import dataclass
from datetime import timedelta

from modelfleet_operator.api import analysis as asked
from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import AnalysisStatus, CheckStatus, Phase, RolloutStatus
from modelfleet_operator.plan import queries
from modelfleet_operator.plan.rollout import picture
from modelfleet_operator.plan.rollout.facts import Judgement
from modelfleet_operator.plan.types import Defaults
from modelfleet_operator.plan.variants import Standing
from modelfleet_operator.router.observed import Counters
from modelfleet_operator.seen import Observed, RouterPod
from modelfleet_operator.statistics import gate
from modelfleet_operator.statistics.admission import duration, rollout_needs
from modelfleet_operator.statistics.counters import Pod, Snapshot, Traffic, added
from modelfleet_operator.statistics.encoding import BrokenText
from modelfleet_operator.statistics.findings import Finding
from modelfleet_operator.statistics.gate import Action, Verdict
from modelfleet_operator.statistics.latency import Histogram
from modelfleet_operator.statistics.memory import Look, Memory
from modelfleet_operator.statistics.policy import (
    LatencyLimit,
    OnNoData,
    OnTimeout,
    Policy,
    Stage,
)

INTERVAL = timedelta(seconds=5)
"""Between two looks that are judged: histograms trail the counters by a second."""
_STICKY_EFFECT = 3.0
"""So many requests of one caller count as one, where callers stick."""


@dataclass(frozen=True, slots=True)
class Analyzed:
    """What one look brought."""

    judgement: Judgement
    status: AnalysisStatus | None
    """None: nothing is analyzed."""
    asks: frozenset[str] = frozenset()
    """PromQL whose answers have to be in the picture first: nothing of this holds."""


def decide(
    seen: Observed,
    standing: Standing,
    told: RolloutStatus | None,
    stable: str | None,
    defaults: Defaults,
) -> Analyzed:
    """Of the rollout as it was told last."""
    spec = standing.spec
    wanted = spec.rollout.analysis
    if wanted is None:
        return Analyzed(Judgement(), None)
    if told is None or stable is None or told.failed:
        return Analyzed(Judgement(passes=False, waits_for="the analysis begins"), None)
    policy, stage = policy_of(spec), stage_of(spec, told.step)
    if stage is None:
        return Analyzed(Judgement(), None)
    before = told.analysis
    now = snapshot(seen, stable, told.candidate)
    this_step = before is not None and before.step == told.step
    old = _read(before.counted) if before is not None and this_step else None
    since = None if old is None else now.at - old.at
    if since is not None and since < 0:
        old = None  # the clock was put back: what lies between cannot be told
    elif before is not None and since is not None and since < INTERVAL.total_seconds():
        return Analyzed(_judgement(before.action, before.message), before)
    memory = _memory(before if old is not None else None, policy, stage)
    look = _look(seen, told, stable, old, now, 0 if before is None else before.missed)
    after, judged = gate.judge(memory, look)
    wants = queries.asked(wanted.queries, _names(seen, standing.name, told, stable))
    told_before = before.checks if before is not None and this_step else ()
    unset = not defaults.prometheus
    checks = tuple(queries.unasked(each, told_before, unset=unset) for each in wants)
    if _asks(judged, look, told, policy, checks) and not unset:
        if missing := {each.expression for each in wants} - seen.answers.keys():
            waits = Judgement(passes=False, waits_for="the Prometheus is asked first")
            return Analyzed(waits, before, frozenset(missing))
        checks = tuple(
            queries.looked(each, told_before, seen.answers[each.expression]) for each in wants
        )
    judged = queries.joined(judged, checks, policy, late=look.age >= policy.max_wait)
    status = AnalysisStatus(
        step=told.step,
        verdict=judged.verdict.value,
        action=judged.action.value,
        message=judged.says,
        requests=judged.requests,
        more=judged.more,
        checks=(*(_check(finding) for finding in judged.findings), *checks),
        missed=look.missed,
        estimate=(before.estimate if before else "") or _estimate(spec, policy, look),
        counted=now.to_text(),
        evidence=after.to_text(),
    )
    return Analyzed(_judgement(judged.action.value, judged.says), status)


def _names(seen: Observed, variant: str, told: RolloutStatus, stable: str) -> dict[str, str]:
    """What stands for the placeholders of a query."""
    return {
        "revision": told.candidate,
        "stable": stable,
        "namespace": seen.resource.namespace,
        "name": seen.resource.name,
        "variant": variant,
    }


def _asks(
    judged: gate.Judgement,
    look: Look,
    told: RolloutStatus,
    policy: Policy,
    checks: tuple[CheckStatus, ...],
) -> bool:
    """Whether this look asks the Prometheus: while the share is served, after the warm-up, and as
    long as an answer can change anything."""
    warm = judged.verdict is not Verdict.WARMUP and look.age >= policy.warmup_seconds
    decided = judged.action is Action.ROLL_BACK or any(map(queries.is_harmful, checks))
    return told.phase is Phase.HOLDING and warm and not decided


def _estimate(spec: Spec, policy: Policy, look: Look) -> str:
    """Empty while there is no traffic to tell by."""
    came = look.candidate.requests + look.stable.requests
    if not came or not look.seconds:
        return ""
    stages = (stage_of(spec, step) for step in range(len(picture.steps_of(spec)) + 1))
    rate = float(f"{came / look.seconds:.2g}")
    needs = rollout_needs(policy, [stage for stage in stages if stage is not None], rate)
    late = next((need for need in needs if not need.fits), None)
    if late is not None:
        return late.says
    usual = sum(need.usual for need in needs)
    return f"at {rate:g} requests/s the analysis takes {duration(usual)} as a rule, over all steps"


def policy_of(spec: Spec) -> Policy:
    wanted = spec.rollout.analysis
    assert wanted is not None
    limits = []
    if wanted.max_latency is not None:
        for quantile, limit in ((0.5, wanted.max_latency.p50), (0.95, wanted.max_latency.p95),
                                (0.99, wanted.max_latency.p99)):  # fmt: skip
            if limit is not None:
                limits.append(LatencyLimit(quantile, limit / timedelta(milliseconds=1)))
    rate = wanted.max_error_rate
    return Policy(
        max_error_rate=None if rate is None else float(rate.removesuffix("%")) / 100,
        max_latency=tuple(limits),
        compare_errors=wanted.compare_to_stable,
        compare_latency=wanted.compare_to_stable,
        min_requests=wanted.min_requests,
        design_effect=1.0 if spec.routing.sticky is None else _STICKY_EFFECT,
        warmup_seconds=wanted.warm_up / timedelta(seconds=1),
        warmup_requests=50 if wanted.warm_up else 0,
        min_duration=0.0,  # that is the step's pause
        max_wait=wanted.timeout / timedelta(seconds=1),
        on_no_data=OnNoData(asked.OnNoData(wanted.on_no_data).value),
        on_timeout=OnTimeout(asked.OnUndecided(wanted.on_timeout).value),
    )


def stage_of(spec: Spec, step: int) -> Stage | None:
    """None: nobody asks the candidate in this step, or there is no time to judge it."""
    steps = picture.steps_of(spec)
    weights = [each.weight for each in steps if each.weight]
    bakes = bool(spec.rollout.bake)
    of = len(weights) + bakes
    before = len(steps) - len(weights)
    if step < before or (step >= len(steps) and not bakes):
        return None
    shares = [weight / 100 for weight in weights] + [1.0]
    number = step - before
    return Stage(number + 1, of, shares[number], shares[min(number + 1, len(shares) - 1)])


def _judgement(action: str, says: str) -> Judgement:
    """Of an action as the status has it; one that is not known is to hold."""
    if action == Action.NEXT.value:
        return Judgement()
    if action == Action.ROLL_BACK.value:
        return Judgement(passes=False, fails=says)
    return Judgement(passes=False, waits_for=says)


def _memory(before: AnalysisStatus | None, policy: Policy, stage: Stage) -> Memory:
    if before is not None:
        try:
            return Memory.from_text(before.evidence, policy, stage)
        except BrokenText:
            pass  # of another policy, or somebody has written there: what was learnt is lost
    return Memory.start(policy, stage)


def _read(text: str) -> Snapshot | None:
    try:
        return Snapshot.from_text(text)
    except BrokenText:
        return None


def _look(
    seen: Observed,
    told: RolloutStatus,
    stable: str,
    old: Snapshot | None,
    now: Snapshot,
    missed: int,
) -> Look:
    held = read_time(told.held_since)
    age = 0.0 if held is None else max(0.0, (seen.now - held).total_seconds())
    seconds = 0.0 if old is None else max(0.0, now.at - old.at)
    grown = {} if old is None else dict(added(old, now, (stable, told.candidate)).arms)
    readable = any(not router.silent for router in seen.routing.routers)
    return Look(
        candidate=grown.get(told.candidate, Traffic()),
        stable=grown.get(stable, Traffic()),
        seconds=seconds,
        age=age,
        ready_for=age,
        missed=0 if readable else missed + 1,
        # The weights stood still from the last look to this one.
        steady=told.phase is Phase.HOLDING and age >= seconds,
    )


def snapshot(seen: Observed, *revisions: str) -> Snapshot:
    """What every router that could be asked has counted of these revisions."""
    return Snapshot(
        at=seen.now.timestamp(),
        pods={
            router.uid or router.name: _counted(router, revisions)
            for router in seen.routing.routers
            if not router.silent
        },
    )


def _counted(router: RouterPod, revisions: tuple[str, ...]) -> Pod:
    # A revision without a request has no counters yet, which says that it had none.
    arms = {name: _traffic(router.counters.get(name, Counters())) for name in revisions}
    return Pod(started_at(router), arms)


def started_at(router: RouterPod) -> float:
    """Seconds since 1970; 0 where it is not known, which is before any look."""
    return 0.0 if router.started is None else router.started.timestamp()


def _traffic(counters: Counters) -> Traffic:
    requests, errors = sum(counters.answers.values()), counters.answers.get("5", 0)
    # A connection that is tried again counts as sent again, though no pod had got the request: so
    # what was answered is looked at as well.
    sent = max(counters.attempts - counters.retries, requests)
    latency = counters.latency
    if not latency.bounds:
        return Traffic(requests, errors, sent=sent)
    steps = zip((0, *latency.cumulative), (*latency.cumulative, latency.count), strict=True)
    counts = tuple(max(0, after - before) for before, after in steps)
    return Traffic(requests, errors, Histogram(latency.bounds, counts), sent)


def _check(finding: Finding) -> CheckStatus:
    stable, difference = finding.stable, finding.difference
    return CheckStatus(
        name=finding.check,
        verdict=finding.shown.value,
        requests=finding.candidate.requests,
        failures=finding.candidate.failures,
        rate=_text(finding.candidate.rate),
        low=_text(finding.candidate.low),
        high=_text(finding.candidate.high),
        stable_requests=None if stable is None else stable.requests,
        stable_failures=None if stable is None else stable.failures,
        stable_rate=None if stable is None else _text(stable.rate),
        difference=None if difference is None else _text(difference.point),
        harm=f"{finding.harm:.2f}",
        harm_needed=f"{finding.harm_needed:.2f}",
        more=finding.more,
        message=finding.says,
    )


def _text(share: float | None) -> str | None:
    """A share as a percentage. The API has no numbers with a point."""
    return None if share is None else f"{100 * share:.3g}%"
