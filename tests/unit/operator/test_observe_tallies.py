"""Which pods are asked what they have counted, and what becomes of their answers."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelfleet_contract import EXPERIMENT_PATH, HTTP_PORT, Tallies
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import ExperimentStatus, Status
from modelfleet_operator.cluster.routers import RouterApi, Silent
from modelfleet_operator.observe.tallies import AT_ONCE, MOST_BYTES, read_tallies
from modelfleet_operator.seen import InvalidSpec, Pod, PodTallies
from tests.unit.operator.builders import NOW, resource, spec

COUNTED = '{"boot": "b", "started": 1, "buckets": 1024, "revisions": {"digits-a": {"requests": 7}}}'


class Pods(RouterApi):
    """Every pod, by its address."""

    def __init__(self, **answers: str) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[str] = []
        self.most = self.now = 0

    async def ask(self, address: str, path: str, port: int | None = None, most: int = 0) -> str:
        assert (path, port, most) == (EXPERIMENT_PATH, HTTP_PORT, MOST_BYTES)
        self.asked.append(address)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        if address not in self.answers:
            raise Silent("nobody listens")
        return self.answers[address]


def sticky(**more: Any) -> Spec:
    variants = [{"name": "a", "weight": 50}, {"name": "b", "weight": 50}]
    routing = {"mode": "Router", "sticky": {"header": "x-user"}}
    return spec(variants=variants, routing=routing, **more)


def looked(ago: timedelta) -> Status:
    return Status(experiment=ExperimentStatus(looked=written_time(NOW - ago)))


async def test_every_pod_with_an_address_is_asked_and_a_silent_one_is_known_as_that() -> None:
    api = Pods(one=COUNTED, three="what?")
    pods = [
        Pod("p1", "digits-a", address="one"),
        Pod("p2", "digits-a", address="two"),
        Pod("p3", "digits-b", address="three"),
        Pod("p4", "digits-b", address="four", leaving=True),
        Pod("p5", "digits-b"),
    ]
    found = await read_tallies(api, resource(sticky()), pods, NOW)
    assert found is not None
    first, *others = found
    assert first.counted is not None
    assert first.counted.revisions["digits-a"].requests == 7
    assert others == [PodTallies("p2"), PodTallies("p3")]
    assert sorted(api.asked) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (InvalidSpec("spec.model: is missing"), Status()),
        (spec(), Status()),
        (sticky(), looked(timedelta(seconds=29))),
    ],
    ids=["a spec that cannot be read", "one variant", "soon after the last look"],
)
async def test_nobody_is_asked(wanted: Spec | InvalidSpec, status: Status) -> None:
    api = Pods()
    pods = [Pod("p1", "digits-a", address="one")]
    assert await read_tallies(api, resource(wanted, status=status), pods, NOW) is None
    assert api.asked == []


async def test_half_a_minute_later_they_are_asked_again() -> None:
    asked = resource(sticky(), status=looked(timedelta(seconds=30)))
    assert await read_tallies(Pods(), asked, [], NOW) == ()


async def test_not_too_many_at_a_time() -> None:
    api = Pods()
    pods = [Pod(f"p{n}", "digits-a", address=f"a{n}") for n in range(3 * AT_ONCE)]
    await read_tallies(api, resource(sticky()), pods, NOW)
    assert len(api.asked) == 3 * AT_ONCE
    assert api.most <= AT_ONCE


@pytest.mark.parametrize(("blanks", "heard"), [(0, True), (MOST_BYTES, False)])
async def test_a_page_that_is_too_large_is_not_read(blanks: int, heard: bool) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text=COUNTED + " " * blanks)

    app = web.Application()
    app.router.add_get(EXPERIMENT_PATH, page)
    async with TestServer(app) as server:
        assert server.port is not None
        api = Elsewhere(server.port)
        pods = [Pod("p1", "digits-a", address="127.0.0.1")]
        try:
            found = await read_tallies(api, resource(sticky()), pods, NOW)
        finally:
            await api.close()
    assert found is not None
    assert (found[0].counted is not None) is heard


class Elsewhere(RouterApi):
    """Asks one port, whichever is wanted."""

    async def ask(self, address: str, path: str, port: int | None = None, most: int = 0) -> str:
        return await super().ask(address, path, None, most)


async def test_pages_are_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def read(text: str) -> Tallies:
        threads.append(threading.get_ident())
        return Tallies.model_validate_json(text)

    monkeypatch.setattr(Tallies, "from_json", read)
    pods = [Pod("p1", "digits-a", address="one")]
    await read_tallies(Pods(one=COUNTED), resource(sticky()), pods, NOW)
    assert len(threads) == 1
    assert threads[0] != threading.get_ident()
