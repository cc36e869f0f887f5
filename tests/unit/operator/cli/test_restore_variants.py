"""An undo of one variant describes its earlier revision again, and changes no other variant."""

import re
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from modelfleet_operator.api.spec import Spec
from modelfleet_operator.cli.exits import Missing, Refusal
from modelfleet_operator.cli.restore import Restoration, restore, target, undone
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.plan.revisions import hashed
from modelfleet_operator.plan.variants import asked
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import spec_json
from tests.unit.operator.cli.cases import (
    ARMS,
    ROUTED,
    arms,
    controller_revision,
    raw,
    resource,
    rollout,
    settled,
)
from tests.unit.operator.memory_api import merge_patched

MODELS = st.sampled_from(["v1", "v2", "v3"]).map(lambda v: spec_json(v)["model"])
RESOURCES = st.sampled_from([{"requests": {"cpu": "1"}}, {"limits": {"memory": "1Gi"}}])
ACCELERATORS = st.sampled_from([{"count": 2}, {"resourceName": "amd.com/gpu"}])
OWN = {"model": MODELS, "resources": RESOURCES, "accelerator": ACCELERATORS}
NAMES = ("a", "b", "c")


@st.composite
def specs(draw: st.DrawFn) -> Json:
    """Of one to three variants, each with some parts of its own."""
    spec: Json = draw(
        st.fixed_dictionaries(
            {"model": MODELS},
            optional={
                "resources": RESOURCES,
                "accelerator": ACCELERATORS,
                "runtime": st.sampled_from([{"timeout": "5s"}, {"batching": {"maxSize": 8}}]),
                "podTemplate": st.sampled_from([{"nodeSelector": {"zone": "a"}}]),
            },
        )
    )
    count = draw(st.integers(1, len(NAMES)))
    entries = [
        {"name": name, "weight": 100 if not n else 0}
        | draw(st.fixed_dictionaries({}, optional=OWN))
        for n, name in enumerate(NAMES[:count])
    ]
    return {**spec, "routing": {"mode": "Router"}, "variants": entries}


def runs(spec: Json) -> dict[str, Json]:
    """What the pods of each variant are made from."""
    return {each.name: hashed(each.spec) for each in asked(Spec.model_validate(spec))}


def revision_of(parts: Json, variant: str, number: int = 2, **data: Any) -> Json:
    return controller_revision(number, "x", variant, spec=parts, model=parts["model"], **data)


def filled_in(spec: Json) -> Json:
    """With the defaults, as the API server stores it."""
    whole = Spec.model_validate(spec)
    stored: Json = whole.model_dump(mode="json", by_alias=True, exclude_none=True)
    return stored


@given(now=specs(), then=specs(), stored=st.booleans())
def test_the_variant_is_as_it_was_and_the_others_are_as_they_are(
    now: Json, then: Json, stored: bool
) -> None:
    before = raw(settled(), spec=filled_in(now) if stored else now)
    wanted = runs(then)["a"]
    try:
        back = restore(read_resource(before), before, revision_of(wanted, "a"))
    except Refusal:
        event("refused")
        return
    event("restored" if back.fields else "the same")
    after = merge_patched(before, back.fields)["spec"]
    assert runs(after) == {**runs(now), "a": wanted}
    again = merge_patched(before, back.fields)
    assert restore(read_resource(again), again, revision_of(wanted, "a")).fields == {}
    shares = [(each["name"], each["weight"]) for each in after["variants"]]
    assert shares == [(each["name"], each["weight"]) for each in now["variants"]]


@given(now=specs(), then=specs())
def test_it_is_refused_only_for_what_others_inherit_or_an_entry_cannot_say(
    now: Json, then: Json
) -> None:
    before = raw(settled(), spec=now)
    has, wanted = runs(now), runs(then)["a"]
    entry, *others = now["variants"]
    shared = [
        part
        for part in ("model", "runtime", "resources", "accelerator", "podTemplate")
        if part not in entry
        and has["a"].get(part) != wanted.get(part)
        and any(part not in each for each in others)
    ]
    unsayable = "accelerator" in entry and "accelerator" in now and "accelerator" not in wanted
    try:
        restore(read_resource(before), before, revision_of(wanted, "a"))
    except Refusal:
        assert shared or unsayable
    else:
        assert not shared
        assert not unsayable


def back_to(spec: Json, parts: Json, variant: str = "challenger", **more: Any) -> Restoration:
    before = raw(arms(), spec=spec, **more)
    return restore(read_resource(before), before, revision_of(parts, variant))


OLD = {"model": spec_json("v1")["model"]}


