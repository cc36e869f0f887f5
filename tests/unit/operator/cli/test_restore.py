"""An undo describes the earlier revision again, and changes nothing else."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.api.spec import Spec
from modelfleet_operator.cli.exits import Missing, Refusal
from modelfleet_operator.cli.restore import PARTS, applied_by, restore, target, warning
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.plan.revisions import HASHED, hashed, revision_name
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import NAME, spec_json
from tests.unit.operator.cli.cases import (
    NEW,
    OLD,
    ROUTED,
    aborted,
    controller_revision,
    moving,
    raw,
    resource,
    rollout,
    settled,
)
from tests.unit.operator.memory_api import merge_patched

REVISIONS = [
    controller_revision(1, "digits-aaa"),
    controller_revision(2, OLD),
    controller_revision(3, NEW),
]

specs = st.fixed_dictionaries(
    {"model": st.sampled_from(["v1", "v2"]).map(lambda v: spec_json(v)["model"])},
    optional={
        "runtime": st.sampled_from(
            [
                {"timeout": "5s"},
                {"batching": {"maxSize": 8, "preferredSizes": [4, 8]}},
                {"env": [{"name": "A", "value": "1"}], "image": "mine:1"},
            ]
        ),
        "resources": st.sampled_from(
            [{"requests": {"cpu": "1"}}, {"limits": {"memory": "1Gi", "cpu": "2"}}]
        ),
        "accelerator": st.sampled_from([{"count": 2}, {"resourceName": "amd.com/gpu"}]),
        "podTemplate": st.sampled_from([{"nodeSelector": {"zone": "a"}}, {"labels": {"x": "y"}}]),
        "replicas": st.integers(1, 5),
    },
)


def of_spec(spec: Json, number: int = 2, restart: str = "") -> Json:
    """The revision that such a spec makes."""
    parts = hashed(Spec.model_validate(spec))
    return controller_revision(
        number, OLD, spec=parts, model=parts["model"], **({"restart": restart} if restart else {})
    )


@given(now=specs, then=specs, restarts=st.tuples(*[st.sampled_from(["", "x", "y"])] * 2))
def test_the_very_revision_is_described_again_and_the_rest_of_the_spec_stays(
    now: Json, then: Json, restarts: tuple[str, str]
) -> None:
    marked = {"restart": restarts[0]} if restarts[0] else {}
    before = raw(settled(), spec=now, annotations=marked)
    back = restore(read_resource(before), before, of_spec(then, restart=restarts[1]))
    after = read_resource(merge_patched(before, back.fields))
    wanted = Spec.model_validate(then)
    assert isinstance(after.spec, Spec)
    restart = after.annotations.get("modelfleet.dev/restart", "")
    assert revision_name(NAME, "default", after.spec, restart) == revision_name(
        NAME, "default", wanted, restarts[1]
    )
    assert after.spec.replicas == Spec.model_validate(now).replicas
    again = restore(after, {**before, "spec": now | then}, of_spec(then, restart=restarts[1]))
    assert again.fields == {}, "said twice is said once"


def test_every_part_that_makes_a_revision_is_put_back() -> None:
    aliases = {Spec.model_fields[field].alias or field for field in HASHED}
    assert set(PARTS) == aliases


def test_defaults_that_the_api_server_filled_in_are_no_change() -> None:
    filled = spec_json("v2", runtime={"timeout": "30s", "batching": {"maxSize": 32}}, **ROUTED)
    before = raw(settled(), spec=filled)
    back = restore(read_resource(before), before, of_spec(spec_json("v1")))
    assert back.changed == ("spec.model",)


def test_a_field_that_the_earlier_one_did_not_have_is_taken_away() -> None:
    now = spec_json("v2") | {"model": {"uri": "file:///m", "digest": "sha256:" + "0" * 64}}
    before = raw(settled(), spec=now)
    back = restore(read_resource(before), before, of_spec(spec_json("v1")))
    assert back.fields["spec"]["model"] == {
        "digest": None,
        "uri": "file:///models/v1",
        "version": "v1",
    }


def test_a_revision_that_tells_its_model_alone_gives_that_back_and_says_so() -> None:
    before = raw(settled(), spec=spec_json("v9", runtime={"timeout": "5s"}))
    back = restore(read_resource(before), before, controller_revision(2, OLD))
    assert back.fields == {"spec": {"model": {"uri": "file:///models/v1", "version": "1"}}}
    assert back.unknown == (
        "spec.runtime", "spec.resources", "spec.accelerator", "spec.podTemplate"
    )  # fmt: skip


# -- which one


@pytest.mark.parametrize(
    ("status", "number", "found"),
    [
        (settled(), None, 2),
        (settled(OLD), None, 1),
        (moving(rollout()), None, 2),
        (moving(aborted(), weight=0), None, 2),
        (settled(), 1, 1),
        (settled(), 3, 3),
    ],
)
def test_which_revision_is_meant(status: Any, number: int | None, found: int) -> None:
    assert target(resource(status), REVISIONS, number)["revision"] == found


def test_a_number_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(Missing, match=r"no revision 7 of digits; there are 1, 2, 3 "):
        target(resource(settled()), REVISIONS, 7)


def test_before_the_oldest_there_is_none() -> None:
    with pytest.raises(Refusal, match=r"name one with --to \(there are 3"):
        target(resource(settled()), REVISIONS[2:], None)


def test_which_one_comes_before_is_not_told_by_an_old_status() -> None:
    with pytest.raises(Refusal, match=re.escape("name one with --to")):
        target(resource(settled(), generation=5), REVISIONS, None)
    assert target(resource(settled(), generation=5), REVISIONS, 2)["revision"] == 2


# -- who else has to be told


@pytest.mark.parametrize(
    ("metadata", "by"),
    [
        ({}, None),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
        (
            {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "kubectl apply",
        ),
    ],
)
def test_whoever_applies_the_resource_is_named(metadata: Json, by: str | None) -> None:
    found = {"metadata": {"name": NAME, **metadata}}
    assert applied_by(found) == by
    assert (by or "only the cluster was changed") in warning(found)
