"""A ModelDeployment at every point of a rollout, as the API server holds it, and a terminal that
remembers what was said."""

import io
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from modelfleet_operator import kinds
from modelfleet_operator.act import written
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import (
    AnalysisStatus,
    CheckStatus,
    Condition,
    ConditionType,
    Phase,
    RevisionStatus,
    RolloutStatus,
    Status,
    Truth,
    VariantStatus,
)
from modelfleet_operator.cli.styled import Line, write
from modelfleet_operator.cli.terminal import Terminal
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.seen import Json, Resource
from tests.unit.operator.builders import NAME, NAMESPACE, NOW, raw_container, raw_pod, spec_json
from tests.unit.operator.memory_api import MemoryApi

OLD, NEW = "digits-bbb", "digits-ccc"
CONTROL_OLD, CONTROL_NEW = "digits-fff", "digits-ggg"
ROUTED = {
    "routing": {"mode": "Router"},
    "rollout": {
        "strategy": "Progressive",
        "steps": [{"weight": 5, "pause": "2m"}, {"weight": 50, "untilPromoted": True}],
    },
}


def ago(**time: float) -> str:
    return written_time(NOW - timedelta(**time))


def terminal(**more: Any) -> Terminal:
    return Terminal(io.StringIO(), io.StringIO(), **more)


def said(of: Terminal) -> str:
    assert isinstance(of.out, io.StringIO)
    return of.out.getvalue()


def noted(of: Terminal) -> str:
    assert isinstance(of.err, io.StringIO)
    return of.err.getvalue()


def plain(lines: tuple[Line, ...]) -> str:
    return "\n".join(write(line, colours=False) for line in lines)


def rollout(
    phase: Phase = Phase.HOLDING,
    message: str = "waits to be promoted",
    *,
    step: int = 1,
    attempt: int = 1,
    failed: str = "",
    candidate: str = NEW,
    **more: Any,
) -> RolloutStatus:
    return RolloutStatus(
        candidate=candidate,
        attempt=attempt,
        step=step,
        phase=phase,
        message=message,
        held_since=ago(seconds=42) if phase is Phase.HOLDING else None,
        failed=failed,
        failed_since=ago(minutes=3) if phase is Phase.FAILED else None,
        stamp=f"{candidate.rpartition('-')[2]}/{attempt}/{step}",
        **more,
    )


def aborted(candidate: str = NEW) -> RolloutStatus:
    return rollout(Phase.FAILED, "aborted", failed="aborted", candidate=candidate)


def condition(
    type_: ConditionType, status: Truth, reason: Reason, message: str, **since: float
) -> Condition:
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=ago(**since or {"seconds": 42}),
    )


def settled(stable: str | None = NEW) -> Status:
    """One revision serves everything, as far as there is one."""
    ready = Truth.TRUE if stable else Truth.FALSE
    return Status(
        observed_generation=4,
        url="http://digits.team-a.svc.cluster.local",
        version="2" if stable else None,
        phase="Ready" if stable else "Pending",
        ready_replicas=2 if stable else 0,
        desired_replicas=2,
        conditions=(
            condition(ConditionType.READY, ready, Reason.SERVING, f"revision {stable} serves"),
        ),
        variants=(VariantStatus(name="default", stable=stable, candidate=None if stable else NEW,
                                revisions=_revisions(10000 if stable else 0)),),
    )  # fmt: skip


def moving(told: RolloutStatus | None = None, *, weight: int = 50) -> Status:
    """NEW takes over from OLD; by `told`, or without routers."""
    failed = told is not None and bool(told.failed)
    return Status(
        observed_generation=4,
        url="http://digits.team-a.svc.cluster.local",
        version="1",
        phase="Degraded" if failed else "Progressing",
        ready_replicas=2,
        desired_replicas=2,
        conditions=(
            condition(
                ConditionType.READY, Truth.FALSE, Reason.HOLDING,
                f"revision {NEW} (version 2) has {weight} % of the traffic",
            ),
            condition(
                ConditionType.AVAILABLE, Truth.TRUE, Reason.SERVING, "requests are answered", days=2
            ),
        ),
        variants=(VariantStatus(name="default", stable=OLD, candidate=NEW, weight=weight,
                                rollout=told, revisions=_revisions(weight * 100)),),
    )  # fmt: skip


