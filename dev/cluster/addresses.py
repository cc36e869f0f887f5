"""Which addresses does a cluster get, so that several stand side by side and none is in the way?

A block of 4096 addresses each, cut in the same three pieces::

    BLOCK.0.0/30   the wire: .1 is the host, .2 the node
    BLOCK.4.0/22   Services; .1 is the API, .10 is DNS
    BLOCK.8.0/21   pods

Blocks come from 198.18.0.0/15 first: it is set aside for benchmarks, so neither the
Internet nor a company uses it. A block that any route or address of the host touches is
left alone (VPN programs like that range too), and then a private range serves.
"""

import ipaddress
import json
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.cluster.errors import Refused
from dev.cluster.files import locked, read_json, write_whole
from dev.cluster.folders import ClusterFolder, all_clusters, clusters
from dev.cluster.packages import required

Network = ipaddress.IPv4Network
_POOLS = (Network("198.18.0.0/15"), Network("10.214.0.0/15"))


@dataclass(frozen=True)
class Block:
    """The addresses of one cluster."""

    network: Network

    @property
    def wire(self) -> Network:
        return Network((int(self.network.network_address), 30))

    @property
    def host(self) -> str:
        return str(self.wire[1])

    @property
    def node(self) -> str:
        return str(self.wire[2])

    @property
    def services(self) -> Network:
        return Network((int(self.network[0x400]), 22))

    @property
    def api_service(self) -> str:
        return str(self.services[1])

    @property
    def dns_service(self) -> str:
        return str(self.services[10])

    @property
    def pods(self) -> Network:
        return Network((int(self.network[0x800]), 21))


def candidates() -> Iterator[Block]:
    for pool in _POOLS:
        for network in pool.subnets(new_prefix=20):
            yield Block(network)


def choose(taken: Iterable[Network]) -> Block | None:
    """The first block that touches nothing that is taken."""
    in_use = list(taken)
    for block in candidates():
        if not any(block.network.overlaps(network) for network in in_use):
            return block
    return None


def routed(routes: str, addresses: str) -> list[Network]:
    """What the host has routes to or addresses in (``ip -j route``, ``ip -j address``)."""
    networks: list[Network] = []
    for route in json.loads(routes or "[]"):
        destination = route.get("dst", "default")
        if destination not in ("default", "0.0.0.0/0"):
            networks.append(Network(destination, strict=False))
    for link in json.loads(addresses or "[]"):
        networks.extend(
            Network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
            for entry in link.get("addr_info", [])
            if entry.get("family") == "inet"
        )
    # 0.0.0.0/1 and 128.0.0.0/1 are a VPN's way to write a default route.
    return [network for network in networks if network.prefixlen > 1]


def lease(cluster: ClusterFolder) -> Block:
    """Take a free block; it belongs to the cluster until ``release``."""
    with locked(clusters() / ".addresses.lock", "another start chooses addresses"):
        others = [c for c in all_clusters() if c.name != cluster.name]
        leased = [b.network for b in map(held, others) if b is not None]
        block = choose([*leased, *_routed_here()])
        if block is None:
            raise Refused(
                "every block of addresses for a cluster is routed elsewhere: stop a cluster "
                "(python3 -m dev.cluster status shows them) or a VPN, then start again."
            )
        write_whole(_file(cluster), json.dumps({"network": str(block.network)}))
        return block


def held(cluster: ClusterFolder) -> Block | None:
    saved = read_json(_file(cluster))
    return Block(Network(saved["network"])) if saved else None


def release(cluster: ClusterFolder) -> None:
    _file(cluster).unlink(missing_ok=True)


def _file(cluster: ClusterFolder) -> Path:
    return cluster.path / "addresses.json"


def _routed_here() -> list[Network]:
    ip = required("ip")
    routes = subprocess.run(
        [ip, "-4", "-j", "route", "show", "table", "all"], capture_output=True, text=True
    ).stdout
    addresses = subprocess.run([ip, "-4", "-j", "address"], capture_output=True, text=True).stdout
    return routed(routes, addresses)
