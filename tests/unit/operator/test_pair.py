"""The pair of routers of a namespace: made, given what all want, followed, and taken away."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children import routing, service
from modelfleet_operator.cluster.errors import Refused
from modelfleet_operator.loop import Gone
from modelfleet_operator.pair import REPLACE_AFTER, TOUCH_AGAIN, PairLook
from modelfleet_operator.router import part, pod
from modelfleet_operator.router.pod import CONFIG_ANNOTATION
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import SITE_KEY
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import NAME, NAMESPACE, resource
from tests.unit.operator.memory_api import said
from tests.unit.operator.routed.kubernetes import SITES, Kubernetes
from tests.unit.operator.routed.world import OTHER, PAIR
from tests.unit.operator.router.builders import A, B, site, split

SECOND = timedelta(seconds=1)
PAIR_KINDS = (kinds.CONFIG_MAP, kinds.DEPLOYMENT, kinds.DISRUPTION_BUDGET, kinds.SERVICE)


class Namespace(Kubernetes):
    """With the looks at its pair."""

    def __init__(self) -> None:
        super().__init__(None)
        self.look = PairLook(self.api, self.plane, "router:1", clock=lambda: self.now)

    def wants(self, one: Site) -> None:
        """What a ModelDeployment has written for the routers."""
        owner = replace(resource(name=one.name), uid=f"uid-of-{one.name}")
        body = routing.build(owner, one)
        found = self.api.find(kinds.CONFIG_MAP, NAMESPACE, body["metadata"]["name"])
        if found is not None:
            body["metadata"]["annotations"] = found["metadata"].get("annotations", {})
        self.api.put(kinds.CONFIG_MAP, body)

    def forgets(self, name: str) -> None:
        self.api.remove(kinds.CONFIG_MAP, NAMESPACE, routing.name_of(name))

    async def looked(self) -> list[str]:
        """The writes of one look."""
        self.api.writes.clear()
        await self.look(PAIR)
        return said(self.api.writes)

    async def running(self) -> None:
        """A pair that serves what is wanted, at rest."""
        for _ in range(4):
            await self.look(PAIR)
            self.deployments()
            self.kubelets()
            self.syncs()
        assert len(self.routers()) == 2
        assert await self.looked() == []

    @property
    def data(self) -> dict[str, str]:
        found = self.api.find(kinds.CONFIG_MAP, NAMESPACE, SITES)
        assert found is not None
        return dict(found["data"])

    def refused(self, name: str = NAME) -> str:
        found = self.api.find(kinds.CONFIG_MAP, NAMESPACE, routing.name_of(name))
        assert found is not None
        return str(found["metadata"].get("annotations", {}).get(labels.REFUSED, ""))

    def told(self) -> list[str]:
        return [each["metadata"].get("annotations", {}).get(CONFIG_ANNOTATION, "")
                for each in self.routers()]  # fmt: skip

    def of_the_pair(self) -> list[tuple[kinds.Kind, Json]]:
        return [
            (kind, each)
            for kind in PAIR_KINDS
            for each in self.api.all(kind)
            if each["metadata"]["labels"].get(labels.ROLE) == "router"
        ]


def other(**more: Any) -> Site:
    return site(OTHER, "letters-a", **{"http_port": 10_002, "grpc_port": 10_003, **more})


@pytest.fixture
def namespace() -> Namespace:
    made = Namespace()
    made.wants(site())
    return made


# -- what is made, and taken away


async def test_what_the_routers_mount_is_made_before_them(namespace: Namespace) -> None:
    first, *rest = await namespace.looked()
    assert first.startswith(f"apply ConfigMap {pod.SHARED}-bootstrap-")
    assert rest == [
        f"apply ConfigMap {SITES}",
        f"apply Deployment {pod.SHARED}",
        f"apply PodDisruptionBudget {pod.SHARED}",
        f"apply Service {pod.SHARED}",
    ]


async def test_the_next_look_writes_nothing(namespace: Namespace) -> None:
    await namespace.looked()
    assert await namespace.looked() == []


@pytest.mark.parametrize("lost", [each.kind for each in PAIR_KINDS])
async def test_what_somebody_deleted_is_made_again(namespace: Namespace, lost: str) -> None:
    await namespace.looked()
    (kind, body), *_ = [each for each in namespace.of_the_pair() if each[0].kind == lost]
    namespace.api.remove(kind, NAMESPACE, body["metadata"]["name"])
    assert await namespace.looked() == [f"apply {lost} {body['metadata']['name']}"]


async def test_what_belongs_to_somebody_else_is_not_taken_over(namespace: Namespace) -> None:
    theirs = {"metadata": {"name": pod.SHARED, "namespace": NAMESPACE, "labels": {}},
              "spec": {"selector": {}}}  # fmt: skip
    namespace.api.put(kinds.SERVICE, theirs)
    with pytest.raises(Refused, match='Service "modelfleet-router" is there already'):
        await namespace.look(PAIR)


async def test_the_pair_belongs_to_all_that_use_it(namespace: Namespace) -> None:
    namespace.wants(other())
    await namespace.looked()
    for _, each in namespace.of_the_pair():
        owners = [owner["name"] for owner in each["metadata"]["ownerReferences"]]
        assert owners == [NAME, OTHER]


async def test_the_pair_goes_after_the_last(namespace: Namespace) -> None:
    namespace.wants(other())
    await namespace.looked()
    namespace.forgets(NAME)
    await namespace.looked()
    assert part.read(namespace.data).keys() == {OTHER}
    namespace.forgets(OTHER)
    namespace.api.writes.clear()
    with pytest.raises(Gone):
        await namespace.look(PAIR)
    order = [write.kind for write in namespace.api.writes]
    assert order == ["Service", "PodDisruptionBudget", "Deployment", "ConfigMap", "ConfigMap"]
    assert namespace.of_the_pair() == []


async def test_without_anybody_there_is_no_pair() -> None:
    with pytest.raises(Gone):
        await Namespace().look(PAIR)


async def test_a_longer_request_gives_the_routers_longer_to_go(namespace: Namespace) -> None:
    await namespace.looked()
    namespace.wants(site(timeout_s=600.0))
    assert f"apply Deployment {pod.SHARED}" in await namespace.looked()
    (deployment,) = namespace.api.all(kinds.DEPLOYMENT)
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 600


async def test_old_settings_stay_while_a_router_runs_with_them(namespace: Namespace) -> None:
    await namespace.running()
    old = f"{pod.SHARED}-bootstrap-old"
    (deployment,) = namespace.api.all(kinds.DEPLOYMENT)
    metadata = {**deployment["metadata"], "name": old}
    namespace.api.put(kinds.CONFIG_MAP, {"kind": "ConfigMap", "metadata": metadata, "data": {}})
    template = {"metadata": {"annotations": {"prometheus.io/port": "1"}}}
    namespace.api.change(  # as an operator of before has made it
        kinds.DEPLOYMENT, NAMESPACE, pod.SHARED, spec={"template": template}
    )
    namespace.deployments()
    assert await namespace.looked() == [f"apply Deployment {pod.SHARED}"]
    assert await namespace.looked() == [], "what its status says is of before"
    namespace.deployments()
    assert await namespace.looked() == [], "one router has been started"
    for _ in range(8):
        namespace.deployments()
        namespace.kubelets()
    assert await namespace.looked() == [f"delete ConfigMap {old}"]


# -- what is said to the routers


async def test_every_router_is_told_to_look(namespace: Namespace) -> None:
    await namespace.running()
    before = namespace.told()
    namespace.wants(site(intervals=split(b=2000, a=8000)))
    first, second = (each["metadata"]["name"] for each in namespace.routers())
    assert await namespace.looked() == [
        f"apply ConfigMap {SITES}",
        f"annotate Pod {first}",
        f"annotate Pod {second}",
    ]
    assert not {*before} & {*namespace.told()}


async def test_a_router_that_has_heard_too_early_is_told_again(namespace: Namespace) -> None:
    await namespace.running()
    namespace.wants(site(intervals=split(b=2000, a=8000)))
    await namespace.look(PAIR)
    first = namespace.told()
    namespace.now += TOUCH_AGAIN - SECOND
    assert await namespace.looked() == []
    namespace.now += SECOND
    await namespace.look(PAIR)
    assert not {*first} & {*namespace.told()}
    namespace.syncs()
    assert await namespace.looked() == []
    assert await namespace.look(PAIR) is None


async def test_while_a_router_lags_the_look_comes_again(namespace: Namespace) -> None:
    await namespace.running()
    namespace.wants(site(intervals=split(b=2000, a=8000)))
    assert await namespace.look(PAIR) == TOUCH_AGAIN.total_seconds()


@pytest.mark.parametrize("ready", [True, False])
async def test_one_that_stays_behind_is_replaced_if_another_takes_requests(
    namespace: Namespace, ready: bool
) -> None:
    await namespace.running()
    late, good = namespace.routers()
    namespace.envoy(late).deaf = True
    await namespace.look(PAIR)
    if not ready:
        namespace.api.change(
            kinds.POD, NAMESPACE, good["metadata"]["name"], status={"conditions": []}
        )
    namespace.now += REPLACE_AFTER
    deleted = f"delete Pod {late['metadata']['name']}"
    assert (deleted in await namespace.looked()) is ready


async def test_where_all_stay_behind_none_is_replaced(namespace: Namespace) -> None:
    await namespace.running()
    for each in namespace.routers():
        namespace.envoy(each).deaf = True
    await namespace.look(PAIR)
    namespace.now += REPLACE_AFTER
    assert not [write for write in await namespace.looked() if write.startswith("delete")]


# -- what cannot be served


async def test_why_a_site_is_refused_is_told_to_it_alone(namespace: Namespace) -> None:
    await namespace.running()
    before = part.read(namespace.data)
    namespace.wants(other(http_port=10_000))
    await namespace.look(PAIR)
    assert namespace.refused(OTHER) == "port 10000 of the router is that of digits: take another."
    assert namespace.refused(NAME) == ""
    assert part.read(namespace.data) == before
    namespace.wants(other())
    await namespace.look(PAIR)
    assert namespace.refused(OTHER) == ""
    assert part.read(namespace.data).keys() == {NAME, OTHER}


async def test_a_refused_change_leaves_what_is_served(namespace: Namespace) -> None:
    await namespace.running()
    before = part.read(namespace.data)
    namespace.wants(site(intervals=split(b=2000, a=7000)))
    await namespace.look(PAIR)
    assert namespace.refused() == "the weights sum to 9000: they must sum to 10000."
    assert part.read(namespace.data) == before


async def test_a_site_that_cannot_be_read_stays_as_it_is(namespace: Namespace) -> None:
    namespace.wants(other())
    await namespace.running()
    before = part.read(namespace.data)
    name = routing.name_of(OTHER)
    namespace.api.change(kinds.CONFIG_MAP, NAMESPACE, name, data={SITE_KEY: '{"of": "2030"}'})
    namespace.wants(site("digits", B, A))
    await namespace.look(PAIR)
    after = part.read(namespace.data)
    assert after[OTHER] == before[OTHER]
    assert after[NAME] != before[NAME]
    assert namespace.refused(OTHER) == "what is written for the routers cannot be read."


@pytest.mark.parametrize("alone", [True, False])
async def test_one_that_has_lost_what_it_wrote_is_served_as_it_was(
    namespace: Namespace, alone: bool
) -> None:
    """Its address still selects the routers: it will write again, or it is about to go."""
    if not alone:
        namespace.wants(other())
    await namespace.running()
    before = part.read(namespace.data)
    address = service.through_routers(resource(), site())
    namespace.api.put(kinds.SERVICE, address)
    namespace.forgets(NAME)
    assert await namespace.look(PAIR) is not None, "nobody tells when the address goes"
    assert part.read(namespace.data) == before
    namespace.api.remove(kinds.SERVICE, NAMESPACE, NAME)
    if alone:
        with pytest.raises(Gone):
            await namespace.look(PAIR)
    else:
        await namespace.look(PAIR)
        assert part.read(namespace.data).keys() == {OTHER}
