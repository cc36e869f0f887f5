"""The children of a plan: owner, labels, selectors, and which there are at all."""

from datetime import timedelta
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children.all_of import all_of
from modelfleet_operator.seen import Json, Observed
from tests.unit.operator.builders import (
    NAME,
    NAMESPACE,
    UID,
    address,
    autoscaled,
    healthy,
    pods,
    revision,
    seen,
    spec,
    verdict,
)

A, B = revision("v1", 1), revision("v2", 2)


def children(picture: Observed) -> list[Json]:
    return list(all_of(picture, verdict(picture)))


def named(picture: Observed) -> list[tuple[str, str]]:
    return [(c["kind"], c["metadata"]["name"]) for c in children(picture)]


def only(picture: Observed, kind: str, name: str) -> Json:
    (found,) = [c for c in children(picture) if (c["kind"], c["metadata"]["name"]) == (kind, name)]
    return found


CHANGING = seen(
    spec("v2", replicas=2),
    revisions=[A, B],
    pods=[*pods(A, 2), *pods(B, 1, of_all=2)],
    address=address(A, ready={A.name: 2}),
)
AUTOSCALED = healthy(autoscaled("v1", least=2, most=6))
AUTO = revision(autoscaled())


def test_what_a_change_consists_of_in_the_order_in_which_it_is_made() -> None:
    of_each = ["ControllerRevision", "Service", "Deployment", "PodDisruptionBudget"]
    assert named(CHANGING) == [
        *((kind, A.name) for kind in of_each),
        *((kind, B.name) for kind in of_each),
        ("Service", NAME),
    ]


@pytest.mark.parametrize("picture", [CHANGING, AUTOSCALED], ids=["changing", "autoscaled"])
def test_every_child_is_ours_and_goes_when_the_resource_goes(picture: Observed) -> None:
    for each in children(picture):
        metadata = each["metadata"]
        kind = kinds.BY_NAME[each["kind"]]
        assert each["apiVersion"] == kind.api_version
        assert metadata["namespace"] == NAMESPACE
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == labels.MANAGER
        assert metadata["labels"][labels.DEPLOYMENT] == NAME
        (owner,) = metadata["ownerReferences"]
        assert (owner["uid"], owner["kind"], owner["controller"]) == (UID, "ModelDeployment", True)
        assert "blockOwnerDeletion" not in owner


def test_a_revisions_children_say_so_and_the_address_says_it_is_the_address() -> None:
    roles = {
        c["metadata"]["name"]: c["metadata"]["labels"][labels.ROLE] for c in children(CHANGING)
    }
    assert roles == {A.name: "revision", B.name: "revision", NAME: "address"}


def test_every_selector_finds_the_pods_of_one_revision_of_this_deployment() -> None:
    for each in children(CHANGING):
        selector = each.get("spec", {}).get("selector")
        if selector is None:
            continue
        selector = selector.get("matchLabels", selector)
        revision_ = A.name if each["metadata"]["name"] == NAME else each["metadata"]["name"]
        assert selector == {labels.DEPLOYMENT: NAME, labels.REVISION: revision_}
        template = {A.name: A, B.name: B}[revision_].template
        assert selector.items() <= template["metadata"]["labels"].items()


def ports(service: Json) -> list[tuple[str, int, str, str]]:
    keys = ("name", "port", "targetPort", "appProtocol")
    return [tuple(port[key] for key in keys) for port in service["ports"]]


def test_the_address_stays_on_its_ports_and_moves_with_the_verdict() -> None:
    before = only(CHANGING, "Service", NAME)["spec"]
    assert before["selector"][labels.REVISION] == A.name
    assert ports(before) == [
        ("http", 80, "http", "http"),
        ("grpc", 8081, "grpc", "kubernetes.io/h2c"),
    ]
    ready = seen(spec("v2"), revisions=[A, B], pods=[*pods(A, 1), *pods(B, 1)], address=address(A))
    assert only(ready, "Service", NAME)["spec"]["selector"][labels.REVISION] == B.name


