"""A namespace whose ModelDeployments stand behind routers, in memory: the operator's real looks, at
each deployment and at the pair, people, and everybody else (`kubernetes.py`, `data_plane.py`).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.children import routing
from modelfleet_operator.cluster.errors import Conflict
from modelfleet_operator.kinds import Kind
from modelfleet_operator.loop import Gone, Key, Look
from modelfleet_operator.pair import PairLook
from modelfleet_operator.plan import replicas, variants
from modelfleet_operator.plan.revisions import revision_name
from modelfleet_operator.router import pod as router_pod
from modelfleet_operator.router import routes
from modelfleet_operator.router.names import SITES_PATH
from modelfleet_operator.router.observed import read_sites
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import SHARES_KEY, SITE_KEY, read, read_shares
from modelfleet_operator.seen import Json
from modelfleet_operator.watch import belongs_to
from tests.unit.operator.builders import DEFAULTS, NAME, NAMESPACE, spec_json
from tests.unit.operator.memory_api import Write
from tests.unit.operator.routed.kubernetes import Kubernetes, is_ready, is_router
from tests.unit.operator.routed.prometheus import Answers
from tests.unit.operator.world import is_leaving

OTHER: Final = "letters"
"""Another deployment of the namespace."""
PAIR: Final = Key(NAMESPACE, router_pod.SHARED)
RESYNC: Final = timedelta(minutes=10)
PATIENT: Final = "24h"
"""A deadline that no story reaches by being slow."""


class Killed(Exception):
    """The operator's process ended, at this call."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What there was to see of a variant when a look at its deployment began."""

    demand: int = 0
    carrying: int = 0
    """By so many of them all of the traffic has to be carried, by the way that was told."""
    wanted: str = ""
    stable: str | None = None
    written: dict[str, int] = field(default_factory=dict)
    """How it splits its share, in parts of `WHOLE` of that."""
    served: bool = False
    usable: dict[str, int] = field(default_factory=dict)
    """By revision, the pods that every router reaches and that are to stay."""


