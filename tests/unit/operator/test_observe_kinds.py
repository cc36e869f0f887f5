"""What do a resource, a revision, a Deployment and a Service with its endpoints say?"""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Status
from modelfleet_operator.children import controller_revision, deployment
from modelfleet_operator.children.service import address
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.drift import reads_as
from modelfleet_operator.observe.gather import observe
from modelfleet_operator.observe.kinds import (
    read_address,
    read_resource,
    read_revisions,
    read_workloads,
)
from modelfleet_operator.seen import Address, InvalidSpec, Json, Trouble, Workload
from tests.unit.operator.builders import (
    NAME,
    NAMESPACE,
    NOW,
    UID,
    owner,
    resource,
    revision,
    spec,
    spec_json,
)
from tests.unit.operator.memory_api import MemoryApi

A, B = revision("v1", 1), revision("v2", 2)


def raw_resource(**fields: Any) -> Json:
    metadata = {"name": NAME, "namespace": NAMESPACE, "uid": UID, "generation": 3}
    return {"metadata": metadata, "spec": spec_json(), **fields}


def test_a_resource_without_a_status() -> None:
    read = read_resource(raw_resource())
    assert (read.spec, read.status, read.generation) == (spec(), Status(), 3)
    assert not read.deleting


def test_a_resource_that_is_being_deleted() -> None:
    found = raw_resource()
    found["metadata"]["deletionTimestamp"] = "now"
    assert read_resource(found).deleting


def test_a_spec_that_cannot_be_read_says_where() -> None:
    read = read_resource(raw_resource(spec={**spec_json(), "rollout": {"speed": "Fast"}}))
    assert read.spec == InvalidSpec("spec.rollout.speed: Extra inputs are not permitted")
    assert isinstance(read_resource({**raw_resource(), "spec": None}).spec, InvalidSpec)


@pytest.mark.parametrize(
    ("status", "read"),
    [
        pytest.param({"phase": "Ready", "later": 1}, Status(phase="Ready"), id="a later field"),
        pytest.param({"replicas": "many"}, Status(), id="nonsense"),
        pytest.param(
            {
                "phase": "Ready",
                "conditions": [
                    {"type": "Later", "status": "True", "reason": "Serving"},
                    {"type": "Ready", "status": "True", "reason": "Later"},
                ],
            },
            Status(phase="Ready"),
            id="conditions that only a later operator knows",
        ),
    ],
)
def test_a_status_that_cannot_be_read_is_none(status: Json, read: Status) -> None:
    found = read_resource(raw_resource(status=status))
    assert found.status == read
    assert found.raw_status == status


def test_revisions_come_the_oldest_first_and_as_they_were_written() -> None:
    raw = [controller_revision.build(resource(), each) for each in (B, A)]
    assert read_revisions(raw) == (A, B)


def test_a_revision_holds_what_an_undo_puts_back() -> None:
    asked = {"model": {"uri": "file:///models/v1"}, "runtime": {"timeout": "5s"}}
    made = controller_revision.build(resource(), replace(A, spec=asked, restart="once"))
    (read,) = read_revisions([made])
    assert (read.spec, read.restart) == (asked, "once")


def test_a_revision_of_an_earlier_operator_is_not_given_what_it_never_held() -> None:
    """The API server would refuse it."""
    made = controller_revision.build(resource(), A)
    (read,) = read_revisions([made])
    assert made["data"].keys() == {"model", "template"}
    assert controller_revision.build(resource(), read) == made


def test_a_revision_of_a_later_operator_is_kept_as_it_stands() -> None:
    """The API server lets nobody change its data, so it has to read as it should."""
    made = controller_revision.build(resource(), A)
    model = {"uri": "s3://models/1", "format": "mar", "version": "v1", "credentials": {"x": "y"}}
    later = {**made, "data": {**made["data"], "model": model}}
    (read,) = read_revisions([later])
    assert (read.name, read.model.uri, read.model.version) == (A.name, "s3://models/1", "v1")
    assert reads_as(controller_revision.build(resource(), read), later)


def test_a_revision_that_was_deleted_is_read_from_its_deployment() -> None:
    told = Status.model_validate(
        {"variants": [{"name": "default", "revisions": [{"name": A.name, "number": 1}]}]}
    )
    raw = [controller_revision.build(resource(), B)]
    deployments = [deployment.build(resource(), each) for each in (A, B)]
    assert read_revisions(raw, deployments, told) == (A, B)
    assert read_revisions(raw, deployments)[0].number == 0


@pytest.mark.parametrize(
    "env",
    [
        pytest.param([], id="no document"),
        pytest.param([{"name": "MODELFLEET_SERVE", "value": "{"}], id="a broken document"),
    ],
)
def test_a_deployment_that_serves_nothing_we_know_is_no_revision(env: list[Json]) -> None:
    made = deployment.build(resource(), A)
    containers = [{"name": "model", "env": env}]
    spec_ = {**made["spec"], "template": {"spec": {"containers": containers}}}
    assert read_revisions([], [{**made, "spec": spec_}]) == ()


