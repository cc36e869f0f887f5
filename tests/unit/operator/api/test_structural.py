"""How does a pydantic model become a schema that Kubernetes takes?"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from modelfleet_contract import DIGEST_PATTERN, Duration
from modelfleet_operator.api.rules import RULES, SHAPES, quoted, rule, rules
from modelfleet_operator.api.structural import structural


class Colour(StrEnum):
    RED = "red"
    """Like a tomato."""
    BLUE = "blue"
    """Like the
    sky."""


class Inner(BaseModel, use_attribute_docstrings=True):
    """What it is."""

    wait: Duration = timedelta(seconds=90)
    colour: Colour = Colour.RED
    """Which one."""


class Outer(BaseModel, use_attribute_docstrings=True):
    inner: Annotated[Inner, Field(json_schema_extra=rules(rule("true", "said.")))] = Inner()
    """What it is for."""
    maybe: Inner | None = None
    digest: str | None = Field(default=None, pattern=DIGEST_PATTERN)
    names: tuple[str, ...] = ()
    sizes: dict[str, int] = {}
    anything: dict[str, Any] = {}


FIELDS = structural(Outer)["properties"]


def test_a_reference_is_written_out_and_the_field_speaks_before_its_type() -> None:
    assert FIELDS["inner"]["description"] == "What it is for."
    assert FIELDS["maybe"]["description"] == "What it is."
    assert list(FIELDS["inner"]["properties"]) == ["wait", "colour"]


def test_rules_of_a_field_join_those_of_its_type() -> None:
    assert FIELDS["inner"][RULES] == [{"rule": "true", "message": "said."}]
    assert RULES not in FIELDS["maybe"]


def test_defaults_stand_on_every_parent_in_full() -> None:
    assert FIELDS["inner"]["default"] == {"wait": "1m30s", "colour": "red"}


def test_an_optional_field_is_one_that_may_be_absent() -> None:
    for name in ("maybe", "digest", "names", "sizes", "anything"):
        assert "default" not in FIELDS[name]
    assert FIELDS["digest"]["type"] == "string"


def test_a_pattern_becomes_a_rule_with_a_sentence() -> None:
    assert FIELDS["digest"][RULES] == [
        {"rule": f"self.matches(r'{DIGEST_PATTERN}')", "message": SHAPES[DIGEST_PATTERN]}
    ]


def test_a_pattern_without_a_sentence_is_an_error() -> None:
    class Shaped(BaseModel):
        name: str = Field(pattern="^x$")

    with pytest.raises(KeyError):
        structural(Shaped)


def test_the_values_of_an_enumeration_are_explained() -> None:
    colour = FIELDS["inner"]["properties"]["colour"]
    assert colour["enum"] == ["red", "blue"]
    assert colour["description"] == "Which one. red: Like a tomato; blue: Like the sky."


def test_maps_keep_their_values_and_free_ones_everything() -> None:
    assert FIELDS["sizes"]["additionalProperties"]["type"] == "integer"
    assert FIELDS["anything"]["x-kubernetes-preserve-unknown-fields"] is True


def test_what_kubernetes_cannot_say_is_an_error() -> None:
    class Union(BaseModel):
        value: int | str

    class Exclusive(BaseModel):
        value: int = Field(gt=0)

    class Constant(BaseModel):
        value: Literal["x"]

    for kind in (Union, Exclusive, Constant):
        with pytest.raises(ValueError, match=rf"{kind.__name__}\.value"):
            structural(kind)


def test_a_quote_is_refused_in_a_raw_string() -> None:
    with pytest.raises(ValueError, match="quote"):
        quoted("it's")
