"""What a Gateway is told, as the standard channel of the Gateway API has it."""

import pytest

from modelfleet_operator.api.gateway import Gateway
from modelfleet_operator.gateway import written
from modelfleet_operator.gateway.routes import of_site
from modelfleet_operator.kinds import Json
from modelfleet_operator.router.site import Arm, HeaderMatch, Interval, Match, Mirror, Site, all_to
from tests.unit.operator.router.builders import A, B, C, arm, site

HERE = Gateway(name="models")
THERE = Gateway(
    name="models",
    namespace="infra",
    section_name="web",
    grpc_section_name="grpc",
    hostnames=("models.example.com",),
)


def http(told: Site, gateway: Gateway = HERE) -> Json:
    return written.http(of_site(told, gateway, "team-a"))


def grpc(told: Site, gateway: Gateway = THERE) -> Json | None:
    return written.grpc(of_site(told, gateway, "team-a"))


def both(revision: str) -> Arm:
    """It speaks gRPC as well."""
    return arm(revision, grpc_port=9000)


def weights(rule: Json) -> dict[str, int]:
    return {each["name"]: each["weight"] for each in rule["backendRefs"]}


def test_who_is_told() -> None:
    (here,), (there,) = http(site())["parentRefs"], http(site(), THERE)["parentRefs"]
    group = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "models"}
    assert here == {**group, "namespace": "team-a"}, "any listener of the one beside it"
    assert there == {**group, "namespace": "infra", "sectionName": "web"}
    assert "hostnames" not in http(site())
    assert http(site(), THERE)["hostnames"] == ["models.example.com"]


def test_the_weights_are_those_of_the_site() -> None:
    told = site(arms=(arm(A), arm(B)), intervals=(Interval(B, 500), Interval(A, 9500)))
    (rule,) = http(told)["rules"]
    assert weights(rule) == {A: 9500, B: 500}
    assert {each["port"] for each in rule["backendRefs"]} == {8080}


def test_pieces_of_one_revision_are_added() -> None:
    line = (Interval(B, 1000), Interval(A, 8000), Interval(B, 1000))
    (rule,) = http(site(arms=(arm(A), arm(B)), intervals=line))["rules"]
    assert weights(rule) == {A: 8000, B: 2000}


def test_a_revision_without_a_share_is_made_known() -> None:
    (rule,) = http(site(arms=(arm(A), arm(B)), intervals=all_to(A)))["rules"]
    assert weights(rule) == {A: 10000, B: 0}


def test_a_shift_changes_numbers_and_nothing_else() -> None:
    def told(parts: int) -> Json:
        line = tuple(i for i in (Interval(B, parts), Interval(A, 10000 - parts)) if i.parts)
        return http(site(arms=(arm(A), arm(B)), intervals=line))

    shapes = []
    for parts in (0, 500, 5000, 10000):
        shape = told(parts)
        for each in shape["rules"][0]["backendRefs"]:
            del each["weight"]
        shapes.append(shape)
    assert all(shape == shapes[0] for shape in shapes)


def test_no_rule_names_more_backends_than_it_may() -> None:
    """Those that get requests are named before those that are only made known."""
    arms = tuple(arm(f"r-{n:02}") for n in range(30))
    (rule,) = http(site(arms=arms, intervals=all_to("r-29")))["rules"]
    assert len(rule["backendRefs"]) == written.MOST_BACKENDS
    assert weights(rule)["r-29"] == 10000


@pytest.mark.parametrize(("seconds", "told"), [(30.0, "35s"), (0.2, "6s"), (3600.0, "3605s")])
def test_it_is_the_runtime_that_ends_a_request(seconds: float, told: str) -> None:
    assert http(site(timeout_s=seconds))["rules"][0]["timeouts"] == {"request": told}


def test_matches_come_before_the_rest() -> None:
    matches = (
        Match(all_to(B), (HeaderMatch("x-arm", "b"),)),
        Match(all_to(C), path_prefix="/v2/models"),
    )
    rules = http(site(arms=(arm(A), arm(B), arm(C)), intervals=all_to(A), matches=matches))["rules"]
    assert [weights(rule) for rule in rules] == [{B: 10000}, {C: 10000}, {A: 10000, B: 0, C: 0}]
    assert [rule["matches"] for rule in rules] == [
        [
            {
                "path": {"type": "PathPrefix", "value": "/"},
                "headers": [{"type": "Exact", "name": "x-arm", "value": "b"}],
            }
        ],
        [{"path": {"type": "PathPrefix", "value": "/v2/models"}}],
        [{"path": {"type": "PathPrefix", "value": "/"}}],
    ]


def test_copies_are_mirrored_by_their_share() -> None:
    mirrors = (Mirror(B, 2500), Mirror(C))
    told = site(arms=(arm(A), arm(B), arm(C)), intervals=all_to(A), mirrors=mirrors)
    (rule,) = http(told)["rules"]
    assert weights(rule) == {A: 10000}, "who only gets copies answers nobody"
    some, every = (each["requestMirror"] for each in rule["filters"])
    assert some["backendRef"]["name"] == B
    assert some["fraction"] == {"numerator": 2500, "denominator": 10000}
    assert every["backendRef"]["name"] == C
    assert "fraction" not in every, "all of them, which more Gateways know"


def test_grpc_has_a_route_where_it_comes_in() -> None:
    told = site(arms=(both(A), both(B)), intervals=(Interval(B, 500), Interval(A, 9500)))
    route = grpc(told)
    assert route is not None
    assert route["parentRefs"][0]["sectionName"] == "grpc"
    assert weights(route["rules"][0]) == {A: 9500, B: 500}
    assert {each["port"] for each in route["rules"][0]["backendRefs"]} == {8081}
    assert grpc(told, HERE) is None


def test_who_speaks_no_grpc_gets_none() -> None:
    old = arm(A)
    route = grpc(site(arms=(old, both(B)), intervals=(Interval(B, 500), Interval(A, 9500))))
    assert route is not None
    assert weights(route["rules"][0]) == {B: 500}
    assert grpc(site(arms=(old,), intervals=all_to(A))) is None


def test_a_match_on_a_path_says_nothing_about_grpc() -> None:
    matches = (
        Match(all_to(B), path_prefix="/v2"),
        Match(all_to(B), (HeaderMatch("x-arm", "b"),)),
    )
    route = grpc(site(arms=(both(A), both(B)), intervals=all_to(A), matches=matches))
    assert route is not None
    assert [weights(rule) for rule in route["rules"]] == [{B: 10000}, {A: 10000, B: 0}]
