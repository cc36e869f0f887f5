"""A rollout of pods with accelerators, from the picture of the cluster to what is done about it."""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus
from modelfleet_operator.plan.decide import decide
from modelfleet_operator.plan.types import Count, Plan
from modelfleet_operator.seen import GpuHolder, GpuNode, Gpus, Observed, Pod
from tests.unit.operator.builders import (
    DEFAULTS,
    NAMESPACE,
    pod,
    pods,
    revision,
    routed,
    seen,
    spec,
    trouble,
)

GPU = "nvidia.com/gpu"


def asks(model: str, **more: Any) -> Spec:
    return spec(model, **{"accelerator": {}, "routing": {"mode": "Router"}, "replicas": 2} | more)


A, B = revision(asks("v1"), 1), revision(asks("v2"), 2)
ALL_A = {A.name: 10000}


def picture(*more: Pod, wanted: Spec | None = None, **told: Any) -> Observed:
    """A serves with both of its pods."""
    there = [*pods(A, 2), *more]
    found = seen(wanted or asks("v2"), revisions=[A, B], pods=there, desired={A.name: 2})
    rollout = RolloutStatus(candidate=B.name, phase=Phase.STARTING, **told) if told else None
    return routed(found, ALL_A, stable=A, told=rollout)


def counted(there: int) -> dict[str, Gpus]:
    """Two are A's."""
    holders = tuple(GpuHolder(NAMESPACE, A.name, 1) for _ in range(2))
    return {GPU: Gpus((GpuNode("node-1", there, holders=holders),))}


def rollout(plan: Plan) -> RolloutStatus:
    found = plan.status.variants[0].rollout
    assert found is not None
    return found


def test_a_plan_asks_for_what_is_free_once() -> None:
    asked = decide(picture(), DEFAULTS)
    assert asked.asks_for_gpus == {GPU}
    after = decide(replace(picture(), gpus=counted(3)), DEFAULTS)
    assert after.asks_for_gpus == frozenset()
    assert rollout(after).surge == "InPlace"
    assert rollout(after).surge_reason == f"2 of 3 {GPU} in use, 1 free, 2 needed"


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"accelerator": None}, id="without accelerators"),
        pytest.param({"routing": {"mode": "Direct"}}, id="without a router"),
        pytest.param({"rollout": {"surge": "Surge"}}, id="asked for by name"),
    ],
)
def test_nobody_asks_where_nothing_depends_on_it(more: dict[str, Any]) -> None:
    wanted = asks("v2", **more)
    if more.get("routing"):
        found = seen(wanted, revisions=[A, B], pods=pods(A, 2))
    else:
        found = picture(wanted=wanted)
    assert decide(found, DEFAULTS).asks_for_gpus == frozenset()


def test_what_a_cluster_may_not_say_is_told() -> None:
    unread = {GPU: Gpus(unread="the operator may not look at the cluster's nodes (forbidden)")}
    told = rollout(decide(replace(picture(), gpus=unread), DEFAULTS))
    assert told.surge == "Surge"
    assert "is not known: the operator may not look" in told.surge_reason


def test_a_pod_that_is_on_its_way_out_has_its_place_still() -> None:
    leaving = pod(A, "a-leaving", leaving=True)
    plan = decide(picture(leaving, surge="InPlace", demand=2), DEFAULTS)
    assert plan.verdict is not None
    assert plan.verdict.replicas[B.name].least == 0


def test_a_pod_that_has_ended_holds_nothing() -> None:
    """The object of one that was evicted stays for a while."""
    ended = replace(pod(A, "a-evicted", leaving=True), ended=True)
    plan = decide(picture(ended, surge="InPlace", demand=2, spare=1), DEFAULTS)
    assert plan.verdict is not None
    assert plan.verdict.replicas[B.name].least == 1


def test_pods_without_a_place_are_those_that_lack_accelerators() -> None:
    lost = trouble(Reason.INSUFFICIENT_ACCELERATORS, f"Insufficient {GPU}")
    other = trouble(Reason.UNSCHEDULABLE, "node(s) had untolerated taint")
    since = "2026-03-01T11:59:00Z"
    found = [
        rollout(
            decide(
                picture(pod(B, scheduled=False, trouble=why), surge="Surge", waiting_since=since),
                DEFAULTS,
            )
        ).surge
        for why in (lost, other)
    ]
    assert found == ["InPlace", "Surge"]


AUTOSCALED = asks(
    "v2",
    replicas=None,
    autoscaling={"minReplicas": 1, "maxReplicas": 4},
    resources={"requests": {"cpu": "1"}},
)


@pytest.mark.parametrize(
    ("surge", "number"),
    [
        pytest.param("Surge", None, id="beside the earlier ones the autoscaler decides"),
        pytest.param("InPlace", 1, id="in place it would give the one what the other is to get"),
    ],
)
def test_who_decides_how_many(surge: str, number: int | None) -> None:
    wanted = revision(AUTOSCALED, 2)
    found = seen(AUTOSCALED, revisions=[A, wanted], pods=pods(A, 2))
    told = RolloutStatus(
        candidate=wanted.name, phase=Phase.STARTING, surge=surge, demand=2, spare=0
    )
    plan = decide(routed(found, ALL_A, stable=A, told=told), DEFAULTS)
    assert plan.verdict is not None
    count: Count = plan.verdict.replicas[A.name]
    assert count.pods == number
