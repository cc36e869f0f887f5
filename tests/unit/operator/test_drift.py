"""Does an object of the cluster already read as it should?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.drift import reads_as

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
OBJECTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(OBJECTS)
def test_an_object_reads_as_itself(anything: Any) -> None:
    assert reads_as(anything, anything)


@given(st.dictionaries(st.text(max_size=4), OBJECTS, max_size=3), OBJECTS)
def test_what_others_added_does_not_count(ours: dict[str, Any], theirs: Any) -> None:
    assert reads_as(ours, {**ours, "theirs, and a key of no object": theirs})


@given(st.lists(OBJECTS, max_size=3), OBJECTS)
def test_a_list_of_another_length_is_another_list(items: list[Any], more: Any) -> None:
    assert not reads_as(items, [*items, more])
    assert not reads_as([*items, more], items)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param("1000m", "1", id="thousandths"),
        pytest.param("0.5", "500m", id="a fraction"),
        pytest.param("0.0001", "100u", id="less than a thousandth"),
        pytest.param(2, "2", id="a number and its text"),
        pytest.param("1024Mi", "1Gi", id="a larger unit"),
        pytest.param("1.5Gi", "1536Mi", id="a fraction of a larger unit"),
        pytest.param("1000k", "1M", id="decimal units"),
        pytest.param({}, None, id="an empty object that was left out"),
        pytest.param([], None, id="an empty list that was left out"),
        pytest.param((), None, id="an empty tuple that was left out"),
        pytest.param(False, None, id="a false that was left out"),
        pytest.param("", None, id="an empty text that was left out"),
        pytest.param({"a": {"b": ""}}, {"a": {}}, id="one inside"),
        pytest.param((1, 2), [1, 2], id="a tuple"),
        pytest.param({"a": None}, {}, id="nothing"),
    ],
)
def test_what_the_api_server_writes_in_another_way_is_the_same(wanted: Any, found: Any) -> None:
    assert reads_as(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param("1", "2", id="another amount"),
        pytest.param("1Gi", "1G", id="another kind of unit"),
        pytest.param("1x", "1y", id="no amount"),
        pytest.param("a", None, id="missing"),
        pytest.param(0, None, id="zero is not nothing"),
        pytest.param(True, None, id="true is not nothing"),
        pytest.param(True, False, id="the opposite"),
        pytest.param(None, "a", id="something where nothing should be"),
        pytest.param({"a": 1}, None, id="an object that is missing"),
        pytest.param({"a": 1}, [1], id="a list for an object"),
        pytest.param([1], {"a": 1}, id="an object for a list"),
        pytest.param([1, 2], [2, 1], id="another order"),
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, id="deep inside"),
    ],
)
def test_what_differs_is_seen(wanted: Any, found: Any) -> None:
    assert not reads_as(wanted, found)
