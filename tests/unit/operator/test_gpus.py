"""How many more pods would find their accelerators?"""

from dataclasses import replace
from typing import Any

import pytest

from modelfleet_operator.plan import gpus, revisions
from modelfleet_operator.plan.rollout.facts import Places
from modelfleet_operator.seen import GpuHolder, GpuNode, Gpus, Json
from tests.unit.operator.builders import DEFAULTS, NAMESPACE, revision, seen, spec

GPU = "nvidia.com/gpu"
L4 = {"nvidia.com/gpu.product": "NVIDIA-L4"}
A100 = {"nvidia.com/gpu.product": "NVIDIA-A100"}
SERVING = revision(spec("v1", accelerator={}))


def other(number: int) -> GpuHolder:
    """A pod of somebody else."""
    return GpuHolder("team-b", "", number)


def own(number: int = 1) -> GpuHolder:
    return GpuHolder(NAMESPACE, SERVING.name, number)


def node(name: str, number: int, *holders: GpuHolder, **more: Any) -> GpuNode:
    return GpuNode(name, number, holders=holders, **more)


def count(*nodes: GpuNode, pod: Json | None = None, **accelerator: Any) -> Places | None:
    wanted = spec("v2", accelerator=accelerator, podTemplate=pod or {})
    picture = seen(wanted, revisions=[SERVING])
    picture = replace(picture, gpus={GPU: Gpus(nodes)})
    parts = revisions.decide(picture, wanted, DEFAULTS)
    kept = replace(parts, kept=(SERVING, parts.wanted))
    return gpus.places(picture, wanted, kept)


@pytest.mark.parametrize(
    ("nodes", "more", "fits", "total"),
    [
        pytest.param([node("a", 4)], {}, 4, 4, id="all are free"),
        pytest.param([node("a", 4, other(3))], {}, 1, 1, id="others have three of four"),
        pytest.param([node("a", 4, own(), own(), other(1))], {}, 1, 3, id="two are our own"),
        pytest.param([node("a", 2, own(), own())], {}, 0, 2, id="all are our own"),
        pytest.param([node("a", 1), node("b", 1)], {"count": 2}, 0, 0, id="two, on two nodes"),
        pytest.param([node("a", 5)], {"count": 2}, 2, 2, id="one is left over"),
        pytest.param([node("a", 1, other(2))], {}, 0, 0, id="a node with fewer than are held"),
        pytest.param([node("a", 2, schedulable=False)], {}, 0, 0, id="cordoned"),
        pytest.param(
            [node("a", 2, labels=A100), node("b", 1, labels=L4)],
            {"products": ["NVIDIA-L4"]},
            1,
            1,
            id="another product",
        ),
    ],
)
def test_places(nodes: list[GpuNode], more: dict[str, Any], fits: int, total: int) -> None:
    found = count(*nodes, **more)
    assert found is not None
    assert (found.fits, found.total) == (fits, total)


def test_pods_that_hold_another_product_leave_no_place() -> None:
    nodes = node("a", 2, own(), own(), labels=A100), node("b", 1, other(1), labels=L4)
    found = count(*nodes, products=["NVIDIA-L4"])
    assert found is not None
    assert (found.fits, found.total, found.elsewhere) == (0, 0, 2)


@pytest.mark.parametrize(
    ("nodes", "more", "says"),
    [
        pytest.param(
            [node("a", 4, other(3), labels=L4)],
            {"products": ["NVIDIA-L4"]},
            "3 of 4 nvidia.com/gpu NVIDIA-L4 in use, 1 free",
            id="of one product",
        ),
        pytest.param(
            [node("a", 2, other(1)), node("b", 2, other(1))],
            {"count": 2},
            "2 of 4 nvidia.com/gpu in use, 2 free (no node has 2 of them)",
            id="free, and not together",
        ),
        pytest.param(
            [node("a", 2, labels=A100)],
            {"products": ["NVIDIA-L4"]},
            "no node that its pods may run on has nvidia.com/gpu NVIDIA-L4",
            id="none",
        ),
    ],
)
def test_the_count_in_words(nodes: list[GpuNode], more: dict[str, Any], says: str) -> None:
    found = count(*nodes, **more)
    assert found is not None
    assert found.says == says


