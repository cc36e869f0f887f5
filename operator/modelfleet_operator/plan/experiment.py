"""How do the variants compare? `status.experiment`.

What the routers have counted of each variant since the last look goes into the evidence that was
gathered so far, and what pods have counted by caller with it (`statistics/trial.py`). All of it
stands in the status, as text, so that an operator that is replaced goes on where the other was.

A rollout inside a variant changes nothing here: both its revisions are the variant. A change of the
variants' shares begins a new segment. While routers are on their way from one to the other, nothing
is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from modelfleet_contract import RevisionTally
from modelfleet_operator.api.experiment import Experiment, Metric, MetricKind, Missing
from modelfleet_operator.api.moments import read_time, written_time
from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import ExperimentStatus
from modelfleet_operator.plan import experiment_said as said
from modelfleet_operator.plan.analysis import snapshot
from modelfleet_operator.plan.rollout.said import served
from modelfleet_operator.plan.types import VariantPlan
from modelfleet_operator.plan.variants import parts_of
from modelfleet_operator.seen import Observed
from modelfleet_operator.statistics import callers, trial
from modelfleet_operator.statistics.callers import Column, Counted, Sums, Values
from modelfleet_operator.statistics.counters import Snapshot, Traffic, added
from modelfleet_operator.statistics.encoding import BrokenText
from modelfleet_operator.statistics.trial import Design, Measure, Trial

Arms = Mapping[str, tuple[str, ...]]
"""The revisions' names of each variant."""

INTERVAL = timedelta(seconds=30)
"""Between two looks that are counted: each may write the status, which everybody who watches the
resource gets."""


def decide(
    seen: Observed,
    spec: Spec,
    arms: Arms,
    shares: Mapping[str, int],
    *,
    steady: bool,
    longest: timedelta = timedelta(0),
) -> ExperimentStatus | None:
    """`arms`: of every variant of the spec. `shares`: with which the routers were told to serve it,
    in parts of 10000. `steady`: every router does. `longest`: what a request may take, so
    that what was sent under the shares before is answered by then. None: there is nothing to
    compare."""
    told = seen.resource.status.experiment
    design = design_of(spec)
    if design is None:
        return None
    arms = {arm: arms.get(arm, ()) for arm in design.arms}
    if not any(shares.get(arm, 0) > 0 for arm in arms):
        return told
    # Most looks end here, so the evidence is only read where something is added to it.
    same = told is not None and trial.shares_in(told.evidence, design) == trial.given_of(
        design, shares
    )
    if not steady:
        # What comes now belongs to no segment, unless only revisions of a variant change places.
        return told if told is None or same else told.model_copy(update={"counted": ""})
    if told is not None and same and told.counted and not is_due(seen.now, told):
        return told
    if told is not None and same and not told.counted and _waits(told, design, longest, seen.now):
        return told
    now = _snapshot(seen, arms, None if told is None else _read(told.counted))
    counted = _counted(seen, arms)
    known = None if told is None else _known(told, design)
    if told is None or known is None:
        return _begun(seen, spec, Trial.start(design, shares), now, counted, longest)
    after = known.with_shares(shares)
    if after is not known:
        return _begun(seen, spec, after, now, counted, longest)
    old = _read(told.counted)
    if old is None or now.at < old.at:
        # Nothing to compare with, or the clock was put back: what lies between cannot be told.
        after = known.add({}, 0.0, counted)
    else:
        grown = added(old, now, _revisions(arms))
        after = known.add(_by_variant(grown.arms, arms), now.at - old.at, counted)
        came = any(traffic.requests or traffic.sent for traffic in grown.arms.values())
        if not came and not grown.discarded and after.callers.totals == known.callers.totals:
            return told  # a status that says the same is not written again
    return _status(seen, spec, after, told.since or written_time(seen.now), now)


def of_plans(seen: Observed, spec: Spec, plans: Sequence[VariantPlan]) -> ExperimentStatus | None:
    """Of the variants as they are planned: a revision that waits for its first request is one."""
    site = seen.routing.site
    arms = {
        plan.name: tuple(revision.name for revision in plan.revisions.kept)
        for plan in plans
        if not plan.leaving
    }
    shares = {name: parts_of(site, revisions) for name, revisions in arms.items()}
    return decide(
        seen,
        spec,
        arms,
        shares,
        steady=site is not None and served(seen, site),
        longest=timedelta(seconds=0 if site is None else site.timeout_s),
    )


def design_of(spec: Spec) -> Design | None:
    """As the spec has it, whatever the routers serve. A variant that gets only what headers send to
    it is not compared: its requests are others. None: fewer than two variants are compared, or no
    router counts what they do."""
    if spec.routing.mode is not RoutingMode.ROUTER:
        return None
    mirrored = {mirror.variant for mirror in spec.routing.mirror}
    given = [variant.name for variant in spec.variants if variant.weight]
    shadows = [v.name for v in spec.variants if not v.weight and v.name in mirrored]
    if not given or len(given) + len(shadows) < 2:
        return None
    asked = spec.experiment or Experiment()
    return Design(
        control=asked.control if asked.control in given else given[0],
        arms=(*given, *shadows),
        metrics=tuple(_metric(each) for each in asked.metrics or (_ERRORS,)),
        sticky=spec.routing.sticky is not None,
        shadows=tuple(shadows),
    )


