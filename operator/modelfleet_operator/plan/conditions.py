"""What is said about the resource: conditions, phase, counts.

A condition is an output and never an input: all of it follows from the picture and from what the
other steps decided. What is remembered stands in `variants` (`variant_status.py`).

Messages state the fact and the numbers. They hold nothing that ticks (no ages, no names of pods),
so that a status that says the same is the same, and is not written again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet_contract import format_duration
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import (
    Condition,
    ConditionType,
    ExperimentStatus,
    Phase,
    Status,
    Truth,
)
from modelfleet_operator.plan import experiment
from modelfleet_operator.plan.rollout import said
from modelfleet_operator.plan.state import State, of_all
from modelfleet_operator.plan.traffic import PARTING
from modelfleet_operator.plan.types import Defaults, Routed, VariantPlan, Verdict
from modelfleet_operator.plan.variant_status import candidate_since, stable_of, status_of
from modelfleet_operator.seen import InvalidSpec, Observed, Revision, Trouble

_UNPLACED = frozenset({Reason.UNSCHEDULABLE, Reason.INSUFFICIENT_ACCELERATORS, Reason.PODS_REFUSED})


@dataclass(frozen=True, slots=True)
class _Note:
    """One condition before it has a time."""

    type: ConditionType
    status: Truth
    reason: Reason
    message: str


def decide(
    seen: Observed,
    spec: Spec,
    verdict: Verdict,
    defaults: Defaults,
    compared: ExperimentStatus | None = None,
) -> tuple[Status, timedelta | None]:
    """The status, and when it would say something else without anything having changed."""
    resource, routed = seen.resource, verdict.routed
    url = f"http://{resource.name}.{resource.namespace}.svc.{defaults.cluster_domain}"
    told = [_told_of(seen, plan, verdict) for plan in verdict.variants]
    stable = next((each.stable for each in told if each.stable), None)
    lefts = [each.left(seen, spec) for each in told if not each.plan.leaving]
    left = min((each for each in lefts if each is not None), default=None)
    state = of_all(seen, verdict)
    late = left is not None and left <= timedelta(0) and state.reason is not Reason.STOPPED
    notes = (
        _ready(state),
        _available(seen, url, state, routed=routed is not None),
        _progressing(state, spec, late=late),
        _scheduled(seen, verdict),
        _stable_healthy(seen, told),
    )
    shown = [_shown(seen, each, verdict) for each in told if not each.plan.leaving]
    status = Status(
        observed_generation=resource.generation,
        url=url,
        version=_versions(shown, told),
        replicas=sum(len(seen.pods_of(r.name)) for r in shown),
        ready_replicas=sum(seen.ready_pods(r.name) for r in shown),
        desired_replicas=sum(_desired(seen, verdict, r.name) for r in shown),
        phase=_phase(state, stable, notes, late=late),
        selector=_selector(resource.name, shown),
        conditions=stamped(seen, notes),
        variants=tuple(status_of(seen, each.plan, each.stable, each.since) for each in told),
        experiment=compared,
    )
    again = left if left is not None and left > timedelta(0) else None
    if routed is not None:
        again = _sooner(again, _routed_again(seen, verdict, routed))
    if compared is not None:
        again = _sooner(again, experiment.INTERVAL)
    if verdict.parting is not None:
        again = _sooner(again, PARTING)  # its two ends lie behind the first and the last of these
    return status, again


@dataclass(frozen=True, slots=True)
class _Told:
    """One variant, with what is remembered of it."""

    plan: VariantPlan
    stable: str | None
    since: datetime | None
    """Since when another revision than that is on its way."""

    def left(self, seen: Observed, spec: Spec) -> timedelta | None:
        """Until it is late; None where nothing is on its way. A rollout has its own deadlines, and
        says itself when it has failed."""
        rolling = self.plan.progress is not None and self.plan.progress.told is not None
        if self.since is None:
            return None
        left = spec.rollout.progress_deadline - (seen.now - self.since)
        return left if left > timedelta(0) or not rolling else None


def _told_of(seen: Observed, plan: VariantPlan, verdict: Verdict) -> _Told:
    stable = stable_of(seen, plan, verdict)
    return _Told(plan, stable, candidate_since(seen, plan, stable))


def _shown(seen: Observed, told: _Told, verdict: Verdict) -> Revision:
    """The revision whose pods count."""
    name = verdict.switch.to if verdict.routed is None else told.stable
    return seen.revision(name) or told.plan.revisions.wanted


def _versions(shown: Sequence[Revision], told: Sequence[_Told]) -> str | None:
    stable = {each.stable for each in told}
    labels_ = [r.model.version or r.name for r in shown if r.name in stable]
    return ", ".join(labels_) or None


def _desired(seen: Observed, verdict: Verdict, revision: str) -> int:
    has = seen.workloads.get(revision)
    return has.desired if has else verdict.replicas[revision].least


def _selector(deployment: str, shown: Sequence[Revision]) -> str:
    names = [revision.name for revision in shown]
    which = f"={names[0]}" if len(names) == 1 else f" in ({','.join(names)})"
    return f"{labels.DEPLOYMENT}={deployment},{labels.REVISION}{which}"


SOON = timedelta(milliseconds=300)
"""Nobody tells when a router serves something else, or reaches another pod: it has to be asked."""
PATIENT = timedelta(seconds=10)
"""Nobody tells when a Gateway is made or goes away; nor of routes, where the cluster has learnt of
the Gateway API after the operator was started."""
WATCHFUL = timedelta(seconds=2)
"""While a share is held: the pods of the candidate may stop being reached."""


def _routed_again(seen: Observed, verdict: Verdict, routed: Routed) -> timedelta | None:
    if routed.refused or routed.site is None:
        return None if routed.gateway is None else PATIENT
    if not said.served(seen, routed.site) or not (routed.through or routed.gateway):
        return SOON
    if any(plan.demand for plan in verdict.variants) and not said.answering(seen):
        return SOON
    again = None
    for plan in verdict.variants:
        again = _sooner(again, _variant_again(seen, plan))
    return again if routed.gateway is None else _sooner(again, PATIENT)


def _variant_again(seen: Observed, plan: VariantPlan) -> timedelta | None:
    assert plan.progress is not None
    told, progress = plan.progress.told, plan.progress
    stable, demand = progress.stable, plan.demand
    if stable and seen.ready_pods(stable) >= demand and said.not_reaching(seen, stable, demand):
        return _sooner(SOON, progress.again)
    if plan.share != plan.standing.asked:
        return _sooner(WATCHFUL, progress.again)
    if told is not None and told.phase in (Phase.STARTING, Phase.SHIFTING, Phase.ROLLING_BACK):
        return _sooner(SOON, progress.again)
    if progress.idle_since or (told is not None and told.phase is not Phase.FAILED):
        return _sooner(WATCHFUL, progress.again)
    return progress.again


def _sooner(one: timedelta | None, other: timedelta | None) -> timedelta | None:
    if one is None or other is None:
        return one or other
    return min(one, other)


def of_invalid(seen: Observed, spec: InvalidSpec) -> Status:
    """What was said stays, for it is still so; only that nothing new is done is added."""
    before = seen.resource.status
    notes = tuple(
        _Note(type_, Truth.FALSE, Reason.SPEC_INVALID, spec.message)
        for type_ in (ConditionType.READY, ConditionType.PROGRESSING)
    )
    return before.model_copy(
        update={
            "observed_generation": seen.resource.generation,
            "phase": _phase_of_standstill(before),
            "conditions": _merged(before, stamped(seen, notes)),
        }
    )


def with_refusal(seen: Observed, status: Status, message: str) -> Status:
    """The same status, saying as well that the API server refused what was applied."""
    notes = tuple(
        _Note(type_, Truth.FALSE, Reason.REFUSED, message)
        for type_ in (ConditionType.READY, ConditionType.PROGRESSING)
    )
    conditions = _merged(status, stamped(seen, notes))
    update = {"conditions": conditions, "phase": _phase_of_standstill(status)}
    return status.model_copy(update=update)


def _phase_of_standstill(status: Status) -> str:
    """Whether something serves all the same."""
    return "Degraded" if any(variant.stable for variant in status.variants) else "Failed"


def _merged(status: Status, changed: tuple[Condition, ...]) -> tuple[Condition, ...]:
    by_type = {c.type: c for c in (*status.conditions, *changed)}
    return tuple(by_type[t] for t in ConditionType if t in by_type)


def stamped(seen: Observed, notes: tuple[_Note, ...]) -> tuple[Condition, ...]:
    """The transition time is that of the status (True, False, Unknown), as everywhere."""
    now = written_time(seen.now)
    conditions = []
    for note in notes:
        before = seen.resource.status.condition(note.type)
        unchanged = before is not None and before.status is note.status
        conditions.append(
            Condition(
                type=note.type,
                status=note.status,
                reason=note.reason,
                message=note.message,
                observed_generation=seen.resource.generation,
                last_transition_time=before.last_transition_time if before and unchanged else now,
            )
        )
    return tuple(conditions)


def _ready(state: State) -> _Note:
    done = state.reason is Reason.SERVING
    return _Note(ConditionType.READY, Truth.TRUE if done else Truth.FALSE, *_told(state))


def _told(state: State) -> tuple[Reason, str]:
    return state.reason, state.message


def _available(seen: Observed, url: str, state: State, *, routed: bool) -> _Note:
    direct = seen.address is not None and sum(seen.address.ready.values()) > 0
    if direct or (routed and said.answering(seen)):
        return _Note(
            ConditionType.AVAILABLE, Truth.TRUE, Reason.SERVING, f"requests to {url} are answered"
        )
    if state.reason is Reason.STOPPED:
        return _Note(ConditionType.AVAILABLE, Truth.FALSE, *_told(state))
    return _Note(
        ConditionType.AVAILABLE,
        Truth.FALSE,
        Reason.NO_ENDPOINTS,
        f"no ready pod stands behind {url}",
    )


def _progressing(state: State, spec: Spec, *, late: bool) -> _Note:
    type_ = ConditionType.PROGRESSING
    if state.reason is Reason.SERVING:
        return _Note(type_, Truth.FALSE, Reason.ROLLED_OUT, state.message)
    if late:
        limit = format_duration(spec.rollout.progress_deadline)
        return _Note(
            type_,
            Truth.FALSE,
            Reason.DEADLINE_EXCEEDED,
            f"not ready within rollout.progressDeadline ({limit}): {state.message}",
        )
    if state.reason is Reason.PAUSED:
        return _Note(type_, Truth.UNKNOWN, *_told(state))
    moving = state.moving
    return _Note(type_, Truth.TRUE if moving else Truth.FALSE, *_told(state))


def _scheduled(seen: Observed, verdict: Verdict) -> _Note:
    type_ = ConditionType.SCHEDULED
    expected = 0
    placed = 0
    for plan in verdict.variants:
        playing = {plan.revisions.wanted.name, plan.stable or verdict.switch.to}
        for revision in plan.revisions.kept:
            if revision.name not in playing:
                continue
            trouble = _unplaced(seen, revision)
            if trouble is not None:
                message = f"{said.called(revision)}: {trouble.message}"
                return _Note(type_, Truth.FALSE, trouble.reason, message)
            expected += plan.replicas[revision.name].least
            placed += sum(p.scheduled for p in seen.pods_of(revision.name))
    if placed < expected:
        return _Note(type_, Truth.UNKNOWN, Reason.STARTING, "not every pod has been placed yet")
    return _Note(type_, Truth.TRUE, Reason.SCHEDULED, "every pod has a node")


def _unplaced(seen: Observed, revision: Revision) -> Trouble | None:
    trouble = seen.trouble(revision.name)
    return trouble if trouble is not None and trouble.reason in _UNPLACED else None


def _stable_healthy(seen: Observed, told: Sequence[_Told]) -> _Note:
    """Of several variants, the first that is not."""
    notes = [_healthy(seen, each) for each in told if not each.plan.leaving]
    poor = next((n for n in notes if n.status is not Truth.TRUE), None)
    if poor is not None or len(notes) == 1:
        return poor or notes[0]
    message = f"the stable revisions of all {len(notes)} variants are healthy"
    return _Note(ConditionType.STABLE_HEALTHY, Truth.TRUE, Reason.SERVING, message)


def _healthy(seen: Observed, told: _Told) -> _Note:
    type_, plan = ConditionType.STABLE_HEALTHY, told.plan
    revision = next((r for r in plan.revisions.kept if r.name == told.stable), None)
    if revision is None:
        return _Note(type_, Truth.UNKNOWN, Reason.NO_STABLE, "no revision has been ready yet")
    ready, least = seen.ready_pods(revision.name), plan.replicas[revision.name].least
    if ready >= least:
        return _Note(type_, Truth.TRUE, Reason.SERVING, f"{said.called(revision)} is healthy")
    trouble = seen.trouble(revision.name)
    why = f": {trouble.message}" if trouble else ""
    return _Note(
        type_,
        Truth.FALSE,
        trouble.reason if trouble else Reason.NOT_READY,
        f"{said.called(revision)}: {ready} of {least} pods are ready{why}",
    )


def _phase(state: State, stable: str | None, notes: tuple[_Note, ...], *, late: bool) -> str:
    if state.reason is Reason.SERVING:
        return "Ready"
    if state.reason is Reason.STOPPED:
        return "Stopped"
    healthy = any(n.type is ConditionType.STABLE_HEALTHY and n.status is Truth.TRUE for n in notes)
    if late or not state.moving:
        return "Degraded" if stable else "Failed"
    if stable is None:
        return "Pending"
    return "Progressing" if healthy else "Degraded"
