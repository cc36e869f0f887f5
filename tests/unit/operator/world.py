"""A cluster in memory that moves step by step, for the stories.

Everything is raw JSON in a `MemoryApi`; the operator's real `Look` reads and writes it. Around it
move the others: the controllers of Kubernetes (here each as simple as it can be and still be late,
or out of order), and people. Who moves next is the story's choice.
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from modelfleet_contract import DOCUMENT_ENV, Failure, FailureReason
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.errors import Conflict
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.kinds import Kind
from modelfleet_operator.loop import Gone, Key, Look
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import DEFAULTS, NAME, NAMESPACE, NOW, spec_json
from tests.unit.operator.memory_api import MemoryApi

BROKEN = "broken"
"""A model whose name begins so is never ready."""


class World:
    def __init__(self, chance: random.Random | None) -> None:
        self.api = MemoryApi()
        self.chance = chance
        """None: everybody does all that there is to do, in order."""
        self.now: datetime = NOW
        self.load = 1
        """How many pods the requests need, where an autoscaler decides."""
        self.taken = False
        """Somebody took away what served; until it serves again, nobody is to blame."""
        self._pods = 0
        self._looked_at = -1
        self._look = Look(self.api, RouterApi(), DEFAULTS, "test", clock=lambda: self.now)
        self._resources = 0

    # The operator.

    async def look(self) -> float | None:
        """One look; a picture that was old is looked at again next time."""
        self._looked_at = self.api.version
        try:
            return await self._look(Key(NAMESPACE, NAME))
        except Gone:
            return None
        except Conflict:
            self._looked_at = -1
            return None

    @property
    def woken(self) -> bool:
        """Something has changed since the last look began."""
        return self._looked_at != self.api.version

    # People.

    def ask(self, model: str = "v1", **more: Any) -> None:
        """Applies a whole spec: a new resource, or a change of it."""
        body: Json = {"metadata": {"name": NAME, "namespace": NAMESPACE}}
        found = self.resource
        if found is not None:
            generation = found["metadata"]["generation"] + 1
            body = {**found, "metadata": {**found["metadata"], "generation": generation}}
        else:
            self._resources += 1
            body["metadata"]["uid"] = f"uid-of-digits-{self._resources}"
        spec = spec_json(model, **more)
        self.taken = self.taken or spec.get("replicas") == 0
        self.api.put(kinds.MODEL_DEPLOYMENT, {**body, "spec": spec})

    def ask_autoscaled(self, model: str = "v1", least: int = 1, most: int = 8) -> None:
        self.ask(
            model,
            autoscaling={"minReplicas": least, "maxReplicas": most},
            resources={"requests": {"cpu": "1000m"}},
        )

    def scale(self, replicas: int) -> None:
        """kubectl scale."""
        self.taken = self.taken or replicas == 0
        self.api.change(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME, spec={"replicas": replicas})

    def delete(self, kind: Kind, name: str) -> None:
        """kubectl delete."""
        if kind in (kinds.MODEL_DEPLOYMENT, kinds.DEPLOYMENT, kinds.SERVICE):
            self.taken = True
        self.api.remove(kind, NAMESPACE, name)

    def forget_status(self) -> None:
        found = self.resource
        if found is not None:
            self.api.put(kinds.MODEL_DEPLOYMENT, {**found, "status": {}})

    # Kubernetes.

    def deployments(self) -> None:
        """The Deployment and ReplicaSet controllers: as many pods as are asked for."""
        wanted = {d["metadata"]["name"]: d for d in self.api.all(kinds.DEPLOYMENT)}
        for name in sorted({*wanted, *(self._of(pod) for pod in self.pods())}):
            there = [p for p in self.pods(name) if not is_leaving(p)]
            want = wanted[name]["spec"]["replicas"] if name in wanted else 0
            there.sort(key=is_ready)
            for pod in self._some(there[: max(0, len(there) - want)]):
                self._change(pod, metadata={"deletionTimestamp": "now"})
            for _ in self._some(list(range(want - len(there)))):
                self._start(wanted[name])

    def kubelets(self) -> None:
        """The scheduler and the nodes: each pod goes one step on.

        A pod that was told to go stays for the seconds in which everybody hears that.
        """
        heard_of = {e["targetRef"]["name"] for e in self._endpoints() if e["conditions"]["ready"]}
        for pod in self._some(self.pods()):
            if is_leaving(pod) and pod["metadata"]["name"] in heard_of:
                continue
            if is_leaving(pod):
                self.api.remove(kinds.POD, NAMESPACE, pod["metadata"]["name"])
            elif "nodeName" not in pod["spec"]:
                self._change(pod, spec={"nodeName": "node-1"})
            elif model_of(pod).startswith(BROKEN):
                self._change(pod, status=FAILED)
            else:
                self._change(pod, status=_READY)

    def endpoints(self) -> None:
        """The endpoint slices follow the Service and its pods, late."""
        service = self.api.find(kinds.SERVICE, NAMESPACE, NAME)
        for slice_ in self.api.all(kinds.ENDPOINT_SLICE):
            if service is None:
                self.api.remove(kinds.ENDPOINT_SLICE, NAMESPACE, slice_["metadata"]["name"])
        if service is None:
            return
        selector = service["spec"]["selector"].items()
        behind = [p for p in self.pods() if selector <= p["metadata"]["labels"].items()]
        self.api.put(
            kinds.ENDPOINT_SLICE,
            {
                "metadata": {
                    "name": f"{NAME}-slice",
                    "namespace": NAMESPACE,
                    "labels": {**service["metadata"]["labels"], kinds.SERVICE_OF_SLICE: NAME},
                },
                "endpoints": [_endpoint(p) for p in behind if "nodeName" in p["spec"]],
            },
        )

    def autoscaler(self) -> None:
        """Gives what serves as many pods as the load needs, and others their lower bound.

        It leaves a Deployment of no pods alone, as the real one does.
        """
        for each in self.api.all(kinds.AUTOSCALER):
            spec = each["spec"]
            name = spec["scaleTargetRef"]["name"]
            deployment = self.api.find(kinds.DEPLOYMENT, NAMESPACE, name)
            if deployment is None or deployment["spec"]["replicas"] == 0:
                continue
            load = self.load if self.endpoints_of(name) else 0
            want = min(max(load, spec["minReplicas"]), spec["maxReplicas"])
            self.api.change(kinds.DEPLOYMENT, NAMESPACE, name, spec={"replicas": want})

    def garbage_collector(self) -> None:
        """Takes what belonged to a resource that is gone."""
        living = {body["metadata"]["uid"] for body in self.api.objects.values()}
        gone = [
            (kind, body["metadata"]["name"])
            for kind in kinds.CHILDREN
            for body in self.api.all(kind)
            for owner in body["metadata"].get("ownerReferences", ())
            if owner["uid"] not in living
        ]
        for kind, name in self._some(gone):
            self.delete(kind, name)

    def time(self) -> None:
        self.now += timedelta(seconds=1 if self.chance is None else self.chance.randint(0, 20))

    @property
    def others(self) -> tuple[Callable[[], None], ...]:
        return (
            self.deployments,
            self.kubelets,
            self.endpoints,
            self.autoscaler,
            self.garbage_collector,
            self.time,
        )

    # What is the case.

    @property
    def resource(self) -> Json | None:
        return self.api.find(kinds.MODEL_DEPLOYMENT, NAMESPACE, NAME)

    @property
    def status(self) -> Json:
        """The status, if it speaks of the spec as it is now; else nothing."""
        found = self.resource or {"metadata": {"generation": 0}}
        status: Json = found.get("status") or {}
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return status if current else {}

    def condition(self, type_: str) -> tuple[str, str]:
        """Status and reason."""
        for each in self.status.get("conditions", ()):
            if each["type"] == type_:
                return each["status"], each["reason"]
        return "", ""

    @property
    def selected(self) -> str | None:
        """The revision that the address selects."""
        service = self.api.find(kinds.SERVICE, NAMESPACE, NAME)
        return None if service is None else service["spec"]["selector"].get(labels.REVISION)

    def pods(self, revision: str | None = None) -> list[Json]:
        pods = self.api.all(kinds.POD)
        return [p for p in pods if revision in (None, self._of(p))]

    def ready(self, revision: str) -> int:
        return sum(is_ready(p) and not is_leaving(p) for p in self.pods(revision))

    def endpoints_of(self, revision: str) -> list[Json]:
        """Those that are behind the address at this moment, ready or not."""
        return [e for e in self._endpoints() if e["revision"] == revision]

    def answering(self) -> int:
        """Endpoints that a client may be sent to and that answer."""
        alive = {p["metadata"]["name"] for p in self.pods() if is_ready(p)}
        return sum(
            e["conditions"]["ready"] and e["targetRef"]["name"] in alive for e in self._endpoints()
        )

    def revision_of(self, model: str) -> str | None:
        for each in self.api.all(kinds.CONTROLLER_REVISION):
            if each["data"]["model"]["version"] == model:
                return str(each["metadata"]["name"])
        return None

    def desired(self, revision: str) -> int | None:
        found = self.api.find(kinds.DEPLOYMENT, NAMESPACE, revision)
        return None if found is None else int(found["spec"]["replicas"])

    def _endpoints(self) -> Iterator[Json]:
        for each in self.api.all(kinds.ENDPOINT_SLICE):
            yield from each["endpoints"]

    def _some(self, items: list[Any]) -> list[Any]:
        """All, or by chance any number of them in any order."""
        if self.chance is None:
            return items
        return self.chance.sample(items, self.chance.randint(0, len(items)))

    def _start(self, deployment: Json) -> None:
        self._pods += 1
        name = deployment["metadata"]["name"]
        template = deployment["spec"]["template"]
        metadata = {**template["metadata"], "namespace": NAMESPACE}
        metadata["name"] = f"{name}-{self._pods:03}"
        self.api.put(kinds.POD, {**template, "metadata": metadata, "status": {"phase": "Pending"}})

    def _change(self, pod: Json, **fields: Any) -> None:
        self.api.change(kinds.POD, NAMESPACE, pod["metadata"]["name"], **fields)

    @staticmethod
    def _of(pod: Json) -> str:
        return str(pod["metadata"]["labels"][labels.REVISION])


def is_leaving(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Json) -> bool:
    status: Json = pod["status"]
    return status == _READY


def model_of(pod: Json) -> str:
    env = {e["name"]: e.get("value") for e in pod["spec"]["containers"][0]["env"]}
    return str(json.loads(str(env[DOCUMENT_ENV]))["model"]["version"])


def _endpoint(pod: Json) -> Json:
    return {
        "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]},
        "conditions": {"ready": is_ready(pod) and not is_leaving(pod)},
        "revision": pod["metadata"]["labels"][labels.REVISION],  # for the laws; never read by ours
    }


_READY: Json = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
_SAID = Failure(reason=FailureReason.MODEL_NOT_FOUND, message="there is no such file")
FAILED: Json = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "False"}],
    "containerStatuses": [
        {
            "name": labels.CONTAINER,
            "image": "runtime:1",
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
            "lastState": {"terminated": {"exitCode": 1, "message": _SAID.to_termination_log()}},
        }
    ],
}
