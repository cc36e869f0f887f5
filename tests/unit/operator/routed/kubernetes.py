"""The others of the world behind routers: the controllers of Kubernetes, its nodes, the routers,
callers and time. Each is as simple as it can be and still be late, or out of order.
"""

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from modelfleet_contract import HTTP_PORT_NAME
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import read_time, written_time
from modelfleet_operator.router import pod as router_pod
from modelfleet_operator.router.site import WHOLE
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import NAMESPACE, NOW
from tests.unit.operator.memory_api import MemoryApi
from tests.unit.operator.routed.data_plane import DataPlane, Envoy
from tests.unit.operator.routed.gpus import scheduled
from tests.unit.operator.world import FAILED, is_leaving, model_of

BROKEN, FAILING = "broken", "failing"
"""Models whose names begin so are never ready; are ready, and answer half of all requests with an
error."""

SITES: Final = f"{router_pod.SHARED}-sites"
HEARD_AFTER: Final = timedelta(seconds=8)
"""The longest that a node takes to hear of a change of endpoints."""
GRACE: Final = timedelta(seconds=70)
REQUESTS: Final = 2000
"""Of each deployment to each router, at a time."""
_HASH: Final = "pod-template-hash"


class Kubernetes:
    def __init__(self, chance: random.Random | None) -> None:
        self.api = MemoryApi()
        self.plane = DataPlane()
        self.chance = chance
        """None: everybody does all that there is to do, in order."""
        self.now: datetime = NOW
        self.load: dict[str, int] = {}
        """By deployment, how many pods its requests need, where an autoscaler decides."""
        self.sick: set[str] = set()
        """Models that are no longer what they were when they could be started."""
        self.api.gone_by = lambda: written_time(self.now + GRACE)
        self._heard: datetime = NOW
        self._pods = 0

    # The controllers.

    def deployments(self) -> None:
        """The Deployment and ReplicaSet controllers: as many pods as are asked for, and another
        template by one pod more, and never by one less."""
        wanted = {each["metadata"]["name"]: each for each in self.api.all(kinds.DEPLOYMENT)}
        made_by = {self._maker(pod) for pod in self.api.all(kinds.POD)}
        for name in sorted({*wanted, *made_by}):
            there = [p for p in self.api.all(kinds.POD) if self._maker(p) == name]
            there = sorted((p for p in there if not is_leaving(p)), key=is_ready)
            if name not in wanted:
                self._end(self._some(there))
                continue
            self._roll(wanted[name], there)

    def _roll(self, deployment: Json, there: list[Json]) -> None:
        """`there`: its pods, those that are not ready first."""
        asked, version = deployment["spec"]["replicas"], _version(deployment)
        new = [p for p in there if p["metadata"]["labels"][_HASH] == version]
        old = [p for p in there if p["metadata"]["labels"][_HASH] != version]
        room = asked + (1 if old else 0) - len(there)
        for _ in self._some(list(range(min(room, asked - len(new))))):
            self._start(deployment, version)
        self._end(self._some(new[: max(0, len(new) - asked)]))
        if old and asked == 0:
            self._end(self._some(old))
        elif old and sum(map(is_ready, there)) > asked:
            self._end(old[:1])
        self.api.change(
            kinds.DEPLOYMENT,
            NAMESPACE,
            deployment["metadata"]["name"],
            status={
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": len(there),
                "updatedReplicas": len(new),
            },
        )

    def endpoints(self) -> None:
        """The endpoint slices follow the Services and their pods, late."""
        services = {
            each["metadata"]["name"]: each
            for each in self.api.all(kinds.SERVICE)
            if each["metadata"]["labels"].get(labels.ROLE) == "address"
        }
        for slice_ in self.api.all(kinds.ENDPOINT_SLICE):
            if slice_["metadata"]["labels"][kinds.SERVICE_OF_SLICE] not in services:
                self.api.remove(kinds.ENDPOINT_SLICE, NAMESPACE, slice_["metadata"]["name"])
        some = self._some(sorted(services))
        for name in some:
            self._put_slice(services[name])
        if len(some) == len(services):
            self._heard = self.now

    def _put_slice(self, service: Json) -> None:
        name, selector = service["metadata"]["name"], service["spec"]["selector"].items()
        behind = [p for p in self.api.all(kinds.POD) if selector <= p["metadata"]["labels"].items()]
        port = next(p for p in service["spec"]["ports"] if p["name"] == HTTP_PORT_NAME)
        self.api.put(
            kinds.ENDPOINT_SLICE,
            {
                "metadata": {
                    "name": f"{name}-slice",
                    "namespace": NAMESPACE,
                    "labels": {**service["metadata"]["labels"], kinds.SERVICE_OF_SLICE: name},
                },
                "ports": [{"name": HTTP_PORT_NAME, "port": port["targetPort"]}],
                "endpoints": [_endpoint(p) for p in behind if "nodeName" in p["spec"]],
            },
        )

    def autoscalers(self) -> None:
        """Each gives its revision as many pods as its share of the load needs, within its bounds.
        It leaves a Deployment of no pods alone, as the real one does."""
        for each in self.api.all(kinds.AUTOSCALER):
            spec, owner = each["spec"], each["metadata"]["labels"][labels.DEPLOYMENT]
            name = spec["scaleTargetRef"]["name"]
            deployment = self.api.find(kinds.DEPLOYMENT, NAMESPACE, name)
            if deployment is None or deployment["spec"]["replicas"] == 0:
                continue
            load = -(-self.load.get(owner, 1) * self.share(owner, name) // WHOLE)
            want = min(max(load, spec["minReplicas"]), spec["maxReplicas"])
            self.api.change(kinds.DEPLOYMENT, NAMESPACE, name, spec={"replicas": want})

    def garbage_collector(self) -> None:
        """Takes what belonged to resources that are all gone."""
        living = {body["metadata"]["uid"] for body in self.api.objects.values()}
        for kind in kinds.CHILDREN:
            for body in self._some(self.api.all(kind)):
                owners = body["metadata"].get("ownerReferences", ())
                if owners and not any(owner["uid"] in living for owner in owners):
                    self.api.remove(kind, NAMESPACE, body["metadata"]["name"])

    # The nodes.

    def kubelets(self) -> None:
        """The scheduler and the nodes: each pod goes one step on.

        A pod that was told to go stays for the seconds in which everybody hears that.
        """
        heard_of = {e["targetRef"]["name"] for e in self._all_endpoints()
                    if e["conditions"]["ready"]}  # fmt: skip
        for pod in self._some(self.api.all(kinds.POD)):
            if is_leaving(pod):
                if pod["metadata"]["name"] not in heard_of:
                    self.remove_pod(pod)
            elif "nodeName" not in pod["spec"]:
                self._change(pod, **scheduled(self.api, pod))
            elif is_router(pod):
                self._run_router(pod)
            elif model_of(pod).startswith(BROKEN) or model_of(pod) in self.sick:
                self._change(pod, status=FAILED)
            else:
                self._change(pod, status=_READY)

    def _run_router(self, pod: Json) -> None:
        volumes = [v["configMap"]["name"] for v in pod["spec"]["volumes"]]
        mounted = [self.api.find(kinds.CONFIG_MAP, NAMESPACE, name) for name in volumes]
        if not address_of(pod):
            files = mounted[-1]
            if files is None or None in mounted:
                return  # it waits for what it mounts
            address = f"10.0.{self._pods // 250}.{self._pods % 250 + 1}"
            self._pods += 1
            told = _annotation(pod)
            self.plane.envoys[address] = Envoy(files["data"], files["data"], told)
            started = {"running": {"startedAt": written_time(self.now)}}
            statuses = [{"name": router_pod.CONTAINER, "state": started}]
            self._change(pod, status={"podIP": address, "containerStatuses": statuses})
        elif not self.plane.envoys[address_of(pod)].deaf:
            self._change(pod, status=_READY)

    def syncs(self) -> None:
        """The kubelets of the routers: at once after a touch, but by what they know of the
        ConfigMap at that moment, and else whenever they come to it."""
        files = self.api.find(kinds.CONFIG_MAP, NAMESPACE, SITES)
        for pod in self._some(self.routers()):
            if is_leaving(pod):
                continue
            envoy = self.envoy(pod)
            envoy.frozen = self._for_a_while(envoy.frozen)
            envoy.deaf = self._for_a_while(envoy.deaf)
            if envoy.frozen:
                continue
            if files is not None and self._by_chance(0.7):
                envoy.cached = files["data"]
            if _annotation(pod) != envoy.touched and self._by_chance(0.8):
                envoy.touched = _annotation(pod)
                envoy.take(envoy.cached)
            elif self.chance is not None and self.chance.random() < 0.03:
                envoy.take(envoy.cached)

    def checks(self) -> None:
        """Each router asks the pods that the DNS names, and those it knows, how they are."""
        named = {each["metadata"]["name"] for each in self.api.all(kinds.SERVICE)}
        for envoy in self.plane.envoys.values():
            for revision in sorted({revision for _, revision in envoy.known()}):
                if not self._by_chance(0.7):
                    continue
                pods = {p["metadata"]["name"] for p in self.pods(revision) if passes(p)}
                known = envoy.healthy.get(revision, frozenset())
                envoy.healthy[revision] = frozenset(pods if revision in named else pods & known)

    # Callers, and time.

    def requests(self) -> None:
        for envoy in map(self.envoy, self.routers()):
            for split in envoy.split.values():
                for revision, parts in split.items():
                    self._request(envoy, revision, parts)
            self._finish(envoy)

    def _request(self, envoy: Envoy, revision: str, parts: int) -> None:
        number = max(2, REQUESTS * parts // WHOLE)
        fails = self.model(revision).startswith(FAILING)
        envoy.request(revision, number // 2, fails=False)
        envoy.request(revision, number - number // 2, fails=fails)
        envoy.counted[revision].in_flight = 1

    def _finish(self, envoy: Envoy) -> None:
        """The last requests of those that get no more."""
        busy = {name for split in envoy.split.values() for name, parts in split.items() if parts}
        for name, counted in envoy.counted.items():
            if name not in busy and self._by_chance(0.5):
                counted.in_flight = 0

    def time(self) -> None:
        self.now += timedelta(seconds=1 if self.chance is None else self.chance.randint(0, 20))
        if self.now - self._heard > HEARD_AFTER:
            chance, self.chance = self.chance, None
            self.endpoints()
            self.chance = chance
        self._end_of_grace()

    def _end_of_grace(self) -> None:
        """Whatever still runs when its time is over is killed, at once or some seconds late."""
        late = timedelta(seconds=self.chance.randint(0, 5) if self.chance else 0)
        for pod in filter(is_leaving, self.api.all(kinds.POD)):
            if (read_time(pod["metadata"]["deletionTimestamp"]) or NOW) + late <= self.now:
                self.remove_pod(pod)

    @property
    def others(self) -> tuple[Callable[[], None], ...]:
        return (
            self.deployments,
            self.kubelets,
            self.endpoints,
            self.syncs,
            self.checks,
            self.requests,
            self.autoscalers,
            self.garbage_collector,
            self.time,
        )

    # What is the case.

    def pods(self, revision: str) -> list[Json]:
        return [
            pod
            for pod in self.api.all(kinds.POD)
            if pod["metadata"]["labels"].get(labels.REVISION) == revision
        ]

    def routers(self) -> list[Json]:
        """Those that run."""
        return [p for p in self.api.all(kinds.POD) if is_router(p) and address_of(p)]

    def envoy(self, pod: Json) -> Envoy:
        return self.plane.envoys[address_of(pod)]

    def passing(self, revision: str) -> int:
        """Pods that would pass the check of a router at this moment, and are to stay."""
        return sum(passes(pod) for pod in self.pods(revision))

    def share(self, deployment: str, revision: str) -> int:
        """The most of its variant's share that anybody gives to it at this moment, in parts of
        `WHOLE`."""
        behind = {e["targetRef"]["name"] for e in self.endpoints_of(deployment)}
        if any(pod["metadata"]["name"] in behind for pod in self.pods(revision)):
            return WHOLE
        mine, most = self.siblings(revision), 0
        for router in self.routers():
            split = self.envoy(router).split.get(deployment, {})
            together = sum(split.get(each, 0) for each in mine)
            if together:
                most = max(most, split.get(revision, 0) * WHOLE // together)
        return most

    def siblings(self, revision: str) -> list[str]:
        """The revisions of its variant."""
        found = {
            each["metadata"]["name"]: each["metadata"]["labels"][labels.VARIANT]
            for each in self.api.all(kinds.CONTROLLER_REVISION)
        }
        mine = found.get(revision)
        return [name for name, variant in found.items() if variant == mine]

    def endpoints_of(self, deployment: str) -> list[Json]:
        found = self.api.find(kinds.ENDPOINT_SLICE, NAMESPACE, f"{deployment}-slice")
        return [] if found is None else found["endpoints"]

    def model(self, revision: str) -> str:
        found = self.api.find(kinds.CONTROLLER_REVISION, NAMESPACE, revision)
        return "" if found is None else str(found["data"]["model"]["version"])

    def desired(self, revision: str) -> int:
        found = self.api.find(kinds.DEPLOYMENT, NAMESPACE, revision)
        return 0 if found is None else int(found["spec"]["replicas"])

    def remove_pod(self, pod: Json) -> None:
        self.plane.envoys.pop(address_of(pod), None)
        self.api.remove(kinds.POD, NAMESPACE, pod["metadata"]["name"])

    def _all_endpoints(self) -> Iterator[Json]:
        for each in self.api.all(kinds.ENDPOINT_SLICE):
            yield from each["endpoints"]

    def _by_chance(self, share: float) -> bool:
        return self.chance is None or self.chance.random() < share

    def _for_a_while(self, now: bool) -> bool:
        """A trouble that comes seldom, and goes."""
        if self.chance is None:
            return False
        return self.chance.random() < (0.8 if now else 0.02)

    def _some(self, items: list[Any]) -> list[Any]:
        """All, or by chance any number of them in any order."""
        if self.chance is None:
            return items
        return self.chance.sample(items, self.chance.randint(0, len(items)))

    def _start(self, deployment: Json, version: str) -> None:
        self._pods += 1
        name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
        metadata = {**template["metadata"], "namespace": NAMESPACE, "generateName": f"{name}-"}
        metadata["labels"] = {**metadata["labels"], _HASH: version}
        metadata["name"] = f"{name}-{self._pods:03}"
        self.api.put(kinds.POD, {**template, "metadata": metadata, "status": {"phase": "Pending"}})

    def _end(self, pods: Iterable[Json]) -> None:
        for pod in pods:
            self._change(pod, metadata={"deletionTimestamp": self.api.gone_by()})

    def _change(self, pod: Json, **fields: Any) -> None:
        self.api.change(kinds.POD, NAMESPACE, pod["metadata"]["name"], **fields)

    @staticmethod
    def _maker(pod: Json) -> str:
        return str(pod["metadata"]["generateName"]).removesuffix("-")


def is_router(pod: Json) -> bool:
    return bool(pod["metadata"]["labels"].get("app.kubernetes.io/name") == router_pod.NAME)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def passes(pod: Json) -> bool:
    """The check of a router."""
    return is_ready(pod) and not is_leaving(pod)


def address_of(pod: Json) -> str:
    return str(pod["status"].get("podIP", ""))


def _annotation(pod: Json) -> str:
    return str(pod["metadata"].get("annotations", {}).get(router_pod.CONFIG_ANNOTATION, ""))


def _version(deployment: Json) -> str:
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _endpoint(pod: Json) -> Json:
    return {
        "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]},
        "conditions": {"ready": passes(pod)},
    }


_READY: Json = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
