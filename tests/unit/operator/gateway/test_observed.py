"""Which word of a Gateway counts?"""

from typing import Any

import pytest

from modelfleet_operator.gateway.observed import Route, read_route
from modelfleet_operator.kinds import Json

OURS = "example.com/ours"
OTHER = "example.com/other"


def says(
    accepted: bool = True,
    resolved: bool = True,
    generation: int | None = 3,
    controller: str = OURS,
    without: str = "",
    **reference: Any,
) -> Json:
    conditions: list[Json] = [
        {"type": "Accepted", "status": str(accepted), "reason": "NotAllowedByListeners"},
        {"type": "ResolvedRefs", "status": str(resolved), "reason": "BackendNotFound"},
    ]
    for each in conditions:
        each["message"] = "its words"
        if generation is not None:
            each["observedGeneration"] = generation
    return {
        "parentRef": {"name": "models", **reference},
        "controllerName": controller,
        "conditions": [each for each in conditions if each["type"] != without],
    }


def route(*parents: Json, **reference: Any) -> Json:
    return {
        "kind": "HTTPRoute",
        "metadata": {"name": "digits", "namespace": "team-a", "generation": 3},
        "spec": {
            "parentRefs": [{"name": "models", "namespace": "infra", **reference}],
            "rules": [
                {"backendRefs": [{"name": "a", "weight": 10000}]},
                {"backendRefs": [{"name": "a", "weight": 9500}, {"name": "b", "weight": 500}]},
            ],
        },
        "status": {"parents": list(parents)},
    }


IN: dict[str, Any] = {"namespace": "infra"}


@pytest.mark.parametrize(
    ("found", "served", "refused"),
    [
        pytest.param(route(), False, "", id="nobody has answered"),
        pytest.param(route(says(**IN)), True, "", id="taken"),
        pytest.param(
            route(says(accepted=False, **IN)),
            False,
            "NotAllowedByListeners: its words",
            id="not accepted",
        ),
        pytest.param(
            route(says(resolved=False, **IN)), False, "BackendNotFound: its words", id="no backend"
        ),
        pytest.param(route(says(generation=2, **IN)), False, "", id="of the one before"),
        pytest.param(route(says(generation=None, **IN)), False, "", id="of nobody knows which"),
        pytest.param(route(says(without="ResolvedRefs", **IN)), False, "", id="half a word"),
        pytest.param(route(says()), False, "", id="of a Gateway of that name beside us"),
        pytest.param(route(says(sectionName="x", **IN)), False, "", id="of another listener"),
        pytest.param(
            route(says(sectionName="x", **IN), sectionName="x"), True, "", id="of the listener"
        ),
        pytest.param(
            route(says(controller=OTHER, **IN)), False, "", id="somebody whose Gateway it is not"
        ),
        pytest.param(
            route(says(controller=OTHER, accepted=False, **IN), says(**IN)),
            True,
            "",
            id="another refuses it",
        ),
    ],
)
def test_the_word_that_counts(found: Json, served: bool, refused: str) -> None:
    read = read_route(found, OURS)
    assert read.served is served
    said = "" if read.standing is None or not read.standing.current else read.standing.refused
    assert said == refused


def test_where_the_controller_is_not_known_any_may_speak() -> None:
    stale = says(controller=OTHER, generation=1, **IN)
    assert read_route(route(stale, says(**IN))).served
    assert read_route(route(says(**IN), stale)).served
    assert not read_route(route(stale)).served


def test_a_gateway_in_the_same_namespace_may_leave_it_out() -> None:
    found = route(says())
    found["spec"]["parentRefs"][0]["namespace"] = "team-a"
    assert read_route(found, OURS).served


def test_the_weights_are_those_of_what_no_match_takes() -> None:
    assert read_route(route()).weights == {"a": 9500, "b": 500}


@pytest.mark.parametrize(
    ("weights", "the_same"),
    [
        ({"a": 9500, "b": 500}, True),
        ({"a": 9500, "b": 500, "c": 0}, True),
        ({"a": 10000}, False),
        ({"a": 500, "b": 9500}, False),
    ],
)
def test_whether_it_splits_so(weights: dict[str, int], the_same: bool) -> None:
    assert read_route(route()).splits(weights) is the_same


def test_what_is_not_written_yet() -> None:
    assert not Route("HTTPRoute", "digits").served
