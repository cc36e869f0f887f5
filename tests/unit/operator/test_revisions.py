"""Which revision is wanted, which serves, and which are kept?"""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet_operator.api import labels
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Status, VariantStatus
from modelfleet_operator.plan import revisions
from modelfleet_operator.plan.revisions import HASHED, revision_name
from modelfleet_operator.plan.types import Revisions
from modelfleet_operator.router.site import Interval
from modelfleet_operator.seen import Observed, Revision, Routing
from tests.unit.operator.builders import (
    DEFAULTS,
    address,
    pod,
    pods,
    resource,
    revision,
    seen,
    spec,
    spec_json,
)
from tests.unit.operator.router.builders import site

A, B, C, D = (revision(f"v{n}", n) for n in (1, 2, 3, 4))


def named(**fields: Any) -> str:
    return revision_name("digits", "default", Spec.model_validate({**spec_json(), **fields}))


def decided(picture: Observed) -> Revisions:
    wanted = picture.resource.spec
    assert isinstance(wanted, Spec)
    return revisions.decide(picture, wanted, DEFAULTS)


EXPLICIT_DEFAULTS: dict[str, Any] = {
    "runtime": {
        "batching": {"maxSize": 32, "maxDelay": "0s", "queueSize": 512},
        "timeout": "30s",
        "env": [],
    },
    "resources": {"requests": {}, "limits": {}},
    "replicas": 1,
    "rollout": {"progressDeadline": "15m", "historyLimit": 5},
    "podTemplate": {"labels": {}, "tolerations": [], "volumes": []},
}


def test_a_default_that_the_api_server_fills_in_does_not_change_the_name() -> None:
    assert named(**EXPLICIT_DEFAULTS) == named()
    for field, value in EXPLICIT_DEFAULTS.items():
        assert named(**{field: value}) == named()


def test_a_default_inside_something_that_is_set_does_not_change_the_name() -> None:
    bare, full = {"count": 2}, {"count": 2, "resourceName": "nvidia.com/gpu", "products": []}
    assert named(accelerator=bare) == named(accelerator=full)
    assert named(model={**spec_json()["model"], "format": "auto"}) == named()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"model": {"uri": "file:///models/v2", "version": "v1"}}, id="address"),
        pytest.param({"model": {"uri": "file:///models/v1", "version": "v2"}}, id="version"),
        pytest.param({"model": {"uri": "file:///models/v1"}}, id="no version"),
        pytest.param({"runtime": {"timeout": "31s"}}, id="timeout"),
        pytest.param({"runtime": {"batching": {"maxSize": 8}}}, id="batching"),
        pytest.param({"runtime": {"image": "mine:1"}}, id="image"),
        pytest.param({"runtime": {"env": [{"name": "A", "value": ""}]}}, id="env"),
        pytest.param({"resources": {"requests": {"cpu": "1"}}}, id="requests"),
        pytest.param({"resources": {"limits": {"cpu": "1"}}}, id="limits"),
        pytest.param({"accelerator": {}}, id="an accelerator with nothing but defaults"),
        pytest.param({"podTemplate": {"nodeSelector": {"a": "b"}}}, id="overlay"),
    ],
)
def test_what_pods_are_made_from_changes_the_name(fields: dict[str, Any]) -> None:
    assert named(**fields) != named()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"replicas": 7}, id="replicas"),
        pytest.param({"autoscaling": {"maxReplicas": 4}}, id="autoscaling"),
        pytest.param({"rollout": {"historyLimit": 0, "progressDeadline": "1m"}}, id="rollout"),
    ],
)
def test_how_many_and_how_fast_does_not_change_the_name(fields: dict[str, Any]) -> None:
    assert named(**fields) == named()


def test_every_field_of_the_spec_is_either_in_the_name_or_known_not_to_be() -> None:
    others = {"replicas", "autoscaling", "rollout", "routing", "variants", "experiment"}
    assert set(Spec.model_fields) == HASHED | others


def test_the_same_amount_of_time_or_of_cpu_has_the_same_name() -> None:
    assert named(runtime={"timeout": "90s"}) == named(runtime={"timeout": "1m30s"})
    assert named(resources={"requests": {"cpu": 2, "memory": "1Gi"}}) == named(
        resources={"requests": {"memory": "1Gi", "cpu": "2"}}
    )


def test_the_name_says_whose_it_is_and_is_a_label_value_and_a_services_name() -> None:
    longest = "d" * labels.LONGEST_NAME
    name = revision_name(longest, "default", spec())
    assert name.startswith(longest + "-")
    assert len(name) == 63
    assert name[-1].isalnum()


def test_the_name_never_changes_with_the_operators_version() -> None:
    assert named() == "digits-dlmcm5slc9"


def test_another_variant_has_another_name() -> None:
    assert revision_name("digits", "control", spec()) != revision_name("digits", "default", spec())


def test_the_first_revision_has_number_one_and_nothing_serves() -> None:
    parts = decided(seen(spec("v1")))
    assert parts.wanted == A
    assert (parts.serving, parts.proven, parts.kept) == (None, False, (A,))


def test_a_new_revision_has_the_highest_number_and_one() -> None:
    parts = decided(seen(spec("v3"), revisions=[revision("v1", 4), revision("v2", 2)]))
    assert parts.wanted.number == 5