def test_what_may_not_be_read_is_not_known() -> None:
    wanted = spec("v2", accelerator={})
    picture = replace(seen(wanted), gpus={GPU: Gpus(unread="forbidden")})
    parts = revisions.decide(picture, wanted, DEFAULTS)
    assert gpus.places(picture, wanted, parts) == Places(None, says="forbidden")
    assert gpus.places(seen(wanted), wanted, parts) is None


TAINT = {"key": "team", "value": "a", "effect": "NoSchedule"}


def required(*expressions: Json) -> Json:
    terms = [{"matchExpressions": list(expressions)}]
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": wanted}}


def says(operator: str, *values: str) -> Json:
    return required({"key": "zone", "operator": operator, "values": list(values)})


@pytest.mark.parametrize(
    ("pod", "more", "may"),
    [
        pytest.param({}, {}, True, id="nothing is said"),
        pytest.param({"nodeSelector": {"zone": "a"}}, {"labels": {"zone": "a"}}, True, id="chosen"),
        pytest.param({"nodeSelector": {"zone": "a"}}, {}, False, id="not chosen"),
        pytest.param(says("In", "a", "b"), {"labels": {"zone": "b"}}, True, id="one of"),
        pytest.param(says("In", "a"), {}, False, id="one of, without the label"),
        pytest.param(says("NotIn", "a"), {}, True, id="none of, without the label"),
        pytest.param(says("Exists"), {"labels": {"zone": ""}}, True, id="exists"),
        pytest.param(says("DoesNotExist"), {"labels": {"zone": ""}}, False, id="does not exist"),
        pytest.param(says("Gt", "3"), {"labels": {"zone": "4"}}, True, id="above"),
        pytest.param(says("Lt", "3"), {"labels": {"zone": "4"}}, False, id="below"),
        pytest.param(says("Gt", "3"), {"labels": {"zone": "x"}}, False, id="above, of no number"),
        pytest.param(required(), {}, False, id="an empty term"),
        pytest.param({}, {"taints": (TAINT,)}, False, id="tainted"),
        pytest.param(
            {"tolerations": [TAINT]}, {"taints": (TAINT,)}, True, id="tainted, and tolerated"
        ),
        pytest.param(
            {"tolerations": [{**TAINT, "value": "b"}]},
            {"taints": (TAINT,)},
            False,
            id="tainted with another value",
        ),
        pytest.param(
            {"tolerations": [{"key": "team", "operator": "Exists"}]},
            {"taints": (TAINT,)},
            True,
            id="any value is tolerated",
        ),
        pytest.param(
            {"tolerations": [{"operator": "Exists"}]},
            {"taints": (TAINT,)},
            True,
            id="everything is tolerated",
        ),
        pytest.param(
            {"tolerations": [{**TAINT, "effect": "NoExecute"}]},
            {"taints": (TAINT,)},
            False,
            id="another effect is tolerated",
        ),
        pytest.param(
            {},
            {"taints": ({**TAINT, "effect": "PreferNoSchedule"},)},
            True,
            id="tainted, by preference",
        ),
    ],
)
def test_nodes_where_the_scheduler_may_put_it(pod: Json, more: dict[str, Any], may: bool) -> None:
    assert gpus.may_run(pod, GpuNode("a", 1, **more)) is may


def test_the_taint_with_the_resources_own_name_is_tolerated() -> None:
    tainted = node("a", 2, taints=({"key": GPU, "effect": "NoSchedule"},))
    found = count(tainted)
    assert found is not None
    assert found.fits == 2
