"""What is written, in which order, and what is left alone."""

from typing import Any

import pytest

from modelfleet_operator import act, kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.status import Status, VariantStatus
from modelfleet_operator.children.all_of import all_of
from modelfleet_operator.cluster.errors import Conflict, Refused, Unavailable
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.loop import Key, Look
from modelfleet_operator.observe.gather import observe
from modelfleet_operator.plan.types import Event
from modelfleet_operator.seen import Json, Observed, Revision
from tests.unit.operator.builders import (
    DEFAULTS,
    NAME,
    NAMESPACE,
    NOW,
    UID,
    owner,
    revision,
    seen,
    spec_json,
    verdict,
)
from tests.unit.operator.memory_api import MemoryApi, refusing, said

A, B = revision("v1", 1), revision("v2", 2)
LOOK = Key(NAMESPACE, NAME)


def asking(api: MemoryApi, model: str = "v1", **more: Any) -> None:
    metadata = {"name": NAME, "namespace": NAMESPACE, "uid": UID, "generation": 1}
    found = api.find(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)
    body = {**(found or {}), "metadata": metadata, "spec": spec_json(model, **more)}
    api.put(kinds.MODEL_DEPLOYMENT, body)


async def picture(api: MemoryApi) -> Observed:
    found = await observe(api, RouterApi(), NAMESPACE, NAME, NOW)
    assert found is not None
    return found


async def acted(api: MemoryApi) -> list[str]:
    """The writes to the children in one look."""
    api.writes.clear()
    found = await picture(api)
    refusal = await act.children(api, found, verdict(found))
    return [*said(api.writes), *([refusal] if refusal else [])]


def running(api: MemoryApi, of: Revision, ready: int) -> None:
    """So many of its pods are ready, and behind the address if it selects them."""
    for number in range(ready):
        metadata = {**of.template["metadata"], "namespace": NAMESPACE}
        ready_ = [{"type": "Ready", "status": "True"}]
        api.put(
            kinds.POD,
            {
                "metadata": {**metadata, "name": f"{of.name}-{number}"},
                "spec": {"nodeName": "n"},
                "status": {"conditions": ready_},
            },
        )


def behind(api: MemoryApi, of: Revision, number: int) -> None:
    names = [f"{of.name}-{n}" for n in range(number)]
    own = {labels.DEPLOYMENT: NAME, kinds.SERVICE_OF_SLICE: NAME}
    endpoints = [{"targetRef": {"name": n}, "conditions": {"ready": True}} for n in names]
    metadata = {"name": f"{NAME}-s", "namespace": NAMESPACE, "labels": own}
    api.put(kinds.ENDPOINT_SLICE, {"metadata": metadata, "endpoints": endpoints})


async def serving(api: MemoryApi, replicas: int = 2, **more: Any) -> None:
    """A serves."""
    asking(api, "v1", replicas=replicas, **more)
    await acted(api)
    running(api, A, replicas)
    behind(api, A, replicas)


async def test_what_a_thing_needs_is_made_before_it_and_the_address_at_last() -> None:
    api = MemoryApi()
    asking(api, replicas=2)
    assert await acted(api) == [
        f"create ControllerRevision {A.name}",
        f"create Service {A.name}",
        f"create Deployment {A.name}",
        f"create PodDisruptionBudget {A.name}",
        f"create Service {NAME}",
    ]
    made = api.find(kinds.DEPLOYMENT, NAMESPACE, A.name)
    assert made is not None
    assert made["spec"]["replicas"] == 2


async def test_a_healthy_look_writes_nothing() -> None:
    api = MemoryApi()
    await serving(
        api,
        resources={"requests": {"cpu": "1000m", "memory": "1024Mi"}},
        runtime={"env": [{"name": "EMPTY", "value": ""}]},
    )
    assert await acted(api) == []