def test_a_revision_has_a_headless_service_of_its_own() -> None:
    body = only(CHANGING, "Service", B.name)["spec"]
    assert body["clusterIP"] == "None"
    assert ports(body) == [
        ("http", 8080, "http", "http"),
        ("grpc", 8081, "grpc", "kubernetes.io/h2c"),
    ]


def test_a_deployment_holds_the_frozen_template_and_no_number() -> None:
    body = only(CHANGING, "Deployment", A.name)["spec"]
    assert body["template"] is A.template
    assert "replicas" not in body


def test_a_revision_holds_its_number_its_template_and_what_is_set_of_its_model() -> None:
    body = only(CHANGING, "ControllerRevision", B.name)
    assert body["revision"] == 2
    # Its data can never be changed: a default of today must not be written into it.
    assert body["data"]["model"] == {"uri": "file:///models/v2", "version": "v2"}
    assert body["data"]["template"] == B.template


@pytest.mark.parametrize(("replicas", "there"), [(0, False), (1, False), (2, True)])
def test_only_more_than_one_pod_has_a_disruption_budget(replicas: int, there: bool) -> None:
    picture = healthy(spec(replicas=replicas))
    assert (("PodDisruptionBudget", A.name) in named(picture)) is there
    if there:
        assert only(picture, "PodDisruptionBudget", A.name)["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize(("desired", "there"), [(0, False), (1, False), (3, True)])
def test_under_an_autoscaler_the_budget_follows_its_number(desired: int, there: bool) -> None:
    picture = seen(
        autoscaled(), revisions=[AUTO], desired={AUTO.name: desired}, address=address(AUTO)
    )
    assert (("PodDisruptionBudget", AUTO.name) in named(picture)) is there


def test_where_it_is_asked_for_an_autoscaler_holds_the_bounds() -> None:
    body = only(AUTOSCALED, "HorizontalPodAutoscaler", AUTO.name)["spec"]
    assert body["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": AUTO.name,
    }
    assert (body["minReplicas"], body["maxReplicas"]) == (2, 6)
    target: dict[str, Any] = {"type": "Utilization", "averageUtilization": 80}
    assert body["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def test_what_takes_over_has_the_load_of_the_moment_as_its_lower_bound() -> None:
    two = revision(autoscaled("v2"), 2)
    picture = seen(
        autoscaled("v2"), revisions=[AUTO, two], pods=pods(AUTO, 5), address=address(AUTO)
    )
    assert only(picture, "HorizontalPodAutoscaler", two.name)["spec"]["minReplicas"] == 5
    assert only(picture, "HorizontalPodAutoscaler", AUTO.name)["spec"]["minReplicas"] == 1


def test_what_does_not_serve_any_more_has_no_autoscaler() -> None:
    two = revision(autoscaled("v2"), 2)
    picture = seen(
        autoscaled("v2"),
        revisions=[AUTO, two],
        pods=[*pods(AUTO, 2), *pods(two, 2)],
        address=address(two, ready={two.name: 2}, present={AUTO.name: 1}),
        after=timedelta(minutes=1),
    )
    found = [name for kind, name in named(picture) if kind == "HorizontalPodAutoscaler"]
    assert found == [two.name]


def test_where_no_autoscaler_is_asked_for_there_is_none() -> None:
    assert "HorizontalPodAutoscaler" not in {kind for kind, _ in named(CHANGING)}


def test_numbers_are_posted_past_the_routers() -> None:
    wanted = spec(runtime={"feedback": ["clicked"]})
    picture = healthy(wanted)
    made = all_of(picture, verdict(picture))
    (found,) = [each for each in made if each["metadata"]["name"] == f"{NAME}-feedback"]
    (pod_,) = [each for each in made if each["kind"] == "Deployment"]
    carried = pod_["spec"]["template"]["metadata"]["labels"]
    assert found["spec"]["selector"].items() <= carried.items()
    assert labels.REVISION not in found["spec"]["selector"], "any pod of any variant"
    without = healthy()
    names = {each["metadata"]["name"] for each in all_of(without, verdict(without))}
    assert f"{NAME}-feedback" not in names