# -- two variants: control has four fifths, challenger one


def model(version: str) -> Json:
    return {"uri": f"file:///models/v{version}", "version": version}


ARMS: Json = {
    "model": model("4"),
    **ROUTED,
    "variants": [
        {"name": "control", "weight": 80},
        {"name": "challenger", "weight": 20, "model": model("2")},
    ],
}


def arms(
    control: RolloutStatus | None = None,
    challenger: RolloutStatus | None = None,
    *,
    share: int = 8000,
) -> Status:
    """`share` is what control has, in parts of 10000. Where one rolls out, half of its own share is
    on the candidate; where that failed, nothing is."""
    rolling = [told for told in (control, challenger) if told is not None]
    return Status(
        observed_generation=4,
        url="http://digits.team-a.svc.cluster.local",
        version="3, 1" if rolling else "4, 2",
        phase="Progressing" if rolling else "Ready",
        ready_replicas=4,
        desired_replicas=4,
        conditions=(
            condition(
                ConditionType.READY, Truth.FALSE if rolling else Truth.TRUE,
                Reason.HOLDING if rolling else Reason.SERVING,
                "variant challenger: it goes on" if rolling else "2 variants serve",
            ),
        ),
        variants=(
            _arm("control", share, control, (CONTROL_OLD, CONTROL_NEW), ("3", "4")),
            _arm("challenger", 10000 - share, challenger, (OLD, NEW), ("1", "2")),
        ),
    )  # fmt: skip


def _arm(
    name: str,
    share: int,
    told: RolloutStatus | None,
    names: tuple[str, str],
    versions: tuple[str, str],
) -> VariantStatus:
    weight = 100 if told is None else 0 if told.failed else 50
    parts = (share * (100 - weight) // 100, share * weight // 100)
    revisions = [
        RevisionStatus(name=each, number=number, version=version, weight=part,
                       replicas=2 * bool(part), ready_replicas=2 * bool(part))
        for each, number, version, part in zip(names, (2, 3), versions, parts, strict=True)
    ]  # fmt: skip
    return VariantStatus(
        name=name,
        share=share,
        stable=names[1] if told is None else names[0],
        candidate=None if told is None else names[1],
        weight=0 if told is None else weight,
        rollout=told,
        ready_replicas=sum(each.ready_replicas for each in revisions),
        revisions=tuple(revisions),
    )


def _revisions(weight: int) -> tuple[RevisionStatus, ...]:
    """The first one is only kept."""
    return (
        RevisionStatus(name="digits-aaa", number=1, version="0", uri="file:///models/v0"),
        RevisionStatus(
            name=OLD, number=2, version="1", uri="file:///models/v1", replicas=2 * (weight < 10000),
            ready_replicas=2 * (weight < 10000), weight=10000 - weight,
        ),
        RevisionStatus(
            name=NEW, number=3, version="2", uri="file:///models/v2", replicas=2 if weight else 0,
            ready_replicas=1 if 0 < weight < 10000 else 2 * bool(weight), weight=weight,
        ),
    )  # fmt: skip


def raw(
    status: Status | None = None,
    *,
    name: str = NAME,
    namespace: str = NAMESPACE,
    generation: int = 4,
    annotations: Mapping[str, str] | None = None,
    spec: Json | None = None,
    **metadata: Any,
) -> Json:
    """As the API server sends it. `annotations` are given without their group."""
    marked = {f"{labels.GROUP}/{verb}": text for verb, text in (annotations or {}).items()}
    return {
        "apiVersion": labels.API_VERSION,
        "kind": labels.KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-of-{name}",
            "generation": generation,
            "resourceVersion": "1",
            "creationTimestamp": ago(days=2, hours=5),
            "annotations": marked,
            **metadata,
        },
        "spec": spec or spec_json("v2", **ROUTED),
        "status": written(status) if status is not None else {},
    }