async def test_pods_are_added_before_the_address_moves_and_taken_away_after() -> None:
    api = MemoryApi()
    await serving(api, 2)
    asking(api, "v2", replicas=2)
    await acted(api)
    running(api, B, 2)
    asking(api, "v2", replicas=3)
    assert await acted(api) == [f"scale Deployment {A.name}", f"scale Deployment {B.name}"]
    api.change(kinds.DEPLOYMENT, NAMESPACE, A.name, spec={"replicas": 1})
    api.change(kinds.DEPLOYMENT, NAMESPACE, B.name, spec={"replicas": 5})
    running(api, B, 3)
    assert await acted(api) == [
        f"scale Deployment {A.name}",
        f"apply Service {NAME}",
        f"scale Deployment {B.name}",
    ]


async def test_an_earlier_revision_shrinks_in_a_look_that_finds_its_endpoints_gone() -> None:
    api = MemoryApi()
    await serving(api, 2)
    asking(api, "v2", replicas=2)
    await acted(api)
    running(api, B, 2)
    assert await acted(api) == [f"apply Service {NAME}"]
    assert await acted(api) == [], "its endpoints are still behind the address"
    behind(api, B, 2)
    assert await acted(api) == [
        f"scale Deployment {A.name}",
        f"delete PodDisruptionBudget {A.name}",
    ]


async def test_what_is_pruned_goes_in_the_opposite_order_and_last() -> None:
    api = MemoryApi()
    await serving(api, 1)
    asking(api, "v2", replicas=1, rollout={"historyLimit": 0})
    await acted(api)
    running(api, B, 1)
    await acted(api)
    behind(api, B, 1)
    api.change(kinds.DEPLOYMENT, NAMESPACE, A.name, spec={"replicas": 0})
    api.remove(kinds.POD, NAMESPACE, f"{A.name}-0")
    api.change(kinds.DEPLOYMENT, NAMESPACE, B.name, spec={"replicas": 0})
    assert await acted(api) == [
        f"scale Deployment {B.name}",
        f"delete Service {A.name}",
        f"delete Deployment {A.name}",
        f"delete ControllerRevision {A.name}",
    ]


async def test_only_what_is_ours_is_pruned() -> None:
    api = MemoryApi()
    await serving(api, 1)
    ours = {"app.kubernetes.io/managed-by": labels.MANAGER, labels.DEPLOYMENT: NAME}
    for name, own, owners in (
        ("ours", ours, [owner()]),
        ("a-namesakes", ours, [owner("uid-of-an-earlier-one")]),
        ("labelled-by-hand", {**ours, "app.kubernetes.io/managed-by": "Helm"}, []),
        ("foreign", {}, []),
    ):
        metadata = {"name": name, "namespace": NAMESPACE, "labels": own, "ownerReferences": owners}
        api.put(kinds.SERVICE, {"metadata": metadata, "spec": {}})
    assert await acted(api) == ["delete Service ours"]


async def test_drift_is_corrected_and_what_others_added_is_left() -> None:
    api = MemoryApi()
    await serving(api, 1)
    mine = {"metadata": {"labels": {"theirs": "x", labels.ROLE: "other"}}}
    api.change(kinds.DEPLOYMENT, NAMESPACE, A.name, **mine)
    assert await acted(api) == [f"apply Deployment {A.name}"]
    found = api.find(kinds.DEPLOYMENT, NAMESPACE, A.name)
    assert found is not None
    assert found["metadata"]["labels"]["theirs"] == "x"
    assert found["metadata"]["labels"][labels.ROLE] == "revision"
    assert await acted(api) == []


async def test_the_number_of_pods_is_no_part_of_what_is_applied() -> None:
    """Else it would fall to one as soon as an autoscaler is to decide."""
    api = MemoryApi()
    await serving(api, 3)
    for _ in range(2):
        api.change(kinds.DEPLOYMENT, NAMESPACE, A.name, metadata={"labels": {labels.ROLE: "x"}})
        await acted(api)
        assert all("replicas" not in w.body["spec"] for w in api.writes if w.verb == "apply")
        found = api.find(kinds.DEPLOYMENT, NAMESPACE, A.name)
        assert found is not None
        assert found["spec"]["replicas"] == 3