def test_what_a_variant_has_of_its_own_goes_back_in_its_entry() -> None:
    back = back_to(ARMS, OLD)
    control, challenger = ARMS["variants"]
    assert back.fields == {"spec": {"variants": [control, {**challenger, **OLD}]}}
    assert back.changed == ("spec.variants[challenger].model",)


def test_what_only_one_inherits_goes_back_above() -> None:
    back = back_to(ARMS, OLD, "control")
    assert back.fields == {"spec": {"model": OLD["model"]}}
    assert back.changed == ("spec.model",)


@pytest.mark.parametrize(
    ("spec", "parts", "says"),
    [
        (
            ARMS
            | {"variants": [{"name": "challenger", "weight": 50}, {"name": "b", "weight": 50}]},
            OLD,
            (
                "that revision of variant challenger of digits had another spec.model, which b "
                "would get as well: give variant challenger its own "
                "(spec.variants[challenger].model), or change spec.model for all of them"
            ),
        ),
        (
            ARMS,
            runs(ARMS)["challenger"] | {"runtime": {"timeout": "5s"}},
            (
                "had another spec.runtime, which control would get as well: change spec.runtime "
                "for all of them"
            ),
        ),
        (
            ARMS | {"accelerator": {"count": 1}},
            runs(ARMS)["challenger"],
            "which control would get as well: change spec.accelerator for all of them",
        ),
        (
            ARMS
            | {
                "accelerator": {"count": 1},
                "variants": [
                    ARMS["variants"][0],
                    ARMS["variants"][1] | {"accelerator": {"count": 2}},
                ],
            },
            runs(ARMS)["challenger"],
            "had no accelerator, and a variant cannot be without the one of spec.accelerator",
        ),
    ],
)
def test_what_would_change_another_is_refused(spec: Json, parts: Json, says: str) -> None:
    with pytest.raises(Refusal, match=re.escape(says)):
        back_to(spec, parts)


# -- a restart is of every variant


def test_a_restart_stays_where_there_are_others() -> None:
    back = back_to(ARMS, OLD, annotations={"restart": "x"})
    assert back.restarted
    assert "metadata" not in back.fields


def test_nothing_but_a_restart_is_not_taken_back_for_one() -> None:
    with pytest.raises(Refusal, match="a restart is of every variant"):
        back_to(ARMS, runs(ARMS)["challenger"], annotations={"restart": "x"})


def test_the_restart_of_the_only_variant_is_taken_back() -> None:
    only = ARMS | {"variants": [{"name": "challenger", "weight": 100}]}
    back = back_to(only, OLD, annotations={"restart": "x"})
    assert back.fields["metadata"] == {"annotations": {"modelfleet.dev/restart": None}}
    assert not back.restarted


# -- which one


REVISIONS = [
    controller_revision(number, f"digits-{letter * 3}", variant)
    for variant, letters in (("control", "efg"), ("challenger", "abc"))
    for number, letter in enumerate(letters, 1)
]


@pytest.mark.parametrize(
    ("status", "variant", "number", "found"),
    [
        (arms(), "control", None, "digits-fff"),
        (arms(), "challenger", None, "digits-bbb"),
        (arms(challenger=rollout()), "challenger", None, "digits-bbb"),
        (arms(), "control", 1, "digits-eee"),
        (arms(), "challenger", 1, "digits-aaa"),
    ],
)
def test_each_variant_counts_its_own(
    status: Any, variant: str, number: int | None, found: str
) -> None:
    of = resource(status, spec=ARMS)
    assert target(of, REVISIONS, number, variant)["metadata"]["name"] == found


def test_a_number_that_a_variant_has_not_names_those_that_it_has() -> None:
    says = (
        "no revision 7 of variant control of digits; there are 1, 2, 3 "
        "(`modelfleet history digits --variant control`)"
    )
    with pytest.raises(Missing, match=re.escape(says)):
        target(resource(arms(), spec=ARMS), REVISIONS, 7, "control")


def test_of_several_one_has_to_be_named() -> None:
    found = resource(arms(), spec=ARMS)
    says = (
        "digits has variants control and challenger, each with revisions of its own, so say which "
        "to undo: `modelfleet undo digits --variant control` or `modelfleet undo digits --variant "
        "challenger`"
    )
    with pytest.raises(Refusal, match=re.escape(says)):
        undone(found, None)
    with pytest.raises(Missing, match="no variant b: it has control and challenger"):
        undone(found, "b")
    assert undone(found, "control") == "control"


def test_one_that_leaves_cannot_be_put_back() -> None:
    found = resource(arms(), spec=spec_json("v4", **ROUTED))
    assert undone(found, None) == "default"
    with pytest.raises(Missing, match="no variant challenger: it has default"):
        undone(found, "challenger")
