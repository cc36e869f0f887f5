"""A Gateway as the picture has it: one of our routers, that cannot be counted."""

from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.gateway import Gateway
from modelfleet_operator.children import grpc_route, http_route
from modelfleet_operator.cluster.errors import ApiError, NotFound, Refused
from modelfleet_operator.gateway.routes import of_site
from modelfleet_operator.kinds import Kind
from modelfleet_operator.observe import gateway
from modelfleet_operator.router.routes import version
from modelfleet_operator.router.site import Interval, Site
from modelfleet_operator.seen import Json, Resource, RouterPod, Routing
from tests.unit.operator.builders import NAME, NAMESPACE, resource, spec
from tests.unit.operator.gateway.world import CONTROLLER, GATEWAY, GatewayWorld
from tests.unit.operator.memory_api import MemoryApi
from tests.unit.operator.router.builders import A, B, arm, site

HERE = Gateway(name=GATEWAY)
BOTH = Gateway(name=GATEWAY, section_name="http", grpc_section_name="grpc")
TOLD = site(
    arms=(arm(A, grpc_port=8081), arm(B, grpc_port=8081)),
    intervals=(Interval(B, 500), Interval(A, 9500)),
)
SHARES = {"default": {B: 500, A: 9500}}


def asking(asked: Gateway = HERE) -> Resource:
    more = asked.model_dump(by_alias=True, exclude_defaults=True)
    return resource(spec(routing={"mode": "Gateway", "gateway": more}))


class Case:
    """A cluster with a Gateway that has taken what it was told."""

    def __init__(self, asked: Gateway = HERE, told: Site | None = TOLD) -> None:
        self.asked = asked
        self.api: MemoryApi = GatewayWorld(None).api
        self.before, self.slices = Routing(), [_slice(A, 2), _slice(B, 1, of_all=2)]
        if told is not None:
            self.tell(told)

    def tell(self, told: Site, **status: Any) -> None:
        one, routes = asking(self.asked), of_site(told, self.asked, NAMESPACE)
        made = [each.build(one, routes, told, SHARES) for each in (http_route, grpc_route)]
        for kind, body in zip(kinds.ROUTES, made, strict=True):
            if body is not None:
                (reference,) = body["spec"]["parentRefs"]
                self.api.put(kind, {**body, "status": _taken(reference, **status)})

    async def routing(self) -> Routing:
        routes = await gateway.read_routes(self.api, asking(self.asked))
        return await gateway.read_routing(
            self.api, asking(self.asked), self.asked, routes, self.slices, self.before
        )


def _taken(
    reference: Json, accepted: str = "True", generation: int = 1, controller: str = CONTROLLER
) -> Json:
    conditions = [
        {"type": "Accepted", "status": accepted, "reason": "NoMatchingParent", "message": "no"},
        {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs"},
    ]
    said = [{**each, "observedGeneration": generation} for each in conditions]
    parent = {"parentRef": reference, "controllerName": controller, "conditions": said}
    return {"parents": [parent]}


def _slice(revision: str, ready: int, *, of_all: int | None = None, port: str = "http") -> Json:
    endpoints = [{"conditions": {"ready": n < ready}} for n in range(of_all or ready)]
    return {
        "metadata": {"labels": {kinds.SERVICE_OF_SLICE: revision}},
        "ports": [{"name": port}],
        "endpoints": endpoints,
    }


def router(kind: str, told: str, where: str = f"Gateway {NAMESPACE}/{GATEWAY}") -> RouterPod:
    return RouterPod(
        f"{where} ({kind})",
        ready=bool(told),
        version=told,
        reached={A: 2, B: 1},
        countable=False,
    )


async def test_what_it_has_taken() -> None:
    expected = Routing(TOLD, SHARES, routers=(router("HTTPRoute", version(TOLD)),))
    assert await Case().routing() == expected


async def test_one_for_each_route() -> None:
    listener = f"Gateway {NAMESPACE}/{GATEWAY}, listener"
    found = await Case(BOTH).routing()
    assert found.routers == (
        router("HTTPRoute", version(TOLD), f"{listener} http"),
        router("GRPCRoute", version(TOLD), f"{listener} grpc"),
    )


async def test_a_route_that_is_not_there_yet_is_waited_for() -> None:
    case = Case(BOTH)
    case.api.remove(kinds.GRPC_ROUTE, NAMESPACE, NAME)
    found = await case.routing()
    assert [each.version for each in found.routers] == [version(TOLD), ""]


async def test_what_it_has_not_looked_at_yet() -> None:
    case = Case()
    case.tell(TOLD, generation=0)
    assert (await case.routing()).routers == (router("HTTPRoute", ""),)


async def test_what_it_refuses() -> None:
    case = Case()
    case.tell(TOLD, accepted="False")
    found = await case.routing()
    assert found.refused == "HTTPRoute digits: NoMatchingParent: no"
    assert found.routers == (router("HTTPRoute", ""),)


async def test_weights_that_somebody_else_has_written_are_not_ours() -> None:
    case = Case()
    (route,) = case.api.all(kinds.HTTP_ROUTE)
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = 1
    assert (await case.routing()).routers == (router("HTTPRoute", ""),)


async def test_a_controller_whose_gateway_it_is_not_says_nothing() -> None:
    case = Case()
    case.tell(TOLD, controller="example.com/other")
    assert (await case.routing()).routers == (router("HTTPRoute", ""),)


async def test_nothing_was_told_yet() -> None:
    assert await Case(told=None).routing() == Routing()


async def test_who_comes_from_our_routers_goes_on_with_their_weights() -> None:
    case = Case(told=None)
    case.before = Routing(TOLD, SHARES, left=TOLD)
    found = await case.routing()
    assert (found.site, found.shares, found.left) == (TOLD, SHARES, TOLD)
    assert found.routers == (router("HTTPRoute", ""),)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (kinds.GATEWAY, f"there is no Gateway {GATEWAY} in the namespace {NAMESPACE}"),
        (kinds.GATEWAY_CLASS, f"Gateway {NAMESPACE}/{GATEWAY}: there is no GatewayClass c"),
    ],
)
async def test_what_is_not_there_is_said(kind: Kind, says: str) -> None:
    case = Case()
    (there,) = case.api.all(kind)
    case.api.remove(kind, there["metadata"]["namespace"], there["metadata"]["name"])
    assert (await case.routing()).refused == says


