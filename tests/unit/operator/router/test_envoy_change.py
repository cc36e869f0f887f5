"""Writing anew, on the real Envoy: nobody's connection moves, and nobody waits for a neighbour."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from modelfleet_operator.router import names
from modelfleet_operator.router.intervals import first
from modelfleet_operator.router.observed import Resource
from modelfleet_operator.router.routes import version
from modelfleet_operator.router.site import Mirror, Site, StickyHeader, all_to
from tests.unit.operator.router.bed import Bed, free_ports, on_ports, resident_bytes, running, until
from tests.unit.operator.router.builders import A, B, arm, site
from tests.unit.operator.router.callers import arms
from tests.unit.operator.router.pods import Pod, Pods, Request

OTHER = "beta-x"


class Kept:
    """A connection that stays open and notices when it is closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, wanted: Site) -> "Kept":
        return cls(*await asyncio.open_connection("127.0.0.1", wanted.http_port))

    async def ask(self) -> str:
        self.writer.write(b"GET /infer HTTP/1.1\r\nhost: any\r\n\r\n")
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "connection: close" not in head, head
        length = int(head.partition("content-length: ")[2].split()[0])
        return (await self.reader.readexactly(length)).decode()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def test_a_change_of_weights_moves_no_connection_not_even_its_own(pods: Pods) -> None:
    (a,) = await pods.add(A)
    (b,) = await pods.add(B)
    wanted = on_ports(intervals=first({B: 5000, A: 5000}))
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}) as bed:
        kept = await Kept.to(wanted)
        await _both_asked(kept, a, b)
        before = a.connections | b.connections
        for percent in (70, 90, 50):
            share = {B: percent * 100, A: 10_000 - percent * 100}
            await bed.serves(bed.write(replace(wanted, intervals=first(share))))
            await _both_asked(kept, a, b)
        assert before <= a.connections | b.connections
        await kept.close()


async def _both_asked(kept: Kept, *both: Pod) -> None:
    before = [len(pod.requests) for pod in both]
    while any(len(pod.requests) == count for pod, count in zip(both, before, strict=True)):
        await kept.ask()


@pytest.mark.parametrize("change", ["another revision", "another port", "gone", "refused"])
async def test_a_change_of_one_site_moves_no_connection_of_another(pods: Pods, change: str) -> None:
    await pods.add(A)
    await pods.add(B)
    (neighbour,) = await pods.add(OTHER)
    digits, beta = on_ports(), on_ports("beta", OTHER)
    async with running([digits, beta], pods.dns.at, healthy={A: 1, B: 1, OTHER: 1}) as bed:
        kept = await Kept.to(beta)
        assert await kept.ask() == OTHER
        before = set(neighbour.connections)
        (port,) = free_ports(1)
        changed = {
            "another revision": [replace(digits, arms=digits.arms[1:], intervals=all_to(B)), beta],
            "another port": [replace(digits, http_port=port), beta],
            "gone": [beta],
            "refused": [replace(digits, intervals=first({B: 10_000})[:0]), beta],
        }[change]
        await bed.serves(bed.write(*changed))
        assert await kept.ask() == OTHER
        assert before <= neighbour.connections
        await kept.close()


async def test_a_long_request_outlives_every_change_of_its_site(pods: Pods) -> None:
    released = asyncio.Event()

    async def waits(_: Request) -> tuple[int, bytes]:
        await released.wait()
        return 200, b"late"

    (pod,) = await pods.add(A, handler=waits)
    await pods.add(B)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}) as bed:
        asking = asyncio.create_task(bed.get("/infer", wanted.http_port))

        async def arrived() -> bool:
            return bool(pod.requests)

        await until(arrived, "the request is at the pod")
        await bed.serves(bed.write(replace(wanted, intervals=all_to(B))))
        assert (await bed.statistics())[A].in_flight == 1
        # The revision is forgotten while it still works on a request.
        await bed.serves(bed.write(replace(wanted, intervals=all_to(B), arms=wanted.arms[1:])))
        released.set()
        assert (await asking).text == "late"


