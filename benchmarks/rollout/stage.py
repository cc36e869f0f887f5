"""A ModelDeployment under load, and the hands that change it and break what is around it."""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.rollout.load import Load
from benchmarks.rollout.retries import Retries
from benchmarks.rollout.row import Row, row
from benchmarks.rollout.witness import Listener, Witness
from dev.cluster import Cluster
from tests.e2e.kube import Json, Kube, has_reason, is_true
from tests.e2e.models import deployment
from tests.e2e.store import Store

OPERATOR: Final = "modelfleet-system"
OPERATOR_POD: Final = "app.kubernetes.io/component=operator"
PAIR: Final = "app.kubernetes.io/name=modelfleet-router"
ROUTER: Final[Json] = {"mode": "Router"}
ROLLING: Final[Json] = {"strategy": "Rolling"}
TIMEOUT_S: Final = 10
"""Of the model. Its callers wait so long for one that hangs."""
SETTLED_S: Final = 2.0
"""How much traffic has to pass before something is done to it, and after."""


def steps(*weights: int, pause: str = "3s") -> Json:
    """A rollout that goes on by itself."""
    return {"strategy": "Progressive", "steps": [{"weight": w, "pause": pause} for w in weights]}


def held_steps(*weights: int) -> Json:
    """A rollout that waits at each step for a word."""
    each = [{"weight": weight, "untilPromoted": True} for weight in weights]
    return {"strategy": "Progressive", "steps": each}


@dataclass(frozen=True, slots=True)
class World:
    """What all rows of a table share."""

    cluster: Cluster
    kube: Kube
    store: Store
    listener: Listener
    namespace: str
    rate: float


