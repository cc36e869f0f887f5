"""How many pods a larger share waits for, where an autoscaler decides."""

from dataclasses import replace

import pytest

from modelfleet_operator.api.status import Status, VariantStatus
from modelfleet_operator.plan.growth import Growth, decide
from modelfleet_operator.plan.variants import Standing
from modelfleet_operator.router.intervals import first
from modelfleet_operator.seen import Observed, Routing, Workload
from tests.unit.operator.builders import autoscaled, revision, seen, spec
from tests.unit.operator.router.builders import site

A, B = revision("v1", 1), revision("v2", 2)


def picture(a: int, b: int, parts: int, status: Status | None = None) -> Observed:
    """A has `a` pods, B `b` pods and so many parts of the traffic."""
    found = seen(revisions=[A, B], status=status)
    weights = {A.name: 10_000 - parts, B.name: parts}
    routed = replace(site("digits", A.name, B.name), intervals=first(weights))
    workloads = {A.name: Workload(A.name, a), B.name: Workload(B.name, b)}
    return replace(found, workloads=workloads, routing=Routing(routed))


@pytest.mark.parametrize(
    ("a", "b", "parts", "asked", "pods"),
    [
        pytest.param(8, 2, 2000, 8000, 8, id="four times the share, four times the pods"),
        pytest.param(8, 0, 0, 2000, 2, id="from nothing, by what all of the traffic needs"),
        pytest.param(8, 3, 1000, 9000, 20, id="never more than its autoscaler may have"),
        pytest.param(8, 2, 2000, 2000, None, id="nothing is on its way"),
        pytest.param(8, 8, 8000, 2000, None, id="a smaller share waits for nothing"),
    ],
)
def test_a_larger_share_waits_for_the_pods_of_its_load(
    a: int, b: int, parts: int, asked: int, pods: int | None
) -> None:
    found = decide(picture(a, b, parts), Standing("b", asked, autoscaled(most=20)), [B.name])
    assert (None if found is None else found.pods) == pods


def test_the_number_is_found_once() -> None:
    told = VariantStatus(name="b", awaits=8, awaits_share=8000)
    now = picture(8, 8, 2000, Status(variants=(told,)))
    wanted = Standing("b", 8000, autoscaled(most=50))
    assert decide(now, wanted, [B.name]) == Growth(8000, 8)
    other = Standing("b", 4000, autoscaled(most=50))
    assert decide(now, other, [B.name]) == Growth(4000, 16)


def test_a_fixed_number_is_a_persons_business() -> None:
    assert decide(picture(8, 2, 2000), Standing("b", 8000, spec(replicas=2)), [B.name]) is None