def test_going_back_finds_the_old_revision_as_it_is() -> None:
    frozen = Revision(A.name, 1, A.variant, A.model, {"made": "by an earlier operator"})
    parts = decided(
        seen(spec("v1"), revisions=[frozen, B], pods=pods(B, 1), address=address(B)),
    )
    assert parts.wanted is frozen
    assert parts.serving == B
    assert parts.switching


def test_the_template_of_a_new_revision_is_made_from_the_spec() -> None:
    assert decided(seen(spec("v1"))).wanted.template == A.template
    assert resource().name in A.template["metadata"]["labels"].values()


STABLE_A = Status(variants=(VariantStatus(name="default", stable=A.name),))


@pytest.mark.parametrize(
    ("ready", "status", "proven"),
    [
        pytest.param(1, Status(), True, id="a ready pod proves it"),
        pytest.param(0, STABLE_A, True, id="it has been ready before, its pods are away"),
        pytest.param(0, Status(), False, id="it has never been ready"),
    ],
)
def test_when_what_serves_is_proven(ready: int, status: Status, proven: bool) -> None:
    picture = seen(
        spec("v2"),
        revisions=[A],
        pods=pods(A, ready, of_all=2),
        address=address(A),
        status=status,
    )
    assert decided(picture).proven is proven


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        pytest.param(0, [D], id="none but what serves"),
        pytest.param(1, [C, D], id="the latest before it"),
        pytest.param(5, [A, B, C, D], id="all there are"),
    ],
)
def test_the_history_holds_the_latest(limit: int, kept: list[Revision]) -> None:
    picture = seen(
        spec("v4", rollout={"historyLimit": limit}),
        revisions=[A, B, C, D],
        pods=pods(D, 1),
        address=address(D, ready={D.name: 1}),
    )
    assert list(decided(picture).kept) == kept


def test_what_serves_is_kept_whatever_the_limit_and_its_age() -> None:
    picture = seen(
        spec("v4", rollout={"historyLimit": 0}),
        revisions=[A, B, C],
        pods=pods(A, 0, of_all=1),
        address=address(A),
    )
    assert decided(picture).kept == (A, D)


@pytest.mark.parametrize(
    ("picture", "kept"),
    [
        pytest.param({"pods": [pod(B, ready=False)]}, True, id="it still has a pod"),
        pytest.param({"pods": [pod(B, leaving=True)]}, False, id="its last pod is leaving"),
        pytest.param({"behind": {B.name: 1}}, True, id="an endpoint is behind the address"),
        pytest.param({}, False, id="nothing of it runs"),
    ],
)
def test_one_that_still_runs_is_not_history(picture: dict[str, Any], kept: bool) -> None:
    parts = decided(
        seen(
            spec("v3", rollout={"historyLimit": 0}),
            revisions=[B, C],
            pods=[*pods(C, 1), *picture.get("pods", ())],
            address=address(C, ready={C.name: 1}, present=picture.get("behind")),
        )
    )
    assert (B in parts.kept) is kept


def test_without_its_address_what_still_answers_goes_on_serving() -> None:
    """Somebody deleted the Service, or put another selector on it, in the middle of a change."""
    for lost in (None, address(None)):
        parts = decided(
            seen(
                spec("v2"),
                revisions=[A, B],
                pods=[*pods(A, 2), *pods(B, 0, of_all=2)],
                address=lost,
            )
        )
        assert parts.serving == A
        assert parts.proven


def test_without_its_address_and_with_all_pods_away_the_proven_one_goes_on_serving() -> None:
    parts = decided(seen(spec("v2"), revisions=[A, B], address=None, status=STABLE_A))
    assert parts.serving == A


def test_a_new_revision_remembers_what_it_was_made_from() -> None:
    """So that an undo can ask for the very same again."""
    asked = spec("v1", runtime={"timeout": "5s"}, replicas=3)
    picture = seen(asked)
    marked = replace(picture.resource, annotations={labels.RESTART: "once"})
    wanted = decided(replace(picture, resource=marked)).wanted
    assert wanted.spec == {
        "model": {"uri": "file:///models/v1", "version": "v1"},
        "runtime": {"timeout": "5s"},
    }
    assert wanted.restart == "once"
    again = Spec.model_validate(wanted.spec)
    assert revision_name("digits", "default", again, wanted.restart) == wanted.name


@pytest.mark.parametrize(
    ("line", "status", "serving"),
    [
        pytest.param([(B, 7500), (A, 2500)], STABLE_A, A, id="the one that was told"),
        pytest.param([(B, 7500), (A, 2500)], Status(), A, id="the last one, if nothing is told"),
        pytest.param([(A, 7500), (B, 2500)], Status(), B, id="the last one, if it came later, too"),
        pytest.param([(B, 10000)], STABLE_A, A, id="the one that was told, without a share, too"),
        pytest.param([(B, 10000)], Status(), B, id="the only one"),
        pytest.param([(B, 6000), (C, 4000)], Status(), B, id="one that is there"),
    ],
)
def test_among_those_that_routers_serve(
    line: list[tuple[Revision, int]], status: Status, serving: Revision
) -> None:
    """A candidate begins at the left of the line, however much of it it has by now."""
    told = site(
        "digits",
        *(each.name for each, _ in line),
        intervals=tuple(Interval(each.name, parts) for each, parts in line),
    )
    picture = seen(spec("v2"), revisions=[A, B], pods=[*pods(A, 2), *pods(B, 2)], status=status)
    assert decided(replace(picture, routing=Routing(told))).serving == serving