@dataclass(slots=True)
class Stage:
    """One ModelDeployment."""

    world: World
    name: str
    routing: Json = field(default_factory=lambda: dict(ROUTER))
    replicas: int = 2
    witness: Witness = field(default_factory=lambda: Witness(1))
    """What was applied last."""
    load: Load | None = None

    # -- the resource

    def apply(self, witness: Witness, rollout: Json = ROLLING, *, replicas: int = 0) -> None:
        """A version of the model, and how it takes over."""
        self.replicas, self.witness = replicas or self.replicas, witness
        self.world.kube.apply(self.world.namespace, self._body(self._model(witness), rollout))

    def _model(self, witness: Witness) -> Json:
        packed = witness.packed(self.world.listener.address)
        parts = (witness.label, witness.fails_each, round(1000 * witness.seconds))
        model = self.world.store.put(f"{self.name}-{'-'.join(map(str, parts))}.tar", packed)
        return {**model, "version": str(witness.label)}

    def _body(self, model: Json, rollout: Json, **more: object) -> Json:
        return deployment(
            self.name,
            model,
            replicas=self.replicas,
            routing=self.routing,
            rollout=rollout,
            runtime={"timeout": f"{TIMEOUT_S}s"},
            **more,
        )

    def apply_variants(self, control: Witness, challenger: Witness, percent: int) -> None:
        """The one that serves, as the control, beside another one with that share."""
        world = self.world
        self.witness = control
        arms = [
            {"name": "default", "weight": 100 - percent},
            {"name": "challenger", "weight": percent, "model": self._model(challenger)},
        ]
        world.kube.apply(world.namespace, self._body(self._model(control), ROLLING, variants=arms))

    def until_shared(self, percent: int) -> Json:
        """The challenger has that share, and all is served."""
        return self.until(
            lambda m: (
                is_true("Ready")(m)
                and {v["name"]: v.get("share") for v in m["status"]["variants"]}
                == {"default": 10_000 - 100 * percent, "challenger": 100 * percent}
            ),
            why=f"shared at {percent}",
        )

    def until(self, holds: Callable[[Json], object], timeout: float = 120, why: str = "") -> Json:
        kube, namespace = self.world.kube, self.world.namespace
        return kube.until(namespace, "mdep", self.name, holds, timeout=timeout, why=why)

    def until_ready(self, timeout: float = 180) -> Json:
        """It serves the spec as it is, with all of its pods."""
        return self.until(
            lambda m: is_true("Ready")(m) and m["status"].get("readyReplicas") == self.replicas,
            timeout,
            "ready",
        )

    def until_held(self, weight: int) -> Json:
        """The candidate has that share, and every router serves it."""
        return self.until(
            lambda m: (
                m["status"]["observedGeneration"] == m["metadata"]["generation"]
                and variant(m).get("weight") == weight
                and rollout(m).get("phase") == "Holding"
            ),
            why=f"held at {weight}",
        )

    def until_rolled_back(self) -> Json:
        return self.until(has_reason("Progressing", "RolledBack"), why="rolled back")

    def until_gone(self, revision: str) -> None:
        kube, namespace = self.world.kube, self.world.namespace
        kube.until_gone(namespace, "pod", f"modelfleet.dev/revision={revision}", timeout=120)

    def say(self, verb: str, more: str = "") -> None:
        """As a person does it: with the stamp that the status shows."""
        kube, namespace = self.world.kube, self.world.namespace
        stamp = rollout(kube.get(namespace, "mdep", self.name))["stamp"]
        kube.kubectl(
            "annotate", "mdep", self.name, "--namespace", namespace, "--overwrite",
            f"modelfleet.dev/{verb}={stamp} {more}".strip(),
        )  # fmt: skip

    def remove(self) -> None:
        self.world.kube.delete(self.world.namespace, "mdep", self.name, "--wait=false")

    # -- the traffic

    def answers(self, label: int | None = None, seconds: float = SETTLED_S) -> None:
        """Waits for as many answers as that time has, of the version (default: the last)."""
        assert self.load is not None
        share = self.world.rate * seconds * (1 if label is None else 0.01)
        wanted = self.witness.label if label is None else label
        self.load.ledger.until_answered_by(wanted, max(1, int(share)))

    def under_load(self, cause: str, what: Callable[["Stage"], None]) -> Row:
        """The row of what is done."""
        world = self.world
        service = world.kube.get(world.namespace, "service", self.name)
        world.listener.begin()
        with (
            Retries(self.name, self.routers_by_uid) as retries,
            Load(service["spec"]["clusterIP"], self.name, world.rate) as load,
        ):
            self.load = load
            self.answers()
            what(self)
            time.sleep(SETTLED_S)
        self.load = None
        return row(cause, load.ledger, world.listener.runs(), retries.total)

    # -- its pods

    def pods(self, revision: str) -> list[Json]:
        """Those that are not about to go."""
        selector = f"modelfleet.dev/revision={revision}"
        every = self.world.kube.every(self.world.namespace, "pod", selector)
        return [pod for pod in every if "deletionTimestamp" not in pod["metadata"]]

    def revision(self, which: str = "stable") -> str:
        """The name of the `stable` or the `candidate` revision."""
        found = self.world.kube.get(self.world.namespace, "mdep", self.name)
        return str(variant(found)[which])

    def until_whole(self, revision: str) -> None:
        """All pods of that revision are there and ready."""
        self.world.kube.kubectl(
            "rollout", "status", f"deployment/{revision}",
            "--namespace", self.world.namespace, "--timeout=120s",
        )  # fmt: skip

    def delete(self, pod: Json, *more: str) -> None:
        self.world.kube.delete(self.world.namespace, "pod", pod["metadata"]["name"], *more)

    def signal(self, pod: Json, number: signal.Signals) -> None:
        """To every process of the pod's containers."""
        found = self.world.cluster.processes(pod["metadata"]["uid"])
        if not found:
            raise AssertionError(f"no process of {pod['metadata']['name']} was found")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):  # a child of the one before
                os.kill(pid, number)

    def until_restarted(self, pod: Json) -> None:
        """Its container has been started again, and is ready."""
        before = restarts(pod)
        self.world.kube.until(
            self.world.namespace, "pod", pod["metadata"]["name"],
            lambda seen: restarts(seen) > before and is_ready(seen),
            timeout=180, why="restarted",
        )  # fmt: skip

    # -- what is around it

    @contextlib.contextmanager
    def drain(self) -> Iterator[None]:
        """`kubectl drain` of the node, as far as this namespace is concerned. The node takes pods
        again after each eviction: a cluster of one node has no other place for them."""
        kube = self.world.kube
        node = kube.kubectl("get", "nodes", "-o", "name").stdout.strip().removeprefix("node/")
        evicted = [*self.routers(), *self.pods(self.revision())]
        for pod in evicted:
            kube.kubectl("cordon", node)
            try:
                self._evict(pod, node)
            finally:
                kube.kubectl("uncordon", node)
        yield
        for pod in evicted:
            kube.kubectl(
                "wait", "--for=delete", f"pod/{pod['metadata']['name']}",
                "--namespace", self.world.namespace, "--timeout=180s",
            )  # fmt: skip

    def _evict(self, pod: Json, node: str, patience_s: float = 180) -> None:
        """By the eviction API, which asks the disruption budgets; again while they refuse."""
        name, namespace = pod["metadata"]["name"], self.world.namespace
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
        }
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
        end = time.monotonic() + patience_s
        while True:
            done = self.world.kube.kubectl(
                "create", "--raw", path, "--filename", "-", stdin=json.dumps(body), check=False
            )
            if done.returncode == 0:
                return
            if "disruption budget" not in done.stderr or time.monotonic() > end:
                raise AssertionError(f"{name} was not evicted: {done.stderr}")
            self.world.kube.kubectl("uncordon", node)  # the one before it needs a place
            time.sleep(1)

    def routers(self) -> list[Json]:
        every = self.world.kube.every(self.world.namespace, "pod", PAIR)
        return [pod for pod in every if "deletionTimestamp" not in pod["metadata"]]

    def routers_by_uid(self) -> dict[str, str]:
        """Their addresses."""
        every = self.world.kube.every(self.world.namespace, "pod", PAIR)
        return {
            pod["metadata"]["uid"]: pod["status"]["podIP"]
            for pod in every
            if pod.get("status", {}).get("podIP")
        }

    def until_routers(self) -> None:
        self.world.kube.kubectl(
            "rollout", "status", "deployment/modelfleet-router",
            "--namespace", self.world.namespace, "--timeout=180s",
        )  # fmt: skip

    def kill_operator(self) -> None:
        """The one that holds the lease."""
        lease = self.world.kube.get(OPERATOR, "lease", "modelfleet-operator")
        leader = lease["spec"]["holderIdentity"].rpartition("_")[0]
        self.world.kube.delete(OPERATOR, "pod", leader, "--grace-period=0", "--force")

    @contextlib.contextmanager
    def without_dns(self) -> Iterator[None]:
        """CoreDNS is away while the block runs."""
        kubectl = self.world.kube.kubectl
        where = ("--namespace", "kube-system")
        kubectl("scale", "deployment", "coredns", *where, "--replicas=0")
        kubectl("delete", "pod", "--selector", "k8s-app=kube-dns", *where, "--grace-period=1")
        try:
            yield
        finally:
            kubectl("scale", "deployment", "coredns", *where, "--replicas=1")
            kubectl("rollout", "status", "deployment/coredns", *where, "--timeout=120s")

    @contextlib.contextmanager
    def with_old_dns(self) -> Iterator[None]:
        """The DNS answers what was so up to 30 seconds before, while the block runs."""
        kube = self.world.kube
        found: str = kube.get("kube-system", "configmap", "coredns")["data"]["Corefile"]
        old = re.sub(r"\b(ttl|cache) \d+", r"\1 30", found)
        self._configure_dns(old)
        try:
            yield
        finally:
            self._configure_dns(found)

    def _configure_dns(self, corefile: str) -> None:
        kube, where = self.world.kube, ("--namespace", "kube-system")
        kube.patch("kube-system", "configmap", "coredns", {"data": {"Corefile": corefile}})
        kube.kubectl("rollout", "restart", "deployment/coredns", *where)
        kube.kubectl("rollout", "status", "deployment/coredns", *where, "--timeout=120s")

    @contextlib.contextmanager
    def without_operator(self) -> Iterator[None]:
        """No operator runs while the block does."""
        kubectl, where = self.world.kube.kubectl, ("--namespace", OPERATOR)
        kubectl("scale", "deployment", "modelfleet-operator", *where, "--replicas=0")
        self.world.kube.until_gone(OPERATOR, "pod", OPERATOR_POD)
        try:
            yield
        finally:
            kubectl("scale", "deployment", "modelfleet-operator", *where, "--replicas=2")
            kubectl("rollout", "status", "deployment/modelfleet-operator", *where)

    @contextlib.contextmanager
    def without_api(self) -> Iterator[None]:
        """The API server hangs while the block runs."""
        server = self.world.cluster.program("kube-apiserver")
        os.kill(server, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(server, signal.SIGCONT)


def variant(resource: Json) -> Json:
    found: Json = (resource.get("status", {}).get("variants") or [{}])[0]
    return found


def rollout(resource: Json) -> Json:
    found: Json = variant(resource).get("rollout") or {}
    return found


def restarts(pod: Json) -> int:
    """Of all its containers."""
    statuses: list[dict[str, Any]] = pod["status"].get("containerStatuses", [])
    return sum(status["restartCount"] for status in statuses)


def is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
