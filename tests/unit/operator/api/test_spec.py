"""Do the API server and the operator read one object the same way?"""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelfleet_contract import FailureReason
from modelfleet_operator.api.crd import resource_schema
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.rules import Schema
from modelfleet_operator.api.sentences import sentences
from modelfleet_operator.api.spec import Accelerator, Autoscaling, Resources, Spec
from modelfleet_operator.api.status import ConditionType, Status

SCHEMA: Schema = resource_schema()["properties"]["spec"]
LEAST: dict[str, Any] = {"model": {"uri": "pvc://models/digits"}}


def filled(schema: Schema, value: Any) -> Any:
    """`value` with the schema's defaults in it, as the API server puts them there."""
    if isinstance(value, list):
        return [filled(schema["items"], one) for one in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties", {})
    made = {name: filled(known.get(name, {}), one) for name, one in value.items()}
    for name, field in known.items():
        if name not in made and "default" in field:
            made[name] = filled(field, copy.deepcopy(field["default"]))
    return made


OBJECTS = st.fixed_dictionaries(
    {"model": st.just({"uri": "pvc://models/digits"})},
    optional={
        "runtime": st.fixed_dictionaries(
            {},
            optional={
                "batching": st.fixed_dictionaries(
                    {}, optional={"maxSize": st.integers(2, 64), "maxDelay": st.just("5ms")}
                ),
                "timeout": st.sampled_from(["1s", "1h", "1m30s"]),
                "env": st.just([{"name": "A", "value": ""}]),
            },
        ),
        "resources": st.just({"requests": {"cpu": 2, "memory": "1Gi"}}),
        "accelerator": st.fixed_dictionaries(
            {}, optional={"count": st.integers(1, 8), "products": st.just(["L4"])}
        ),
        "autoscaling": st.fixed_dictionaries(
            {"maxReplicas": st.integers(1, 9)}, optional={"minReplicas": st.just(1)}
        ),
        "rollout": st.fixed_dictionaries({}, optional={"historyLimit": st.integers(0, 9)}),
        "podTemplate": st.fixed_dictionaries({}, optional={"labels": st.just({"team": "a"})}),
    },
)


@given(OBJECTS)
def test_filling_in_the_defaults_changes_nothing_that_the_operator_reads(
    spec: dict[str, Any],
) -> None:
    assert Spec.model_validate(filled(SCHEMA, spec)) == Spec.model_validate(spec)


@given(OBJECTS)
def test_filling_in_leaves_no_default_to_the_operator(spec: dict[str, Any]) -> None:
    """What the operator would say the spec is, is what stands in the object: only empty lists and
    maps, and what may be absent, are left out."""
    read = Spec.model_validate(spec).model_dump(by_alias=True, mode="json", exclude_none=True)
    assert without_empty(read) == without_empty(as_texts(filled(SCHEMA, spec)))


def without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        made = {name: without_empty(one) for name, one in value.items()}
        return {name: one for name, one in made.items() if one not in ({}, [])}
    return [without_empty(one) for one in value] if isinstance(value, list) else value


def as_texts(spec: dict[str, Any]) -> dict[str, Any]:
    """Amounts as the operator holds them."""
    for amounts in spec.get("resources", {}).values():
        amounts.update({name: str(amount) for name, amount in amounts.items()})
    return spec


def test_both_sides_know_the_same_fields() -> None:
    assert list(SCHEMA["properties"]) == [
        field.alias or name for name, field in Spec.model_fields.items()
    ]


def test_objects_without_a_default_still_get_those_of_their_fields() -> None:
    spec = LEAST | {"accelerator": {}, "autoscaling": {"maxReplicas": 3}}
    read = Spec.model_validate(spec)
    made = filled(SCHEMA, spec)
    assert read.accelerator == Accelerator.model_validate(made["accelerator"])
    assert read.autoscaling == Autoscaling.model_validate(made["autoscaling"])


@pytest.mark.parametrize(("written", "held"), [(1, "1"), ("500m", "500m"), (0, "0")])
def test_a_whole_number_is_an_amount(written: Any, held: str) -> None:
    assert Resources(requests={"cpu": written}).requests == {"cpu": held}


@pytest.mark.parametrize("written", [True, 0.5, -1, "lots", "1GiB", None])
def test_what_is_no_amount(written: Any) -> None:
    with pytest.raises(ValidationError):
        Resources.model_validate({"requests": {"cpu": written}})


def test_every_reason_of_the_runtime_is_one_of_ours() -> None:
    assert {reason.value for reason in FailureReason} <= {reason.value for reason in Reason}


@pytest.mark.parametrize("kind", [Reason, ConditionType, FailureReason])
def test_every_value_has_its_sentence(kind: Any) -> None:
    told = sentences(kind)
    assert list(told) == [value.value for value in kind]
    assert all(text.endswith(".") for text in told.values())


def test_a_status_of_a_later_version_can_be_read() -> None:
    assert Status.model_validate({"replicas": 2, "weather": "fine"}).replicas == 2
