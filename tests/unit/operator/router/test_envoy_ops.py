"""What a router shows of itself, on the real Envoy, and how it goes."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest

import modelfleet_operator.router
from modelfleet_operator.router import names
from modelfleet_operator.router.intervals import first
from modelfleet_operator.router.observed import Resource
from tests.unit.operator.router.bed import Bed, on_ports, running, until
from tests.unit.operator.router.builders import A, B, site
from tests.unit.operator.router.callers import arms
from tests.unit.operator.router.pods import Pods, Request

DRAIN = Path(next(iter(modelfleet_operator.router.__path__))) / "drain.sh"


async def test_the_ops_port_shows_four_things_and_nothing_else(pods: Pods) -> None:
    async with running([on_ports()], pods.dns.at) as bed:
        for path in ("/ready", "/stats/prometheus", "/config", names.SITES_PATH):
            assert (await bed.get(path)).status_code == 200, path
        for path in (
            "/",
            "/stats",
            "/config_dump",
            "/clusters",
            "/quitquitquit",
            "/ready/",
            "/ready/../config_dump",
            "/ready/..%2fconfig_dump",
            "//config_dump",
            "/config?filter=server",
            "/stats/prometheus?text_readouts",
            "/stats/prometheus;x",
        ):
            url = httpx.URL(f"http://127.0.0.1:{bed.ops}", raw_path=path.encode())
            assert (await bed.client.get(url)).status_code == 404, path
        for path in ("/ready", "/config", "/quitquitquit", "/healthcheck/fail"):
            assert (await bed.client.post(f"http://127.0.0.1:{bed.ops}{path}")).status_code == 404


async def test_the_admin_interface_listens_on_the_loopback_only(pods: Pods) -> None:
    async with running([on_ports()], pods.dns.at) as bed:
        listening = _listening(bed)
        assert listening[bed.admin] == {"127.0.0.1"}
        assert listening[bed.bounds.sites_port] == {"127.0.0.1"}


def _listening(bed: Bed) -> dict[int, set[str]]:
    """Addresses by port, of Envoy's own sockets."""
    assert bed.process is not None
    found: dict[int, set[str]] = {}
    for line in Path(f"/proc/{bed.process.pid}/net/tcp").read_text().splitlines()[1:]:
        local, state = line.split()[1], line.split()[3]
        if state == "0A":
            address, port = local.split(":")
            text = socket.inet_ntoa(bytes.fromhex(address)[::-1])
            found.setdefault(int(port, 16), set()).add(text)
    return found


async def test_a_router_says_what_it_serves_of_each_site(pods: Pods) -> None:
    digits = on_ports(intervals=first({B: 2000, A: 8000}))
    beta = on_ports("beta", "beta-x")
    async with running([digits, beta], pods.dns.at) as bed:
        served = await bed.sites()
        assert served["digits"].weights == {B: 2000, A: 8000}
        for one in (digits, beta):
            said = (await bed.get(names.CONFIG_PATH, one.http_port)).json()
            assert said["version"] == served[one.name].version
            assert said["deployment"] == one.name
        router = await bed.observed()
        assert router.lags(bed.now) == ()
        assert router.unknown_fields == 0
        assert "Deprecated" not in bed.said()


async def test_with_more_threads_each_serves_the_version_that_is_said(pods: Pods) -> None:
    await pods.add(A)
    await pods.add(B)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1, B: 1}, concurrency=4) as bed:
        assert set(await arms(wanted.http_port, [{}] * 200)) == {A}
        assert (await bed.observed()).files[Resource.ROUTES].rejected == 0


async def test_requests_are_counted_by_revision_class_and_time(pods: Pods) -> None:
    async def answers(request: Request) -> tuple[int, bytes]:
        return int(request.path.removeprefix("/")), b""

    await pods.add(A, handler=answers)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        for status in (200, 200, 200, 404, 500):
            await bed.get(f"/{status}", wanted.http_port)
        found = (await bed.statistics())[A]
        assert (found.attempts, found.completed, found.in_flight) == (5, 5, 0)
        assert found.answers == {"2": 3, "4": 1, "5": 1}

        async def merged() -> bool:
            return bool((await bed.statistics())[A].latency.count == 5)

        await until(merged, "the histogram has all of them")
        latency = (await bed.statistics())[A].latency
        assert latency.bounds == tuple(map(float, bed.bounds.latency_ms))
        assert latency.above(60_000) == 0
        assert latency.cumulative == tuple(sorted(latency.cumulative))


async def test_an_answer_of_the_router_itself_counts_for_the_revision(pods: Pods) -> None:
    wanted = on_ports()
    async with running([wanted], pods.dns.at) as bed:
        assert (await bed.get("/x", wanted.http_port)).status_code == 503
        found = (await bed.statistics())[A]
        assert (found.attempts, found.completed, found.answers) == (0, 1, {"5": 1})


async def test_without_routes_a_router_is_not_ready_and_says_why(pods: Pods) -> None:
    async with running([site()], pods.dns.at) as bed:
        assert (await bed.get(names.SITES_PATH)).status_code == 200
        await bed.kill()
        bed.write_data({**bed.now, names.ROUTES_FILE: "not what it should be"})
        await bed.start()

        async def answers() -> bool:
            try:
                return (await bed.get("/ready")).status_code == 200
            except httpx.TransportError:
                return False

        await until(answers, "the ops port answers")
        assert (await bed.get(names.SITES_PATH)).status_code == 404
        router = await bed.observed()
        assert router.lags(bed.now) == (Resource.ROUTES,)
        assert "could not read" in router.why(Resource.ROUTES)


@pytest.mark.parametrize("open_request", [False, True])
async def test_a_router_that_goes_says_goodbye_and_waits_for_open_requests(
    pods: Pods, open_request: bool
) -> None:
    released = asyncio.Event()

    async def waits(request: Request) -> tuple[int, bytes]:
        if request.path == "/long":
            await released.wait()
        return 200, b"answered"

    (pod,) = await pods.add(A, handler=waits)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        asking = asyncio.create_task(bed.get("/long", wanted.http_port)) if open_request else None

        async def arrived() -> bool:
            return not open_request or bool(pod.requests)

        await until(arrived, "the request is at the pod")
        drain = await asyncio.create_subprocess_exec(
            "/bin/bash", DRAIN, "0", "30", env={"ADMIN_PORT": str(bed.admin)}
        )

        async def goodbye() -> bool:
            answer = await bed.get("/short", wanted.http_port)
            assert answer.text == "answered"
            return bool(answer.headers.get("connection") == "close")

        if open_request:
            await until(goodbye, "new callers are told to go")
            assert drain.returncode is None
            released.set()
        assert await drain.wait() == 0
        if asking is not None:
            assert (await asking).text == "answered"
