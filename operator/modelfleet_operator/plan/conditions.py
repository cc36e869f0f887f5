"""What is said about the resource: conditions, phase, counts.

A condition is an output and never an input: all of it follows from the picture and from what the
other steps decided. The only memory is which revision was proven (`variants[].stable`) and since
when another is on its way (`candidateSince`).

Messages state the fact and the numbers. They hold nothing that ticks (no ages, no names of pods),
so that a status that says the same is the same, and is not written again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelfleet_contract import format_duration
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import read_time, written_time
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import (
    Condition,
    ConditionType,
    Phase,
    RevisionStatus,
    RolloutStatus,
    Status,
    Truth,
    VariantStatus,
)
from modelfleet_operator.plan.rollout import said
from modelfleet_operator.plan.traffic import PARTING
from modelfleet_operator.plan.types import Defaults, Routed, Verdict
from modelfleet_operator.plan.verbs import stamp
from modelfleet_operator.seen import InvalidSpec, Observed, Revision, Trouble

_UNPLACED = frozenset({Reason.UNSCHEDULABLE, Reason.INSUFFICIENT_ACCELERATORS, Reason.PODS_REFUSED})
_ON_ITS_WAY = frozenset(
    {
        Reason.STARTING,
        Reason.SWITCHING,
        Reason.HOLDING,
        Reason.DRAINING,
        Reason.SCALING,
        Reason.ROLLING_BACK,
        Reason.PAUSED,
    }
)


@dataclass(frozen=True, slots=True)
class _Note:
    """One condition before it has a time."""

    type: ConditionType
    status: Truth
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class _State:
    """How far the wanted revision has come; a trouble's reason when it does not come further."""

    reason: Reason
    message: str


def decide(
    seen: Observed, spec: Spec, verdict: Verdict, defaults: Defaults
) -> tuple[Status, timedelta | None]:
    """The status, and when it would say something else without anything having changed."""
    address, routed = seen.resource, verdict.routed
    url = f"http://{address.name}.{address.namespace}.svc.{defaults.cluster_domain}"
    stable = _stable(seen, verdict)
    wanted = verdict.revisions.wanted
    since = _candidate_since(seen, verdict, stable)
    left = spec.rollout.progress_deadline - (seen.now - since) if since else None
    state = _state(seen, verdict)
    late = left is not None and left <= timedelta(0) and state.reason is not Reason.STOPPED
    # A rollout has its own deadlines, and says itself when it has failed.
    late = late and (routed is None or routed.progress.told is None)
    notes = (
        _ready(state),
        _available(seen, url, state, routed=routed is not None),
        _progressing(state, spec, late=late),
        _scheduled(seen, verdict),
        _stable_healthy(seen, verdict, stable),
    )
    shown = seen.revision(verdict.switch.to) or wanted
    pods = seen.pods_of(shown.name)
    has = seen.workloads.get(shown.name)
    status = Status(
        observed_generation=address.generation,
        url=url,
        version=_label(shown) if stable == shown.name else None,
        replicas=len(pods),
        ready_replicas=seen.ready_pods(shown.name),
        desired_replicas=has.desired if has else verdict.replicas[shown.name].least,
        phase=_phase(state, stable, notes, late=late),
        selector=f"{labels.DEPLOYMENT}={address.name},{labels.REVISION}={shown.name}",
        conditions=stamped(seen, notes),
        variants=(_variant(seen, verdict, stable, since),),
    )
    again = left if left is not None and left > timedelta(0) else None
    if routed is not None:
        again = _sooner(again, _routed_again(seen, routed))
    if verdict.parting is not None:
        again = _sooner(again, PARTING)  # its two ends lie behind the first and the last of these
    return status, again


SOON = timedelta(milliseconds=300)
"""Nobody tells when a router serves something else, or reaches another pod: it has to be asked."""
WATCHFUL = timedelta(seconds=2)
"""While a share is held: the pods of the candidate may stop being reached."""


def _routed_again(seen: Observed, routed: Routed) -> timedelta | None:
    told, progress = routed.progress.told, routed.progress
    if routed.refused or routed.site is None:
        return None
    if not said.served(seen, routed.site) or not routed.through:
        return SOON
    if routed.demand and not said.answering(seen):
        return SOON
    stable, demand = progress.stable, routed.demand
    if stable and seen.ready_pods(stable) >= demand and said.not_reaching(seen, stable, demand):
        return _sooner(SOON, progress.again)
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


def _stable(seen: Observed, verdict: Verdict) -> str | None:
    """The revision that serves, once it has been ready."""
    if verdict.routed is not None:
        return verdict.routed.progress.stable
    parts, to = verdict.revisions, verdict.switch.to
    if parts.serving is not None and parts.serving.name == to:
        return to if parts.proven else None
    return to if seen.ready_pods(to) > 0 else None


def _candidate_since(seen: Observed, verdict: Verdict, stable: str | None) -> datetime | None:
    """None when no other is on its way, or when none of its pods is asked for."""
    wanted = verdict.revisions.wanted.name
    if stable == wanted or verdict.replicas[wanted].pods == 0:
        return None
    for variant in seen.resource.status.variants:
        if variant.candidate == wanted and variant.candidate_since:
            return read_time(variant.candidate_since) or seen.now
    return seen.now


def _label(revision: Revision) -> str:
    return revision.model.version or revision.name