@pytest.mark.parametrize("namespace", ["../../x", "Infra", "a/b", "a?b"])
async def test_what_can_be_no_name_is_not_asked_for(namespace: str) -> None:
    case = Case(Gateway(name=GATEWAY, namespace=namespace))
    assert "there is no Gateway" in (await case.routing()).refused


class Answering(MemoryApi):
    """Answers with an error about some kinds."""

    def __init__(self, api: MemoryApi, error: ApiError, *kinds_: Kind) -> None:
        super().__init__()
        self.objects, self.error, self.about = api.objects, error, kinds_

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        if kind in self.about:
            raise self.error
        return await super().get(kind, namespace, name)

    async def list(self, kind: Kind, namespace: str, **more: Any) -> list[Json]:
        if kind in self.about:
            raise self.error
        return await super().list(kind, namespace, **more)


@pytest.mark.parametrize("kind", [kinds.GATEWAY, kinds.GATEWAY_CLASS])
async def test_where_we_may_not_look_the_routes_are_believed(kind: Kind) -> None:
    """An operator of some namespaces may not read the cluster's classes, nor others' Gateways."""
    case = Case()
    case.api = Answering(case.api, Refused("forbidden"), kind)
    found = await case.routing()
    assert (found.refused, found.routers) == ("", (router("HTTPRoute", version(TOLD)),))


@pytest.mark.parametrize(
    ("asked", "missing", "impossible"),
    [
        (HERE, kinds.ROUTES, "HTTPRoute"),
        (BOTH, (kinds.GRPC_ROUTE,), "GRPCRoute"),
        (HERE, (kinds.GRPC_ROUTE,), ""),
    ],
)
async def test_kinds_that_the_cluster_has_not(
    asked: Gateway, missing: tuple[Kind, ...], impossible: str
) -> None:
    case = Case(asked, told=None)
    case.api = Answering(case.api, NotFound("404 page not found"), *missing)
    found = await case.routing()
    assert found.impossible is bool(impossible)
    if impossible:
        assert f"does not know the kind {impossible}" in found.refused


@pytest.mark.parametrize(
    ("annotations", "asked", "may"),
    [
        ({}, False, False),
        ({labels.GATEWAY: ""}, False, False),
        ({labels.GATEWAY: "team-a/models"}, False, True),
        ({}, True, True),
    ],
)
def test_when_routes_are_looked_for(annotations: dict[str, str], asked: bool, may: bool) -> None:
    service = {"metadata": {"annotations": annotations}}
    one = asking() if asked else resource()
    assert gateway.may_have_routes(one, service) is may
    assert gateway.may_have_routes(one, None) is asked


def test_only_pods_that_are_ready_and_speak_http_are_reached() -> None:
    slices = [_slice(A, 1, of_all=3), _slice(A, 2), _slice(A, 4, port="grpc"), _slice(B, 1)]
    assert gateway.read_reached(slices) == {A: 3, B: 1}