async def test_what_cannot_be_served_stays_as_it_was_and_neighbours_get_theirs(
    pods: Pods,
) -> None:
    await pods.add(A)
    await pods.add(B)
    await pods.add(OTHER)
    digits, beta = on_ports(), on_ports("beta", OTHER)
    new = on_ports("gamma", "gamma-x")
    async with running([digits, beta], pods.dns.at, healthy={A: 1, B: 1, OTHER: 1}) as bed:
        broken = replace(digits, intervals=first({"digits-gone": 10_000}), generation=2)
        moved = replace(beta, generation=2)
        made = bed.write(broken, moved, replace(new, arms=()))
        assert set(made.refused) == {"digits", "gamma"}
        assert set(made.kept) == {"digits"}
        await bed.serves(made)
        served = await bed.sites()
        assert served["digits"].version == version(digits)
        assert served["beta"].version == version(moved)
        assert set(await arms(digits.http_port, [{}] * 20)) == {A}


def _broken(data: Mapping[str, str], file: str, change: Any) -> dict[str, str]:
    """The files as somebody who is not the operator might write them."""
    found = json.loads(data[file])
    change(found["resources"])
    return {**data, file: json.dumps(found)}


@pytest.mark.parametrize(
    ("file", "change", "resource"),
    [
        (names.ROUTES_FILE, lambda found: found[0].update(virtual_hosts=7), Resource.ROUTES),
        (names.CLUSTERS_FILE, lambda found: found[0].pop("name"), Resource.CLUSTERS),
        (names.LISTENERS_FILE, lambda found: found[0].pop("address"), Resource.LISTENERS),
    ],
)
async def test_files_that_envoy_refuses_are_told_and_the_last_good_ones_serve(
    pods: Pods, file: str, change: Any, resource: Resource
) -> None:
    await pods.add(A)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        broken = _broken(bed.now, file, change)
        broken[file] = broken[file].replace('"version_info": "', '"version_info": "not-')
        bed.write_data(broken)

        async def told() -> bool:
            found = (await bed.observed()).files[resource]
            return found.rejected + found.failed > 0

        await until(told, "the router tells that it refused")
        router = await bed.observed()
        assert router.lags(broken) == (resource,)
        assert str(resource) in router.why(resource)
        assert set(await arms(wanted.http_port, [{}] * 20)) == {A}
        await bed.serves(bed.write(wanted))


async def test_new_sites_come_with_listeners_clusters_and_routes_in_one_write(pods: Pods) -> None:
    """Files are read one after the other, in an order that nobody promises."""
    await pods.add(A)
    digits = on_ports()
    async with running([digits], pods.dns.at, healthy={A: 1}) as bed:
        sites = [digits]
        for number in range(10):
            revision = f"new-{number}-x"
            await pods.add(revision)
            sites.append(on_ports(f"new-{number}", revision))
            await bed.serves(bed.write(*sites))
            await bed.healthy(revision, 1)
            assert set(await arms(sites[-1].http_port, [{}] * 10)) == {revision}
        assert (await bed.observed()).files[Resource.ROUTES].rejected == 0


async def test_fifty_sites_cost_little_and_few_watches(pods: Pods) -> None:
    """Each with two revisions over both protocols, sticky and mirrored."""
    (pod,) = await pods.add(A)
    ports = iter(free_ports(102))

    def one(number: int) -> Site:
        revisions = [f"site-{number}-{arm_}" for arm_ in "abc"]
        for revision in revisions:
            pods.name(revision, pod)
        return site(
            f"site-{number}",
            *revisions,
            http_port=next(ports),
            grpc_port=next(ports),
            arms=tuple(arm(revision, grpc_port=8081) for revision in revisions),
            intervals=first({revisions[0]: 500, revisions[1]: 9500}),
            sticky=StickyHeader("x-user-id"),
            mirrors=(Mirror(revisions[2]),),
        )

    sites = [one(number) for number in range(51)]
    async with running(sites[:1], pods.dns.at) as bed:
        alone = await _settled(bed)
        made = bed.write(*sites)
        assert not made.refused
        await bed.serves(made)
        together = await _settled(bed)
        each = (together - alone) / 50
        print(f"{alone / 2**20:.1f} MiB with one site, {each / 2**20:.2f} MiB for each further")
        assert each < 6 * 2**20
        assert sum(map(len, made.data.values())) < 1_000_000
        assert bed.watches() <= 4


async def _settled(bed: Bed) -> int:
    """Memory after each cluster has been checked."""

    async def checked() -> bool:
        return all(members.total for members in (await bed.observed()).members.values())

    await until(checked, "every cluster has its pods")
    return resident_bytes(bed)