def raw_deployment(**fields: Any) -> Json:
    return {"metadata": {"name": "digits-x"}, "spec": {"replicas": 3}, **fields}


def condition(type_: str, status: str, message: str = "") -> Json:
    return {"status": {"conditions": [{"type": type_, "status": status, "message": message}]}}


@pytest.mark.parametrize(
    ("found", "read"),
    [
        pytest.param(raw_deployment(), Workload("digits-x", 3), id="before its controller came"),
        pytest.param(raw_deployment(spec={}), Workload("digits-x", 1), id="no number is one"),
        pytest.param(
            raw_deployment(**condition("ReplicaFailure", "True", "exceeded quota")),
            Workload("digits-x", 3, Trouble(Reason.PODS_REFUSED, "exceeded quota")),
            id="pods are refused",
        ),
        pytest.param(
            raw_deployment(**condition("ReplicaFailure", "False")),
            Workload("digits-x", 3),
            id="pods are not refused any more",
        ),
        pytest.param(
            raw_deployment(**condition("Available", "True")), Workload("digits-x", 3), id="fine"
        ),
    ],
)
def test_what_a_deployment_says(found: Json, read: Workload) -> None:
    assert read_workloads([found]) == {"digits-x": read}


def endpoint(pod: str, **conditions: bool) -> Json:
    return {"targetRef": {"kind": "Pod", "name": pod}, "conditions": conditions}


def test_without_a_service_there_is_no_address() -> None:
    assert read_address(None, [{"endpoints": [endpoint("a", ready=True)]}], {"a": A.name}) is None


def test_what_stands_behind_the_address() -> None:
    slices: list[Json] = [
        {"endpoints": [endpoint("a1", ready=True), endpoint("a2", ready=False, terminating=True)]},
        {"endpoints": [endpoint("b1"), endpoint("gone", ready=True), {"conditions": None}]},
        {"endpoints": None},
    ]
    whose = {"a1": A.name, "a2": A.name, "b1": B.name}
    assert read_address(address(resource(), B.name), slices, whose) == Address(
        B.name, ready={A.name: 1, B.name: 1}, present={A.name: 2, B.name: 1}
    )


@pytest.mark.parametrize("spec_", [{}, {"selector": {"app": "other"}}])
def test_an_address_that_selects_none_of_ours(spec_: Json) -> None:
    assert read_address({"spec": spec_}, [], {}) == Address(None)


# Gathering: which objects are part of the picture at all.


def child(name: str, *, uid: str | None = UID, manager: str = labels.MANAGER) -> Json:
    made = controller_revision.build(resource(), A)
    metadata = {**made["metadata"], "name": name, "ownerReferences": [owner(uid)] if uid else []}
    metadata["labels"] = {**metadata["labels"], "app.kubernetes.io/managed-by": manager}
    return {**made, "metadata": metadata}


async def test_what_belongs_to_the_resource_is_read_and_nothing_else() -> None:
    api = MemoryApi()
    api.put(kinds.MODEL_DEPLOYMENT, raw_resource())
    api.put(kinds.CONTROLLER_REVISION, child("ours"))
    api.put(kinds.CONTROLLER_REVISION, child("orphan", uid=None))
    api.put(kinds.CONTROLLER_REVISION, child("of-a-namesake", uid="uid-of-an-earlier-one"))
    api.put(kinds.CONTROLLER_REVISION, child("labelled-by-hand", manager="Helm"))
    seen = await observe(api, RouterApi(), NAMESPACE, NAME, NOW)
    assert seen is not None
    assert {key.name for key in seen.children} == {"ours", "orphan"}
    assert {r.name for r in seen.revisions} == {"ours", "orphan"}
    assert isinstance(seen.resource.spec, Spec)


async def test_only_the_slices_of_the_address_count() -> None:
    api = MemoryApi()
    api.put(kinds.MODEL_DEPLOYMENT, raw_resource())
    api.put(kinds.SERVICE, address(resource(), A.name))
    pod = {"name": "a1", "namespace": NAMESPACE, "labels": A.template["metadata"]["labels"]}
    api.put(kinds.POD, {"metadata": pod})
    for service in (NAME, A.name):
        own = {labels.DEPLOYMENT: NAME, kinds.SERVICE_OF_SLICE: service}
        metadata = {"name": f"{service}-1", "namespace": NAMESPACE, "labels": own}
        api.put(kinds.ENDPOINT_SLICE, {"metadata": metadata, "endpoints": [endpoint("a1")]})
    seen = await observe(api, RouterApi(), NAMESPACE, NAME, NOW)
    assert seen is not None
    assert seen.address == Address(A.name, {A.name: 1}, {A.name: 1})
    assert [p.name for p in seen.pods] == ["a1"]


async def test_a_resource_that_is_not_there_is_no_picture() -> None:
    assert await observe(MemoryApi(), RouterApi(), NAMESPACE, NAME, NOW) is None
