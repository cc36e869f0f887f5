"""What the routers are told of the pods."""

from dataclasses import replace

from modelfleet_operator.plan.decide import decide
from modelfleet_operator.plan.pod_template import pod_template
from modelfleet_operator.plan.revisions import revision_name
from modelfleet_operator.plan.variants import asked
from modelfleet_operator.router.intervals import first
from modelfleet_operator.router.routes import version
from modelfleet_operator.seen import Revision, RouterPod, Routing, Workload
from tests.unit.operator.builders import DEFAULTS, pods, resource, revision, routed, seen, spec
from tests.unit.operator.router.builders import site

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


ARMS = [("a", 5000, "v1"), ("b", 3000, "v2"), ("c", 2000, "v3")]
VARIANTS = [
    {
        "name": name,
        "weight": parts // 100,
        "replicas": 1,
        "model": {"uri": f"file:///models/{model}", "version": model},
    }
    for name, parts, model in ARMS
]


def test_whoever_was_moved_while_a_share_was_lent_comes_back_to_where_he_was() -> None:
    wanted = spec("v1", routing={"mode": "Router"}, variants=VARIANTS)
    revisions = []
    for standing in asked(wanted):
        name = revision_name("digits", standing.name, standing.spec)
        template = pod_template(resource(wanted), name, standing.name, standing.spec, DEFAULTS)
        revisions.append(Revision(name, 1, standing.name, standing.spec.model, template))
    names = [each.name for each in revisions]
    line = first(dict(zip(names, [parts for _, parts, _ in ARMS], strict=True)))
    routing = Routing(replace(site("digits", *names), intervals=line))
    lines = [line]
    for alive in ((0, 2), (0, 1, 2), (1, 2), (0, 1, 2)):
        there = [revisions[n] for n in alive]
        picture = seen(wanted, revisions=revisions, pods=[pods(each, 1)[0] for each in there])
        reached = {each.name: 1 for each in there}
        workloads = {each.name: Workload(each.name, 1) for each in revisions}
        assert routing.site
        router = RouterPod("router", ready=True, version=version(routing.site), reached=reached)
        routing = replace(routing, routers=(router,))
        made = decide(replace(picture, workloads=workloads, routing=routing), DEFAULTS).verdict
        assert made
        assert made.routed
        assert made.routed.site
        routing = Routing(made.routed.site, made.shares, home=made.routed.home)
        lines.append(made.routed.site.intervals)
    assert lines[1] != lines[0]
    assert lines[2] == lines[0]
    assert lines[3] != lines[0]
    assert lines[4] == lines[0]
