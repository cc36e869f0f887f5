"""Which block of addresses a cluster gets."""

import json
from ipaddress import IPv4Network as Network
from pathlib import Path

import pytest

from dev.cluster import addresses
from dev.cluster.addresses import Block, candidates, choose, routed
from dev.cluster.folders import cluster_folder


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        pytest.param([], "198.18.0.0/20", id="nothing taken: the first block"),
        pytest.param(["198.18.0.0/20"], "198.18.16.0/20", id="the first is a cluster's: the next"),
        pytest.param(["198.18.16.0/30"], "198.18.0.0/20", id="a later one is taken: still first"),
        pytest.param(["198.18.3.7/32"], "198.18.16.0/20", id="one address inside is enough"),
        pytest.param(["198.18.0.0/16"], "198.19.0.0/20", id="a VPN holds half of the range"),
        pytest.param(["198.18.0.0/15"], "10.214.0.0/20", id="a VPN holds all of it"),
        pytest.param(["198.18.0.0/15", "10.0.0.0/8"], None, id="everything is routed elsewhere"),
    ],
)
def test_the_first_block_that_touches_nothing_is_chosen(
    taken: list[str], chosen: str | None
) -> None:
    block = choose([Network(network) for network in taken])
    assert (str(block.network) if block else None) == chosen


def test_the_pieces_of_a_block_lie_in_it_and_apart() -> None:
    for block in candidates():
        pieces = [block.wire, block.services, block.pods]
        assert all(piece.subnet_of(block.network) for piece in pieces)
        assert not any(a.overlaps(b) for a in pieces for b in pieces if a is not b)


def test_the_well_known_addresses_of_a_block() -> None:
    block = Block(Network("198.18.16.0/20"))
    assert (block.host, block.node) == ("198.18.16.1", "198.18.16.2")
    assert (block.api_service, block.dns_service) == ("198.18.20.1", "198.18.20.10")
    assert str(block.pods) == "198.18.24.0/21"


def test_routes_and_addresses_of_the_host_count_and_default_routes_do_not() -> None:
    routes = [
        {"dst": "default"},
        {"dst": "0.0.0.0/1"},
        {"dst": "128.0.0.0/1"},
        {"dst": "172.17.0.0/16"},
        {"type": "local", "dst": "192.0.2.2"},
    ]
    links = [
        {"addr_info": [{"family": "inet", "local": "198.18.0.5", "prefixlen": 24}]},
        {"addr_info": [{"family": "inet6", "local": "fe80::1", "prefixlen": 64}]},
        {},
    ]
    found = [str(network) for network in routed(json.dumps(routes), json.dumps(links))]
    assert found == ["172.17.0.0/16", "192.0.2.2/32", "198.18.0.0/24"]


def test_two_clusters_lease_different_blocks_and_give_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(addresses, "_routed_here", list)
    one, two = cluster_folder("one"), cluster_folder("two")
    first, second = addresses.lease(one), addresses.lease(two)
    assert first != second
    assert addresses.held(one) == first
    assert addresses.lease(one) == first, "a repeated start keeps its block"
    addresses.release(one)
    assert addresses.held(one) is None
    assert addresses.lease(cluster_folder("three")) == first