def _state(seen: Observed, verdict: Verdict) -> _State:
    parts, switch = verdict.revisions, verdict.switch
    if verdict.routed is not None:
        return _State(*said.state(seen, parts, verdict.routed))
    wanted, count = parts.wanted, verdict.replicas[parts.wanted.name]
    ready, least = seen.ready_pods(wanted.name), count.least
    behind = seen.address.ready.get(wanted.name, 0) if seen.address else 0
    others = sum(seen.address.present.values()) if seen.address else 0
    others -= seen.address.present.get(wanted.name, 0) if seen.address else 0
    name = said.called(wanted)
    if count.pods == 0:
        return _State(Reason.STOPPED, "replicas is 0, nothing is served")
    trouble = seen.trouble(wanted.name)
    if ready < least and trouble is not None:
        return _State(trouble.reason, f"{name}: {trouble.message}{_meanwhile(verdict)}")
    if ready < least and switch.to == wanted.name and ready > 0 and parts.proven:
        return _State(Reason.SCALING, f"{name}: {ready} of {least} pods are ready")
    if ready < least:
        return _State(
            Reason.STARTING, f"{name}: {ready} of {least} pods are ready{_meanwhile(verdict)}"
        )
    if switch.moved or behind == 0:
        return _State(Reason.SWITCHING, f"{name} is ready, the address is moving to it")
    if others > 0:
        return _State(Reason.DRAINING, f"{name} serves, the earlier revision is finishing")
    return _State(Reason.SERVING, f"{name} serves")


def _meanwhile(verdict: Verdict) -> str:
    serving = verdict.revisions.serving
    if serving is None or verdict.switch.to != serving.name or not verdict.revisions.switching:
        return ""
    return f"; {said.called(serving)} goes on serving"


def _ready(state: _State) -> _Note:
    done = state.reason is Reason.SERVING
    return _Note(ConditionType.READY, Truth.TRUE if done else Truth.FALSE, *_told(state))


def _told(state: _State) -> tuple[Reason, str]:
    return state.reason, state.message


def _available(seen: Observed, url: str, state: _State, *, routed: bool) -> _Note:
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


def _progressing(state: _State, spec: Spec, *, late: bool) -> _Note:
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
    moving = state.reason in _ON_ITS_WAY
    return _Note(type_, Truth.TRUE if moving else Truth.FALSE, *_told(state))


def _scheduled(seen: Observed, verdict: Verdict) -> _Note:
    type_ = ConditionType.SCHEDULED
    expected = 0
    placed = 0
    for revision in verdict.revisions.kept:
        if revision.name not in (verdict.revisions.wanted.name, verdict.switch.to):
            continue
        trouble = _unplaced(seen, revision)
        if trouble is not None:
            return _Note(
                type_, Truth.FALSE, trouble.reason, f"{said.called(revision)}: {trouble.message}"
            )
        expected += verdict.replicas[revision.name].least
        placed += sum(p.scheduled for p in seen.pods_of(revision.name))
    if placed < expected:
        return _Note(type_, Truth.UNKNOWN, Reason.STARTING, "not every pod has been placed yet")
    return _Note(type_, Truth.TRUE, Reason.SCHEDULED, "every pod has a node")


def _unplaced(seen: Observed, revision: Revision) -> Trouble | None:
    trouble = seen.trouble(revision.name)
    return trouble if trouble is not None and trouble.reason in _UNPLACED else None


def _stable_healthy(seen: Observed, verdict: Verdict, stable: str | None) -> _Note:
    type_ = ConditionType.STABLE_HEALTHY
    revision = next((r for r in verdict.revisions.kept if r.name == stable), None)
    if revision is None:
        return _Note(type_, Truth.UNKNOWN, Reason.NO_STABLE, "no revision has been ready yet")
    ready, least = seen.ready_pods(revision.name), verdict.replicas[revision.name].least
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


def _phase(state: _State, stable: str | None, notes: tuple[_Note, ...], *, late: bool) -> str:
    if state.reason is Reason.SERVING:
        return "Ready"
    if state.reason is Reason.STOPPED:
        return "Stopped"
    healthy = any(n.type is ConditionType.STABLE_HEALTHY and n.status is Truth.TRUE for n in notes)
    if late or state.reason not in _ON_ITS_WAY:
        return "Degraded" if stable else "Failed"
    if stable is None:
        return "Pending"
    return "Progressing" if healthy else "Degraded"


def _variant(
    seen: Observed, verdict: Verdict, stable: str | None, since: datetime | None
) -> VariantStatus:
    wanted, routed = verdict.revisions.wanted, verdict.routed
    weights = {} if routed is None else routed.progress.weights
    idle = {} if routed is None else routed.progress.idle_since
    return VariantStatus(
        name=wanted.variant,
        stable=stable,
        candidate=None if stable == wanted.name else wanted.name,
        candidate_since=written_time(since) if since else None,
        weight=0 if stable == wanted.name else weights.get(wanted.name, 0) // 100,
        rollout=_rollout(routed),
        ready_replicas=sum(seen.ready_pods(r.name) for r in verdict.revisions.kept),
        revisions=tuple(
            RevisionStatus(
                name=r.name,
                number=r.number,
                version=r.model.version,
                uri=r.model.uri,
                digest=r.model.digest,
                replicas=len(seen.pods_of(r.name)),
                ready_replicas=seen.ready_pods(r.name),
                weight=None if routed is None else weights.get(r.name, 0),
                idle_since=written_time(idle[r.name]) if r.name in idle else None,
            )
            for r in verdict.revisions.kept
        ),
    )


def _rollout(routed: Routed | None) -> RolloutStatus | None:
    told = None if routed is None else routed.progress.told
    if told is None:
        return None
    return told.model_copy(update={"stamp": str(stamp(told))})