def resource(status: Status | None = None, **more: Any) -> Resource:
    return read_resource(raw(status, **more))


def pod(name: str, revision: str, *, ready: bool = True, restarts: int = 0, **more: Any) -> Json:
    made = raw_pod(
        name,
        revision=revision,
        conditions={"Ready": {"status": "True" if ready else "False"}},
        containers=[{**raw_container(**more), "restartCount": restarts}],
    )
    made["metadata"] |= {
        "namespace": NAMESPACE,
        "creationTimestamp": ago(minutes=7),
        "labels": {labels.DEPLOYMENT: NAME, labels.REVISION: revision},
    }
    return made


def event(reason: str, message: str, *, warning: bool = False, **since: float) -> Json:
    return {
        "metadata": {"name": f"{NAME}.{reason}", "namespace": NAMESPACE},
        "involvedObject": {"kind": labels.KIND, "name": NAME, "uid": f"uid-of-{NAME}"},
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message,
        "lastTimestamp": ago(**since),
        "count": 1,
    }


def controller_revision(
    number: int, name: str, variant: str = labels.DEFAULT_VARIANT, **data: Any
) -> Json:
    model = {"uri": f"file:///models/v{number - 1}", "version": str(number - 1)}
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {labels.DEPLOYMENT: NAME, labels.VARIANT: variant},
            "creationTimestamp": ago(days=4 - number),
        },
        "revision": number,
        "data": {"model": model, "template": {}, **data},
    }


ANALYSIS = AnalysisStatus(
    step=1,
    verdict="Wait",
    action="Hold",
    message="errors against stable: 340 more requests are needed",
    requests=120,
    more=340,
    checks=(
        CheckStatus(
            name="errors", verdict="Harmless", requests=120, failures=0, rate="0%", low="0%",
            high="2.1%", harm="0.00", harm_needed="3.00",
        ),
        CheckStatus(
            name="errors against stable", verdict="Open", requests=120, failures=3, rate="2.5%",
            low="0.6%", high="6.9%", stable_requests=118, stable_failures=1, stable_rate="0.847%",
            difference="1.65%", harm="0.42", harm_needed="3.69", more=340,
        ),
    ),
)  # fmt: skip


def cluster(status: Status | None = None, **more: Any) -> MemoryApi:
    """With one ModelDeployment, its pods, its revisions and an event."""
    api = MemoryApi()
    api.put(kinds.MODEL_DEPLOYMENT, raw(status if status is not None else settled(), **more))
    for each in PODS:
        api.put(kinds.POD, each)
    for number, name in enumerate(("digits-aaa", OLD, NEW), 1):
        api.put(kinds.CONTROLLER_REVISION, controller_revision(number, name))
    api.put(kinds.EVENT, event("Holding", "half of the traffic", seconds=40))
    return api


def cluster_of_arms(status: Status | None = None, **more: Any) -> MemoryApi:
    """With the two variants, their pods and their revisions."""
    api = MemoryApi()
    told = status if status is not None else arms()
    api.put(kinds.MODEL_DEPLOYMENT, raw(told, **{"spec": ARMS, **more}))
    for variant in told.variants:
        for each in variant.revisions:
            api.put(kinds.CONTROLLER_REVISION, _made(variant.name, each))
            for n in range(each.replicas):
                api.put(kinds.POD, pod(f"{each.name}-{n + 1}", each.name))
    return api


def _made(variant: str, told: RevisionStatus) -> Json:
    served = model(str(told.version))
    return controller_revision(
        told.number, told.name, variant, model=served, spec={"model": served}
    )


PODS = (
    pod(f"{OLD}-1", OLD),
    pod(f"{OLD}-2", OLD, restarts=1),
    pod(f"{NEW}-1", NEW),
    pod(
        f"{NEW}-2", NEW, ready=False, restarts=3,
        last={"exitCode": 1, "message": '{"reason": "ModelNotFound", "message": "no such file"}'},
        waiting={"reason": "CrashLoopBackOff"},
    ),
)  # fmt: skip
