"""What the routers are told of the pods."""

from dataclasses import replace

from modelfleet_operator.plan.decide import decide
from tests.unit.operator.builders import DEFAULTS, pods, revision, routed, seen, spec

A = revision("v1", 1)


def test_the_routers_are_told_the_addresses_of_the_pods_that_stay() -> None:
    first, second, going, new = pods(A, 4)
    there = [
        replace(first, address="10.0.0.2"),
        replace(second, address="10.0.0.1", ready=False),  # the routers see when it is
        replace(going, address="10.0.0.3", leaving=True),  # kept while it passes their checks
        new,  # has none yet
    ]
    wanted = spec("v1", replicas=2, routing={"mode": "Router"})
    found = routed(seen(wanted, revisions=[A], pods=there), {A.name: 10000}, stable=A)
    made = decide(found, DEFAULTS)
    assert made.verdict
    assert made.verdict.routed
    assert made.verdict.routed.site
    (arm,) = made.verdict.routed.site.arms
    assert arm.addresses == ("10.0.0.1", "10.0.0.2")