async def test_an_autoscalers_number_is_left_alone_but_for_none_at_all() -> None:
    api = MemoryApi()
    requests = {"requests": {"cpu": "1"}}
    asking(api, autoscaling={"minReplicas": 2, "maxReplicas": 8}, resources=requests)
    await acted(api)
    name = (await picture(api)).revisions[0].name
    for number, writes in ((6, []), (0, [f"scale Deployment {name}"])):
        api.change(kinds.DEPLOYMENT, NAMESPACE, name, spec={"replicas": number})
        assert await acted(api) == writes
    found = api.find(kinds.DEPLOYMENT, NAMESPACE, name)
    assert found is not None
    assert found["spec"]["replicas"] == 2


# Refusals and old pictures.


def foreign(**own: str) -> Json:
    return {"metadata": {"name": NAME, "namespace": NAMESPACE, "labels": own}, "spec": {"x": 1}}


async def test_somebody_elses_object_of_the_same_name_is_refused_and_not_touched() -> None:
    api = MemoryApi()
    before = api.put(kinds.SERVICE, foreign(app="theirs"))
    asking(api)
    *_, last, refusal = await acted(api)
    assert last == f"create Service {NAME}"
    assert refusal == (
        'Service "digits" is there already and does not belong to modelfleet; '
        "delete it, or give the ModelDeployment another name"
    )
    assert api.find(kinds.SERVICE, NAMESPACE, NAME) == before


async def test_an_earlier_namesakes_object_is_waited_for() -> None:
    api = MemoryApi()
    ours = {"app.kubernetes.io/managed-by": labels.MANAGER, labels.DEPLOYMENT: NAME}
    body = foreign(**ours)
    body["metadata"]["ownerReferences"] = [owner("uid-of-an-earlier-one")]
    api.put(kinds.SERVICE, body)
    asking(api)
    with pytest.raises(Conflict):
        await acted(api)


async def test_nothing_is_done_after_a_refusal() -> None:
    api = MemoryApi()
    api.watched.append(refusing("create", kinds.DEPLOYMENT, Refused("exceeded quota: pods")))
    asking(api)
    assert await acted(api) == [
        f"create ControllerRevision {A.name}",
        f"create Service {A.name}",
        f"create Deployment {A.name}",
        "exceeded quota: pods",
    ]


async def test_an_api_server_that_does_not_answer_is_no_refusal() -> None:
    api = MemoryApi()
    api.watched.append(refusing("create", kinds.DEPLOYMENT, Unavailable("try later")))
    asking(api)
    with pytest.raises(Unavailable):
        await acted(api)


@pytest.mark.parametrize("change", ["labels", "scale"])
async def test_a_child_that_was_deleted_since_the_look_is_a_conflict(change: str) -> None:
    """And not a new child that nobody asked for, nor a fault that people should hear of."""
    api = MemoryApi()
    await serving(api, 1)
    if change == "labels":
        api.change(kinds.DEPLOYMENT, NAMESPACE, A.name, metadata={"labels": {labels.ROLE: "x"}})
    else:
        asking(api, replicas=2)
    found = await picture(api)
    api.remove(kinds.DEPLOYMENT, NAMESPACE, A.name)
    with pytest.raises(Conflict):
        await act.children(api, found, verdict(found))
    assert api.find(kinds.DEPLOYMENT, NAMESPACE, A.name) is None