class RoutedWorld(Kubernetes):
    def __init__(self, chance: random.Random | None) -> None:
        super().__init__(chance)
        self.excused: set[str] = set()
        """Deployments from which somebody took something, until they are whole again."""
        self.sights: dict[str, dict[str, Sight]] = {}
        """By deployment and variant."""
        self.wanted_of_routers: dict[str, str] = {}
        """By deployment, as it was written when the last look at the pair began."""
        self.restarts = 0
        self.prometheus = Answers(self._may_ask)
        self.has_prometheus = True
        """The operator was told of it."""
        self._resources = 0
        self._known: dict[Key, frozenset[tuple[Any, str]]] = {}
        self._due: dict[Key, datetime] = {}
        self._start_operator()

    # The operator.

    def _start_operator(self) -> None:
        asks = self.has_prometheus
        self._look = Look(
            self.api,
            self.plane,
            replace(DEFAULTS, prometheus=asks),
            "test",
            clock=lambda: self.now,
            prometheus=self.prometheus if asks else None,
        )
        self._pair = PairLook(self.api, self.plane, "router:1", clock=lambda: self.now)
        self._known, self._due = {}, {}

    def _may_ask(self) -> bool:
        """A share is served, and has been for the time of the warm-up."""
        spec, told = self.spec(), self.rollout()
        held = read_time(told.get("heldSince"))
        if spec is None or spec.rollout.analysis is None or held is None:
            return False
        warm = self.now - held >= spec.rollout.analysis.warm_up
        return warm and told.get("phase") == "Holding"

    def lose_prometheus(self) -> None:
        """It is installed again, without one."""
        self.has_prometheus = False
        self._start_operator()

    @property
    def awake(self) -> list[Key]:
        """Those at which a look is due, because of a change or of the time."""
        return [key for key in self.keys if self._is_awake(key)]

    @property
    def keys(self) -> list[Key]:
        """All that are looked after: what exists, and what has been looked at before."""
        there = {Key(NAMESPACE, each["metadata"]["name"]) for each in self.resources}
        return sorted({*there, *self._known, PAIR})

    def _is_awake(self, key: Key) -> bool:
        due = self._due.get(key)
        concerning = self._concerning(key)
        return self._known.get(key, frozenset()) != concerning or (due and due <= self.now) is True

    def _concerning(self, key: Key) -> frozenset[tuple[Any, str]]:
        """The versions of all that a watch would wake this key for."""
        return frozenset(
            (where, body["metadata"]["resourceVersion"])
            for where, body in self.api.objects.items()
            if where == (labels.KIND, *key)
            or key in belongs_to(NAMESPACE, body["metadata"].get("labels", {}))
        )

    async def look(self, key: Key) -> None:
        """One look; a picture that was old is looked at again next time."""
        self._known[key] = self._concerning(key)
        if key == PAIR:
            self.wanted_of_routers = {
                each["metadata"]["labels"][labels.DEPLOYMENT]: each["data"][SITE_KEY]
                for each in self.api.all(kinds.CONFIG_MAP)
                if each["metadata"]["labels"].get(labels.ROLE) == labels.ROUTES
            }
        else:
            self.sights[key.name] = self._sights(key.name)
        try:
            look = self._pair if key == PAIR else self._look
            rest = await look(key)
            wait = RESYNC if rest is None else min(RESYNC, timedelta(seconds=rest))
            self._due[key] = self.now + wait
        except Gone:
            self._due.pop(key, None)
        except Conflict:
            self._due[key] = self.now
        except Killed:
            self.restarts += 1
            self._start_operator()

    # People.

    def ask(self, model: str = "v1", name: str = NAME, **more: Any) -> None:
        """Applies a whole spec: a new resource, or a change of it. Behind routers, two pods and a
        patient deadline, where nothing else is said."""
        found = self.resource(name)
        if found is None:
            self._resources += 1
            uid = f"uid-of-{name}-{self._resources}"
            found = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": uid}}
            self.excused.add(name)
        generation = found["metadata"].get("generation", 0) + 1
        spec = {"replicas": 2, "routing": {"mode": "Router"}, **more}
        if "autoscaling" in spec:
            del spec["replicas"]
        spec["rollout"] = {"progressDeadline": PATIENT, **spec.get("rollout", {})}
        if spec.get("replicas") == 0:
            self.excused.add(name)
        body = {**found, "metadata": {**found["metadata"], "generation": generation}}
        self.api.put(kinds.MODEL_DEPLOYMENT, {**body, "spec": spec_json(model, **spec)})

    def scale(self, replicas: int, name: str = NAME) -> None:
        """kubectl scale."""
        if replicas == 0:
            self.excused.add(name)
        self.api.change(kinds.MODEL_DEPLOYMENT, NAMESPACE, name, spec={"replicas": replicas})

    def say(self, verb: str, more: str = "", name: str = NAME, variant: str | None = None) -> None:
        """An annotation with the stamp of the status."""
        found = self.resource(name)
        assert found is not None
        stamp = str(self.rollout(name, variant).get("stamp", ""))
        text = stamp
        annotations = {verb: f"{text} {more}".strip()}
        self.api.change(
            kinds.MODEL_DEPLOYMENT, NAMESPACE, name, metadata={"annotations": annotations}
        )

    def unsay(self, verb: str, name: str = NAME) -> None:
        found = self.resource(name)
        assert found is not None
        said = {k: v for k, v in found["metadata"]["annotations"].items() if k != verb}
        metadata = {**found["metadata"], "annotations": said}
        self.api.put(kinds.MODEL_DEPLOYMENT, {**found, "metadata": metadata})

    def delete(self, kind: Kind, name: str) -> None:
        """kubectl delete, of something on which answers depend."""
        self.excused |= {each["metadata"]["name"] for each in self.resources}
        self.api.remove(kind, NAMESPACE, name)

    def delete_deployment(self, name: str = NAME) -> None:
        """kubectl delete modeldeployment: nobody else is to notice."""
        self.excused.add(name)
        self.api.remove(kinds.MODEL_DEPLOYMENT, NAMESPACE, name)

    def forget_status(self, name: str = NAME) -> None:
        found = self.resource(name)
        if found is not None:
            self.api.put(kinds.MODEL_DEPLOYMENT, {**found, "status": {}})

    def kill_pod(self, pod: Json) -> None:
        """Its node is gone, say."""
        owner = pod["metadata"]["labels"].get(labels.DEPLOYMENT)
        self.excused |= {each["metadata"]["name"] for each in self.resources
                         if owner in (None, each["metadata"]["name"])}  # fmt: skip
        self.remove_pod(pod)

    # What is the case.

    @property
    def resources(self) -> list[Json]:
        return self.api.all(kinds.MODEL_DEPLOYMENT)

    def resource(self, name: str = NAME) -> Json | None:
        return self.api.find(kinds.MODEL_DEPLOYMENT, NAMESPACE, name)

    def spec(self, name: str = NAME) -> Spec | None:
        found = self.resource(name)
        return None if found is None else Spec.model_validate(found["spec"])

    def status(self, name: str = NAME) -> Json:
        """The status, if it speaks of the spec as it is now; else nothing."""
        found = self.resource(name) or {"metadata": {"generation": 0}}
        status: Json = found.get("status") or {}
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        return status if current else {}

    def variant(self, name: str = NAME, variant: str | None = None) -> Json:
        """What the status says of it; of the first one, where none is named."""
        told = self.status(name).get("variants", ())
        return next((each for each in told if variant in (None, each["name"])), {})

    def rollout(self, name: str = NAME, variant: str | None = None) -> Json:
        """What the status says of it; empty where it says nothing."""
        found: Json = self.variant(name, variant).get("rollout") or {}
        return found

    def condition(self, type_: str, name: str = NAME) -> tuple[str, str]:
        """Status and reason."""
        for each in self.status(name).get("conditions", ()):
            if each["type"] == type_:
                return each["status"], each["reason"]
        return "", ""

    def revisions(self, name: str) -> list[str]:
        return [
            each["metadata"]["name"]
            for each in self.api.all(kinds.CONTROLLER_REVISION)
            if each["metadata"]["labels"][labels.DEPLOYMENT] == name
        ]

    def revision_of(self, model: str) -> str:
        """Of whichever deployment; a name that nothing has, where there is none."""
        for each in self.api.all(kinds.CONTROLLER_REVISION):
            if each["data"]["model"]["version"] == model:
                return str(each["metadata"]["name"])
        return "none"

    def site(self, name: str = NAME) -> Site | None:
        """What the routers are told of it."""
        found = self.api.find(kinds.CONFIG_MAP, NAMESPACE, routing.name_of(name))
        return None if found is None else read(found["data"][SITE_KEY])

    def written(self, name: str = NAME) -> dict[str, int]:
        site = self.site(name)
        return {} if site is None else routes.weights(site.intervals)

    def shares(self, name: str = NAME) -> Mapping[str, Mapping[str, int]]:
        """How each variant splits its share, as it was written last."""
        found = self.api.find(kinds.CONFIG_MAP, NAMESPACE, routing.name_of(name))
        return {} if found is None else read_shares(found["data"].get(SHARES_KEY, ""))

    def behind_routers(self, name: str = NAME) -> bool:
        """Somebody may be sent to the routers who asks for it."""
        service = self.api.find(kinds.SERVICE, NAMESPACE, name)
        selector = {} if service is None else service["spec"]["selector"]
        pods = {p["metadata"]["name"] for p in self.api.all(kinds.POD) if is_router(p)}
        return selector == router_pod.selector(router_pod.SHARED) or any(
            e["targetRef"]["name"] in pods for e in self.endpoints_of(name)
        )

    def standing(self, name: str) -> dict[str, Spec]:
        """The variants that are asked for, each as a spec of its own."""
        spec = self.spec(name)
        return {} if spec is None else {each.name: each.spec for each in variants.asked(spec)}

    def demand(self, name: str, variant: str) -> int:
        """Pods that all of its share needs."""
        spec = self.standing(name).get(variant)
        if spec is None:
            return 0
        least = replicas.asked(spec)
        if spec.autoscaling is None:
            return least
        stable = self.variant(name, variant).get("stable") or "none"
        return min(max(least, self.desired(stable)), spec.autoscaling.max_replicas)

    def all_serve(self, name: str) -> bool:
        """Every router that takes requests, or can be asked, serves what was written last."""
        site = self.site(name)
        said = [
            read_sites(self.envoy(pod).answer(SITES_PATH)).get(name)
            for pod in self.routers()
            if not self.envoy(pod).deaf or (is_ready(pod) and not is_leaving(pod))
        ]
        return site is not None and bool(said) and all(
            each is not None and each.version == routes.version(site) for each in said
        )  # fmt: skip

    def _sights(self, name: str) -> dict[str, Sight]:
        return {each: self._sight(name, each, spec) for each, spec in self.standing(name).items()}

    def _sight(self, name: str, variant: str, spec: Spec) -> Sight:
        return Sight(
            demand=self.demand(name, variant),
            carrying=self.carrying(name, variant, spec),
            wanted=revision_name(name, variant, spec),
            stable=self.variant(name, variant).get("stable"),
            written=dict(self.shares(name).get(variant, {})),
            served=self.all_serve(name),
            usable={each: self._usable(each) for each in self.revisions(name)},
        )

    def carrying(self, name: str, variant: str, spec: Spec) -> int:
        """In place, one place is always empty; and on the way back what stands is exchanged."""
        demand, told = self.demand(name, variant), self.variant(name, variant).get("rollout") or {}
        if told.get("surge") == Surge.RECREATE:
            self.excused.add(name)  # it was said that nothing serves for a while
            return 1
        if told.get("surge") == Surge.IN_PLACE:
            return max(1, min(demand, demand + int(told.get("spare", 0)) - 1))
        if spec.accelerator is None or (told and not told.get("failed")):
            return demand
        stands = sum(self.desired(each) for each in self.revisions(name))
        return max(1, min(demand, stands - 1))

    def _usable(self, revision: str) -> int:
        reached = [
            len(self.envoy(pod).healthy.get(revision, ()))
            for pod in self.routers()
            if not self.envoy(pod).deaf
        ]
        return min(self.passing(revision), self.desired(revision), min(reached, default=0))


def killing(chance: random.Random, share: float) -> Any:
    """For `api.watched`: now and then, the operator's process ends instead of a call."""

    def watch(_: Write) -> None:
        if chance.random() < share:
            raise Killed

    return watch
