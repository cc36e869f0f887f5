"""On which nodes may a pod with accelerators run, and what does it take of them?"""

from copy import deepcopy
from typing import Any

import pytest

from modelfleet_operator.api.spec import Accelerator
from modelfleet_operator.plan.placement import affinity, limits, tolerations
from modelfleet_operator.seen import Json

L4 = Accelerator(count=2, products=("NVIDIA-L4", "NVIDIA-A10"))
ANY = Accelerator()
MIG = Accelerator(resource_name="nvidia.com/mig-1g.10gb")
EXPRESSION = {
    "key": "nvidia.com/gpu.product",
    "operator": "In",
    "values": ["NVIDIA-A10", "NVIDIA-L4"],
}
ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def nodes(*terms: Json) -> Json:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


@pytest.mark.parametrize(
    ("accelerator", "limit"),
    [
        pytest.param(None, {"cpu": "1"}, id="none"),
        pytest.param(L4, {"cpu": "1", "nvidia.com/gpu": "2"}, id="two"),
        pytest.param(MIG, {"cpu": "1", "nvidia.com/mig-1g.10gb": "1"}, id="a part of one"),
    ],
)
def test_accelerators_are_a_limit(accelerator: Accelerator | None, limit: Json) -> None:
    asked = {"cpu": "1"}
    assert limits(accelerator, asked) == limit
    assert asked == {"cpu": "1"}


def test_the_taint_of_the_accelerators_is_put_up_with_beside_what_is_asked_for() -> None:
    spot = {"key": "spot", "operator": "Exists"}
    own = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert tolerations(None, [spot]) == [spot]
    assert tolerations(ANY, [spot]) == [own, spot]


@pytest.mark.parametrize(
    ("accelerator", "asked", "made"),
    [
        pytest.param(None, None, None, id="nothing"),
        pytest.param(None, nodes(), nodes(), id="what is asked for"),
        pytest.param(ANY, None, None, id="any product will do"),
        pytest.param(L4, None, nodes({"matchExpressions": [EXPRESSION]}), id="the products alone"),
        pytest.param(
            L4,
            nodes({"matchExpressions": [ZONE]}, {"matchFields": [ZONE]}),
            nodes(
                {"matchExpressions": [ZONE, EXPRESSION]},
                {"matchFields": [ZONE], "matchExpressions": [EXPRESSION]},
            ),
            id="in each of the alternatives",
        ),
        pytest.param(
            L4,
            {"podAntiAffinity": {"a": 1}, "nodeAffinity": {PREFERRED: [{"weight": 1}]}},
            {
                "podAntiAffinity": {"a": 1},
                "nodeAffinity": {
                    PREFERRED: [{"weight": 1}],
                    **nodes({"matchExpressions": [EXPRESSION]})["nodeAffinity"],
                },
            },
            id="beside what is preferred",
        ),
    ],
)
def test_products_are_required_of_nodes(
    accelerator: Accelerator | None, asked: Json | None, made: Json | None
) -> None:
    before = deepcopy(asked)
    assert affinity(accelerator, asked) == made
    assert asked == before


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param({"nodeAffinity": {REQUIRED: "zone a"}}, id="a text for an object"),
        pytest.param(nodes() | {"nodeAffinity": {REQUIRED: []}}, id="a list for an object"),
        pytest.param({"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": {}}}}, id="no list"),
        pytest.param(nodes("zone=a"), id="a text for a term"),  # type: ignore[arg-type]
        pytest.param(nodes({"matchExpressions": "zone=a"}), id="a text for expressions"),
    ],
)
def test_what_is_no_affinity_is_left_for_the_api_server_to_refuse(asked: dict[str, Any]) -> None:
    """It says what is wrong, in words that reach the status; we would only fail."""
    assert affinity(L4, asked) == asked