_ERRORS = Metric(type=MetricKind.ERROR_RATE)


def _metric(asked: Metric) -> trial.Metric:
    match asked.type:
        case MetricKind.ERROR_RATE:
            return trial.Metric(MetricKind.ERROR_RATE, Measure.ERRORS)
        case MetricKind.LATENCY:
            limit = asked.threshold
            ms = None if limit is None else limit / timedelta(milliseconds=1)
            return trial.Metric(MetricKind.LATENCY, Measure.SLOW, ms)
        case MetricKind.VALUE:
            return trial.Metric(
                f"{MetricKind.VALUE}/{asked.name}",
                Measure.VALUE,
                value=asked.name,
                missing_is_zero=asked.missing is Missing.ZERO,
            )


def needs_pods(spec: Spec) -> bool:
    """Whether the pods have to be asked what they have counted."""
    design = design_of(spec)
    if design is None:
        return False
    return design.sticky or any(each.measure is Measure.VALUE for each in design.metrics)


def is_due(seen_at: datetime, told: ExperimentStatus | None) -> bool:
    """Whether the next look is counted."""
    looked = None if told is None else read_time(told.looked)
    return looked is None or not timedelta(0) <= seen_at - looked < INTERVAL


def _known(told: ExperimentStatus, design: Design) -> Trial | None:
    try:
        return Trial.from_text(told.evidence, design)
    except BrokenText:
        return None  # of another design, or somebody has written there: what was learnt is lost


def _read(text: str) -> Snapshot | None:
    try:
        return Snapshot.from_text(text)
    except BrokenText:
        return None


def _snapshot(seen: Observed, arms: Arms, old: Snapshot | None) -> Snapshot:
    """What the routers have counted. One that is silent may answer again: it keeps what it had."""
    now = snapshot(seen, *_revisions(arms))
    silent = {router.uid or router.name for router in seen.routing.routers if router.silent}
    kept = {} if old is None else {uid: pod for uid, pod in old.pods.items() if uid in silent}
    return replace(now, pods={**kept, **now.pods})


def _revisions(arms: Arms) -> tuple[str, ...]:
    return tuple(revision for names in arms.values() for revision in names)


def _by_variant(grown: Mapping[str, Traffic], arms: Arms) -> Mapping[str, Traffic]:
    return {
        arm: sum((grown.get(revision, Traffic()) for revision in names), start=Traffic())
        for arm, names in arms.items()
    }


def _counted(seen: Observed, arms: Arms) -> Counted | None:
    """What all pods have counted so far, by variant."""
    if seen.tallies is None:
        return None
    answers = [each.counted for each in seen.tallies if each.counted is not None]
    ready = {pod.name for pod in seen.pods if pod.ready}
    silent = any(each.counted is None and each.pod in ready for each in seen.tallies)
    return Counted(
        at=seen.now.timestamp(),
        started={answer.boot: answer.started for answer in answers},
        arms={
            arm: sum(
                (
                    _sums(answer.revisions[revision])
                    for answer in answers
                    for revision in names
                    if revision in answer.revisions and answer.buckets % callers.BUCKETS == 0
                ),
                start=Sums(),
            )
            for arm, names in arms.items()
        },
        revisions=_revisions(arms),
        complete=not silent,
    )


def _sums(counted: RevisionTally) -> Sums:
    known = counted.callers
    return Sums(
        Column.of(counted.requests, known.requests),
        Column.of(counted.errors, known.errors),
        {
            name: Values(
                Column.of(value.requests, {b: s.requests for b, s in value.callers.items()}),
                Column.of(value.sum, {b: s.sum for b, s in value.callers.items()}),
                value.squares,
                value.nonzero,
            )
            for name, value in counted.values.items()
        },
    )


def _begun(
    seen: Observed,
    spec: Spec,
    begun: Trial,
    now: Snapshot,
    counted: Counted | None,
    longest: timedelta,
) -> ExperimentStatus:
    """A segment that begins in this look: what was counted so far is what the next one is compared
    with.

    Pods count answers, and what they answer at first was sent under the shares before. Where
    callers are told by pods alone, nothing is counted until that is over.
    """
    since = written_time(seen.now)
    if begun.design.sticky and longest > timedelta(0):
        return _status(seen, spec, begun, since, now).model_copy(update={"counted": ""})
    return _status(seen, spec, begun.add({}, 0.0, counted), since, now)


def _waits(told: ExperimentStatus, design: Design, longest: timedelta, now: datetime) -> bool:
    """For the answers to what was sent before these shares."""
    since = read_time(told.since or "")
    return design.sticky and since is not None and timedelta(0) <= now - since < longest


def _status(
    seen: Observed, spec: Spec, known: Trial, since: str, now: Snapshot
) -> ExperimentStatus:
    asked = spec.experiment or Experiment()
    confidence = float(asked.confidence.removesuffix("%")) / 100
    goals = {_metric(each).name: each.goal for each in asked.metrics}
    told = said.of(known, 1 - confidence, {name: g for name, g in goals.items() if g is not None})
    return told.model_copy(
        update={
            "since": since,
            "looked": written_time(seen.now),
            "counted": now.to_text(),
            "evidence": known.to_text(),
        }
    )