async def test_something_that_took_the_place_of_what_is_pruned_is_left_alone() -> None:
    api = MemoryApi()
    await serving(api, 2)
    found = await picture(api)
    asking(api, replicas=1)
    smaller = await picture(api)
    assert all_of(found, verdict(found)) != all_of(smaller, verdict(smaller))
    api.remove(kinds.DISRUPTION_BUDGET, NAMESPACE, A.name)
    theirs = api.put(
        kinds.DISRUPTION_BUDGET, {"metadata": {"name": A.name, "namespace": NAMESPACE}}
    )
    assert await act.children(api, smaller, verdict(smaller)) is None
    assert api.find(kinds.DISRUPTION_BUDGET, NAMESPACE, A.name) == theirs
    api.remove(kinds.DISRUPTION_BUDGET, NAMESPACE, A.name)
    assert await act.children(api, smaller, verdict(smaller)) is None


# The status and the events.


async def test_a_status_is_written_when_it_says_something_new() -> None:
    api = MemoryApi()
    asking(api)
    told = Status(phase="Ready", variants=(VariantStatus(name="default", candidate="x"),))
    assert await act.status(api, await picture(api), told)
    assert not await act.status(api, await picture(api), told)
    shorter = Status(phase="Ready", variants=(VariantStatus(name="default"),))
    assert await act.status(api, await picture(api), shorter)
    found = await picture(api)
    assert found.resource.status == shorter
    assert found.resource.generation == 1, "the spec is never written"


async def test_a_status_never_goes_to_a_new_resource_of_the_same_name() -> None:
    api = MemoryApi()
    asking(api)
    found = await picture(api)
    api.remove(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)
    api.put(
        kinds.MODEL_DEPLOYMENT,
        {"metadata": {"name": NAME, "namespace": NAMESPACE, "uid": "new"}, "spec": spec_json()},
    )
    with pytest.raises(Conflict):
        await act.status(api, found, Status(phase="Ready"))


async def test_an_event_says_what_happened_to_whom() -> None:
    api = MemoryApi()
    news = [Event(True, "Refused", "x" * 2000), Event(False, "Serving", "it serves")]
    await act.events(api, seen(), news, "operator-1")
    one, two = sorted(api.all(kinds.EVENT), key=lambda e: str(e["type"]), reverse=True)
    assert (one["type"], one["reason"], len(one["message"])) == ("Warning", "Refused", 1024)
    assert (two["type"], two["message"]) == ("Normal", "it serves")
    assert one["involvedObject"]["uid"] == UID
    assert one["metadata"]["name"] != two["metadata"]["name"]


# One whole look.


def look(api: MemoryApi) -> Look:
    return Look(api, RouterApi(), DEFAULTS, "operator-1", clock=lambda: NOW)


async def test_a_look_at_what_is_being_deleted_does_nothing() -> None:
    api = MemoryApi()
    asking(api)
    api.change(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME, metadata={"deletionTimestamp": "now"})
    assert await look(api)(LOOK) is None
    assert api.writes == []


async def test_a_refusal_reaches_the_status_and_is_tried_again() -> None:
    api = MemoryApi()
    api.watched.append(refusing("create", kinds.DEPLOYMENT, Refused("exceeded quota")))
    asking(api)
    assert await look(api)(LOOK) == 15.0
    status = (await picture(api)).resource.status
    assert {c.reason for c in status.conditions} >= {Reason.REFUSED}
    assert [e["message"] for e in api.all(kinds.EVENT)] == ["exceeded quota"]
    api.writes.clear()
    await look(api)(LOOK)
    assert not [w for w in api.writes if w.kind in ("ModelDeployment", "Event")]


async def test_a_spec_that_cannot_be_read_leaves_every_child_as_it_is() -> None:
    api = MemoryApi()
    await serving(api, 1)
    asking(api, "v2", surge="Auto")
    api.writes.clear()
    await look(api)(LOOK)
    assert {w.kind for w in api.writes} == {"ModelDeployment", "Event"}


async def test_an_event_that_is_not_taken_is_lost_and_nothing_else_is() -> None:
    api = MemoryApi()
    api.watched.append(refusing("create", kinds.EVENT, Unavailable("no")))
    asking(api)
    await look(api)(LOOK)
    assert (await picture(api)).resource.status.phase == "Pending"
