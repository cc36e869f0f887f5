"""What is written for all sites, and what a change of one of them changes."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet_operator.router import names
from modelfleet_operator.router.files import MOST_BYTES, MOST_WATCHED, Pair, files, version_of
from modelfleet_operator.router.intervals import first
from modelfleet_operator.router.names import ClusterName
from modelfleet_operator.router.part import read
from modelfleet_operator.router.routes import version
from modelfleet_operator.router.site import (
    Discovery,
    HeaderMatch,
    Match,
    Mirror,
    Protocol,
    Site,
    StickyHeader,
    all_to,
)
from tests.unit.operator.router.builders import A, B, arm, site, split

PAIR = Pair()
DIGITS = site(intervals=split(b=500, a=9500))
BETA = site("beta", "beta-x", http_port=10_002, grpc_port=10_003)


def resources(data: Mapping[str, str], file: str) -> list[Any]:
    found: list[Any] = json.loads(data[file])["resources"]
    return found


def hosts(data: Mapping[str, str]) -> dict[str, Any]:
    (routes,) = resources(data, names.ROUTES_FILE)
    return {host["name"]: host for host in routes["virtual_hosts"]}


def test_a_change_of_weights_leaves_listeners_and_clusters_as_they_are() -> None:
    before = files([DIGITS, BETA], PAIR).data
    after = files([replace(DIGITS, intervals=all_to(A), generation=2), BETA], PAIR, before).data
    assert before[names.LISTENERS_FILE] == after[names.LISTENERS_FILE]
    assert before[names.CLUSTERS_FILE] == after[names.CLUSTERS_FILE]
    assert before[names.ROUTES_FILE] != after[names.ROUTES_FILE]


@pytest.mark.parametrize(
    "changed",
    [
        replace(DIGITS, intervals=all_to(A)),
        replace(DIGITS, arms=(*DIGITS.arms, arm("digits-c"))),
        replace(DIGITS, http_port=10_100),
        replace(DIGITS, sticky=StickyHeader("x-user-id"), mirrors=(Mirror(B),)),
    ],
    ids=["weights", "a revision", "a port", "sticky and mirror"],
)
def test_a_change_of_one_site_leaves_everything_of_another_as_it_is(changed: Site) -> None:
    before = read(files([DIGITS, BETA], PAIR).data)
    after = read(files([changed, BETA], PAIR).data)
    assert before["digits"] != after["digits"]
    assert before["beta"] == after["beta"]


def test_the_order_in_which_sites_are_given_changes_nothing() -> None:
    assert files([DIGITS, BETA], PAIR) == files([BETA, DIGITS], PAIR)


def test_nothing_at_all_is_still_a_configuration() -> None:
    empty = files([], PAIR)
    assert list(hosts(empty.data)) == [names.ALL_SITES]
    assert resources(empty.data, names.CLUSTERS_FILE) == []


@pytest.mark.parametrize(
    "other",
    [
        replace(DIGITS, intervals=split(b=501, a=9499)),
        replace(DIGITS, intervals=split(a=9500, b=500)),
        replace(DIGITS, generation=2),
        replace(DIGITS, mirrors=(Mirror(B),)),
        replace(DIGITS, timeout_s=31),
        replace(DIGITS, retry_body_bytes=1),
        replace(DIGITS, matches=(Match(all_to(B), (HeaderMatch("a", "b"),)),)),
    ],
)
def test_the_version_of_a_site_changes_with_all_of_its_routing(other: Site) -> None:
    assert version(other) != version(DIGITS)
    assert version(replace(other, generation=1)) == version(replace(other, generation=1))


def test_every_route_names_a_cluster_that_is_there() -> None:
    whole = replace(
        DIGITS,
        arms=(arm(A, grpc_port=8081), arm(B)),
        matches=(Match(all_to(B), (HeaderMatch("a", "b"),)),),
        mirrors=(Mirror(B, 100),),
        sticky=StickyHeader("x"),
    )
    data = files([whole, BETA], PAIR).data
    there = {cluster["name"] for cluster in resources(data, names.CLUSTERS_FILE)}
    named = set()
    for host in hosts(data).values():
        for route in host["routes"]:
            if "route" in route:
                named |= {c["name"] for c in route["route"]["weighted_clusters"]["clusters"]}
                named |= {m["cluster"] for m in route["route"].get("request_mirror_policies", [])}
    assert named <= there
    # A revision without gRPC still gets its share of the calls.
    assert f"digits_{B}_grpc" not in there


def test_a_bad_site_is_kept_as_it_was_and_a_new_one_is_left_out() -> None:
    before = files([DIGITS, BETA], PAIR).data
    bad = replace(DIGITS, intervals=split(b=500), generation=2)
    new = replace(BETA, name="new.one", http_port=10_004, grpc_port=10_005)
    better = replace(BETA, generation=2)
    after = files([bad, better, new], PAIR, before)
    assert set(after.refused) == {"digits", "new.one"}
    assert set(after.kept) == {"digits"}
    assert "must sum to 10000" in after.refused["digits"][0]
    assert read(after.data)["digits"] == read(before)["digits"]
    assert version(better) in json.dumps(hosts(after.data)["beta"])
    # And again, with nothing but what is in the ConfigMap.
    assert files([bad, better, new], PAIR, after.data).data == after.data


def test_who_has_a_port_keeps_it() -> None:
    before = files([DIGITS], PAIR).data
    thief = site("aaa", "aaa-x", http_port=DIGITS.grpc_port, grpc_port=10_009)
    after = files([thief, DIGITS], PAIR, before)
    assert after.refused == {
        "aaa": (f"port {DIGITS.grpc_port} of the router is that of digits: take another.",)
    }
    assert set(read(after.data)) == {"digits"}


def test_two_of_one_name_are_both_refused() -> None:
    found = files([DIGITS, replace(DIGITS, http_port=10_200, grpc_port=10_201)], PAIR)
    assert found.refused["digits"] == ("2 ModelDeployments are called digits.",)
    assert read(found.data) == {}


def test_what_does_not_fit_is_left_out_and_those_who_are_there_stay() -> None:
    def many(first_: int, count: int) -> list[Site]:
        return [
            site(
                f"s-{number}",
                *(f"s-{number}-{letter}" for letter in "abcdefgh"),
                http_port=10_000 + 2 * number,
                grpc_port=10_001 + 2 * number,
            )
            for number in range(first_, first_ + count)
        ]

    served = many(40, 40)
    before = files(served, PAIR)
    assert not before.refused
    after = files([*many(0, 40), *served, *many(80, 40)], PAIR, before.data)
    assert after.refused
    assert not after.refused.keys() & {one.name for one in served}
    assert sum(map(len, after.data.values())) <= MOST_BYTES
    assert "a router of their own" in next(iter(after.refused.values()))[0]


def test_with_endpoints_each_cluster_has_a_file_and_the_names_are_asked_behind_it() -> None:
    pair = Pair(discovery=Discovery.ENDPOINTS)
    wanted = replace(
        DIGITS, arms=(arm(A, grpc_port=8081, addresses=("10.0.0.2", "10.0.0.1")), arm(B))
    )
    made = files([wanted], pair)
    file = f"digits_{A}_grpc_endpoints.json"
    (assignment,) = resources(made.data, file)
    ends = [one["endpoint"] for one in assignment["endpoints"][0]["lb_endpoints"]]
    assert [end["address"]["socket_address"] for end in ends] == [
        {"address": "10.0.0.1", "port_value": 8081},
        {"address": "10.0.0.2", "port_value": 8081},
    ]
    assert ends[0]["health_check_config"] == {"port_value": 8080}
    assert resources(made.data, f"digits_{B}_http_endpoints.json")[0]["endpoints"] == [
        {"lb_endpoints": []}
    ]
    # Other addresses are no other clusters: nothing is built anew.
    moved = replace(wanted, arms=(replace(wanted.arms[0], addresses=("10.0.0.3",)), arm(B)))
    again = files([moved], pair, made.data)
    assert again.data[names.CLUSTERS_FILE] == made.data[names.CLUSTERS_FILE]
    assert read(again.data)["digits"].endpoints.keys() == read(made.data)["digits"].endpoints.keys()


def test_no_more_files_are_watched_than_a_node_has_watches() -> None:
    pair = Pair(discovery=Discovery.ENDPOINTS)
    sites = [
        site(f"s-{n}", f"s-{n}-a", http_port=10_000 + 2 * n, grpc_port=10_001 + 2 * n)
        for n in range(MOST_WATCHED // 4 + 3)
    ]
    made = files(sites, pair)
    assert len(made.by_dns) == 3, "with room for two revisions over two protocols of each"
    assert len([file for file in made.data if "_endpoints" in file]) == MOST_WATCHED // 4
    # One more name before all others takes nobody's watch.
    more = files([site("a", "a-a", http_port=11_000, grpc_port=11_001), *sites], pair, made.data)
    assert more.by_dns == made.by_dns | {"a"}
    # Nor does one that is found by DNS already and has an earlier name than others.
    assert files([*sites, site("a", "a-a", http_port=11_000, grpc_port=11_001)], pair,
                 more.data).data == more.data  # fmt: skip
    # And a rollout changes for nobody how pods are found: its clusters would be built anew.
    rolling = [replace(each, arms=(*each.arms, arm(f"{each.name}-b"))) for each in sites]
    assert files(rolling, pair, made.data).by_dns == made.by_dns
    assert files(sites[:-1], pair, made.data).by_dns < made.by_dns, "nor does one that goes"


@pytest.mark.parametrize(
    "data", [{}, {"routes.json": "{"}, {"routes.json": '{"resources": [7]}'}, {"x": "y"}]
)
def test_files_that_somebody_else_has_written_are_nothing_to_keep(data: dict[str, str]) -> None:
    assert files([DIGITS], PAIR, data) == files([DIGITS], PAIR)
    assert version_of(data.get("routes.json", "")) == ""


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.integers(0, 10_000), st.booleans()), max_size=12
    )
)
def test_whatever_is_asked_for_what_is_written_is_whole(
    steps: list[tuple[str, int, bool]],
) -> None:
    """Sites come, change, break and go; each is served in a form that was proved."""
    wanted: dict[str, Site] = {}
    data: Mapping[str, str] = {}
    good: dict[str, set[str]] = {}
    for name, parts, breaks in steps:
        number = ord(name)
        one = site(
            name,
            f"{name}-a",
            f"{name}-b",
            http_port=10_000 + 2 * number,
            grpc_port=10_001 + 2 * number,
            intervals=first({f"{name}-a": parts, f"{name}-b": 10_000 - parts}),
        )
        wanted[name] = replace(one, intervals=one.intervals * 2) if breaks else one
        if not breaks:
            good.setdefault(name, set()).add(version(one))
        made = files(wanted.values(), PAIR, data)
        data = made.data
        served = read(data)
        assert set(made.refused) == {n for n, s in wanted.items() if len(s.intervals) > 2
                                     or sum(i.parts for i in s.intervals) != 10_000}  # fmt: skip
        for there, part in served.items():
            said = json.loads(part.host["routes"][0]["direct_response"]["body"]["inline_string"])
            assert said["version"] in good[there]
        assert set(good) <= set(served)


@pytest.mark.parametrize("half", ["", "endpoints", "dns"])
@pytest.mark.parametrize("protocol", Protocol)
def test_a_clusters_name_reads_back(half: str, protocol: Protocol) -> None:
    name = ClusterName("my-digits", "my-digits-0a1b", protocol, half)
    assert ClusterName.parse(str(name)) == name


@pytest.mark.parametrize("name", ["admin", "sites", "a_b_http_x", "a.b_c_http", "a_b_tcp"])
def test_what_is_no_revisions_cluster_is_none(name: str) -> None:
    assert ClusterName.parse(name) is None
