"""What the routers were told of a ModelDeployment, and what each of them does."""

import json
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import written_time
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus, Status, VariantStatus
from modelfleet_operator.children import routing
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.kinds import Kind
from modelfleet_operator.observe.routing import KILLED_WITHIN, read_routing
from modelfleet_operator.router import pod, routes
from modelfleet_operator.router.files import Pair, files
from modelfleet_operator.router.names import SITES_PATH
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import SITE_KEY
from modelfleet_operator.seen import InvalidSpec, Json, Resource, RouterPod, Routing
from tests.unit.operator.builders import NAME, NAMESPACE, NOW, resource, spec
from tests.unit.operator.memory_api import MemoryApi
from tests.unit.operator.routed.data_plane import DataPlane, Envoy
from tests.unit.operator.router.builders import A, B, arm, site

ROUTED = spec(routing={"mode": "Router"})
ADDRESS = "10.0.0.1"
READY = {"type": "Ready", "status": "True"}


class Listed(MemoryApi):
    """Remembers what was listed."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: list[str] = []

    async def list(self, kind: Kind, namespace: str, **more: Any) -> list[Json]:
        self.listed.append(kind.kind)
        return await super().list(kind, namespace, **more)


class Case:
    """A cluster with one router, which serves `one`."""

    def __init__(self, one: Site | None = None) -> None:
        self.api, self.plane = Listed(), DataPlane()
        self.site = site() if one is None else one
        made = files([self.site], Pair()).data
        self.envoy = self.plane.envoys[ADDRESS] = Envoy(made, made)

    def router(self, *, leaving: bool = False, name: str = "router-1", **status: Any) -> None:
        metadata = {"name": name, "namespace": NAMESPACE, "labels": pod.selector(pod.SHARED)}
        if leaving:
            metadata["deletionTimestamp"] = written_time(NOW)
        body = {"metadata": {**metadata, "uid": f"uid-of-{name}"}}
        said = {"podIP": ADDRESS, "conditions": [READY], **status}
        self.api.put(kinds.POD, {**body, "status": said})

    async def routing(self, of: Resource | None = None, *own: Json) -> Routing:
        asked = resource(ROUTED) if of is None else of
        return await read_routing(self.api, self.plane, asked, own or [told(self.site)])

    async def pod(self, of: Resource | None = None) -> RouterPod:
        (found,) = (await self.routing(of)).routers
        return found


def told(one: Site, **annotations: str) -> Json:
    """The ConfigMap of what the routers were told."""
    made = routing.build(resource(), one)
    made["metadata"]["annotations"] = annotations
    return made


def unreadable() -> Json:
    return {**told(site()), "data": {SITE_KEY: '{"of": "2030"}'}}


# -- what was told


@pytest.mark.parametrize("asked", [spec(), InvalidSpec("spec.model: is missing")])
async def test_without_routers_nothing_is_asked(asked: Spec | InvalidSpec) -> None:
    case = Case()
    found = await read_routing(case.api, case.plane, resource(asked), [])
    assert found == Routing()
    assert case.api.listed == []


async def test_one_that_has_left_asks_no_router() -> None:
    case = Case()
    case.router()
    left = told(case.site, **{labels.LEAVING: written_time(NOW)})
    assert await case.routing(resource(spec()), left) == Routing(
        case.site, left=case.site, leaving=NOW
    )
    assert case.api.listed == []


async def test_what_was_written_is_read_and_why_it_was_refused() -> None:
    case = Case()
    found = await case.routing(None, told(case.site, **{labels.REFUSED: "port 10000 is taken."}))
    assert (found.site, found.refused) == (case.site, "port 10000 is taken.")


@pytest.mark.parametrize(
    ("own", "taken"),
    [
        pytest.param([], {10_002, 10_003}, id="before the first time"),
        pytest.param([unreadable()], {10_002, 10_003}, id="it cannot be read"),
        pytest.param(
            [told(site(), **{labels.REFUSED: "taken"})], {10_002, 10_003}, id="it was refused"
        ),
        pytest.param([told(site())], set(), id="it has its ports, and nobody else is asked"),
    ],
)
async def test_the_ports_of_others_are_known_where_one_is_chosen(
    own: list[Json], taken: set[int]
) -> None:
    case = Case()
    for body in own:
        case.api.put(kinds.CONFIG_MAP, body)
    other = routing.build(resource(name="letters"), site("letters", http_port=10_002,
                                                         grpc_port=10_003))  # fmt: skip
    case.api.put(kinds.CONFIG_MAP, other)
    strange = routing.build(resource(name="numbers"), site("numbers"))
    case.api.put(kinds.CONFIG_MAP, {**strange, "data": {SITE_KEY: "?"}})
    found = await read_routing(case.api, case.plane, resource(ROUTED), own)
    assert found.taken == taken


async def test_what_cannot_be_read_was_not_told() -> None:
    assert (await Case().routing(None, unreadable())).site is None


# -- what a router does


async def test_what_a_router_serves_and_reaches() -> None:
    case = Case()
    case.envoy.healthy = {A: frozenset({"one", "two"})}
    started = {"running": {"startedAt": written_time(NOW)}}
    case.router(containerStatuses=[{"name": pod.CONTAINER, "state": started}])
    assert await case.pod() == RouterPod(
        name="router-1",
        ready=True,
        uid="uid-of-router-1",
        started=NOW,
        version=routes.version(case.site),
        reached={A: 2, B: 0},
    )


async def test_a_router_that_does_not_know_the_deployment_serves_no_version() -> None:
    case = Case(site("letters"))
    case.router()
    assert (await case.pod()).version == ""


@pytest.mark.parametrize(
    ("leaving", "conditions", "ready"),
    [
        (False, [READY], True),
        (False, [{"type": "Ready", "status": "False"}], False),
        (False, [], False),
        (True, [READY], False),
    ],
)
async def test_only_a_router_that_is_ready_and_stays_takes_requests(
    leaving: bool, conditions: list[Json], ready: bool
) -> None:
    case = Case()
    case.router(leaving=leaving, conditions=conditions)
    assert (await case.pod()).ready is ready


async def test_over_both_protocols_the_fewer_pods_count() -> None:
    case = Case(site(arms=(arm(A, grpc_port=8081), arm(B))))
    case.router()

    class Halved(DataPlane):
        async def ask(self, address: str, path: str, port: int | None = None, most: int = 0) -> str:
            answer = await case.plane.ask(address, path)
            if path != "/config":
                return answer
            stats = json.loads(answer)["stats"]
            for each in stats:
                if each.get("name", "").endswith("membership_healthy"):
                    each["value"] = 1 if "_grpc." in each["name"] else 2
            return json.dumps({"stats": stats})

    found = await read_routing(case.api, Halved(), resource(ROUTED), [told(case.site)])
    assert found.routers[0].reached == {A: 1, B: 2}


# -- one that is silent


async def test_one_without_an_address_is_silent_and_is_not_asked() -> None:
    case = Case()
    case.router(podIP="", conditions=[])
    found = await case.pod()
    assert (found.ready, found.silent) == (False, "it has no address yet")


async def test_one_that_does_not_answer_is_silent_and_may_be_ready() -> None:
    case = Case()
    case.router()
    case.envoy.deaf = True
    found = await case.pod()
    assert found.ready
    assert found.silent.endswith(f"nobody listens at {ADDRESS}")
    assert (found.version, found.reached) == ("", {})


@pytest.mark.parametrize("path", [SITES_PATH, "/config"])
async def test_one_that_answers_something_else_is_silent(path: str) -> None:
    case = Case()
    case.router()

    class Confused(RouterApi):
        async def ask(
            self, address: str, asked: str, port: int | None = None, most: int = 0
        ) -> str:
            return "no healthy upstream" if asked == path else await case.plane.ask(address, asked)

    found = await read_routing(case.api, Confused(), resource(ROUTED), [told(case.site)])
    assert found.routers[0].silent == "the router's answer is not JSON"


async def test_a_silent_router_hides_no_other() -> None:
    case = Case()
    case.router(name="router-2")
    case.router(name="router-1", podIP="10.0.0.9")
    one, two = (await case.routing()).routers
    assert (one.name, bool(one.silent)) == ("router-1", True)
    assert (two.name, two.silent) == ("router-2", "")


async def test_one_on_its_way_out_says_until_when_it_may_serve() -> None:
    case = Case()
    case.router(leaving=True)
    case.envoy.deaf = True
    found = await case.pod()
    assert found.silent
    assert found.gone_by == NOW + KILLED_WITHIN


# -- counters


ROLLING = Status(
    variants=(
        VariantStatus(name="default", rollout=RolloutStatus(candidate=B, phase=Phase.HOLDING)),
    )
)


@pytest.mark.parametrize(
    ("known", "status", "counted"),
    [
        pytest.param((A,), Status(), False, id="nothing moves"),
        pytest.param((A,), ROLLING, True, id="a rollout is on its way"),
        pytest.param((A, B), Status(), True, id="a revision without a share finishes"),
    ],
)
async def test_counters_are_read_where_somebody_looks_at_them(
    known: tuple[str, ...], status: Status, counted: bool
) -> None:
    case = Case(site(NAME, *known))
    case.envoy.request(A, 3, fails=False)
    case.router()
    found = await case.pod(resource(ROUTED, status=status))
    assert {name: each.completed for name, each in found.counters.items()} == (
        {A: 3} if counted else {}
    )


async def test_a_router_without_a_clock_has_not_started() -> None:
    case = Case()
    case.router(containerStatuses=[{"name": pod.CONTAINER, "state": {"waiting": {}}}])
    assert (await case.pod()).started is None
