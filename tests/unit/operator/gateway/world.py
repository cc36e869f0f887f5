"""A cluster with a Gateway, in memory: its controller takes routes late, and its proxies later."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.plan.rollout.picture import GATEWAY_LAG
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import NAME, NAMESPACE
from tests.unit.operator.world import World, is_leaving, is_ready

CONTROLLER: Final = "example.com/gateways"
GATEWAY: Final = "models"
LAG: Final = GATEWAY_LAG - timedelta(seconds=5)
"""The proxies are never later than this."""


class GatewayWorld(World):
    def __init__(self, chance: random.Random | None, *, gateway: bool = True) -> None:
        super().__init__(chance)
        self.split: dict[str, int] = {}
        """How the proxies split the requests at this moment."""
        self._taken: list[tuple[datetime, dict[str, int]]] = []
        """What they have yet to hear, and since when."""
        if gateway:
            self.make_gateway()

    def make_gateway(self) -> None:
        self.api.put(
            kinds.GATEWAY_CLASS,
            {"metadata": {"name": "c", "namespace": ""}, "spec": {"controllerName": CONTROLLER}},
        )
        self.api.put(
            kinds.GATEWAY,
            {
                "metadata": {"name": GATEWAY, "namespace": NAMESPACE},
                "spec": {"gatewayClassName": "c"},
            },
        )

    def ask(self, model: str = "v1", **more: Any) -> None:
        routing = {"mode": "Gateway", "gateway": {"name": GATEWAY}}
        super().ask(model, **{"replicas": 2, "routing": routing, **more})

    # The others.

    def endpoints(self) -> None:
        """Of every Service, not only of the stable one."""
        super().endpoints()
        for service in self.api.all(kinds.SERVICE):
            name = service["metadata"]["name"]
            if name == NAME:
                continue
            selector = service["spec"]["selector"].items()
            behind = [p for p in self.pods() if selector <= p["metadata"]["labels"].items()]
            self.api.put(
                kinds.ENDPOINT_SLICE,
                {
                    "metadata": {
                        "name": f"{name}-slice",
                        "namespace": NAMESPACE,
                        "labels": {**service["metadata"]["labels"], kinds.SERVICE_OF_SLICE: name},
                    },
                    "ports": [{"name": "http"}],
                    "endpoints": [
                        {
                            "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"]},
                            "conditions": {"ready": is_ready(pod) and not is_leaving(pod)},
                            "revision": pod["metadata"]["labels"][labels.REVISION],
                        }
                        for pod in behind
                        if "nodeName" in pod["spec"]
                    ],
                },
            )

    def endpoints_of(self, revision: str) -> list[Json]:
        found = self.api.find(kinds.ENDPOINT_SLICE, NAMESPACE, f"{NAME}-slice") or {"endpoints": ()}
        return [each for each in found["endpoints"] if each["revision"] == revision]

    def controller(self) -> None:
        """Says of each route, as it is now, that it is taken."""
        if self.api.find(kinds.GATEWAY, NAMESPACE, GATEWAY) is None:
            return
        for route in self.api.all(kinds.HTTP_ROUTE):
            generation = route["metadata"]["generation"]
            if self.accepted(route):
                continue
            conditions = [
                {"type": type_, "status": "True", "observedGeneration": generation, "reason": "So"}
                for type_ in ("Accepted", "ResolvedRefs")
            ]
            parent = {
                "parentRef": {"name": GATEWAY, "namespace": NAMESPACE},
                "controllerName": CONTROLLER,
                "conditions": conditions,
            }
            name = route["metadata"]["name"]
            self.api.change(kinds.HTTP_ROUTE, NAMESPACE, name, status={"parents": [parent]})
            self._taken.append((self.now, weights_of(route)))

    def proxies(self) -> None:
        """They hear of it by chance, but not later than `LAG`."""
        while self._taken:
            since, weights = self._taken[0]
            late = self.now - since >= LAG
            if not late and self.chance is not None and self.chance.random() < 0.7:
                return
            self.split = weights
            self._taken.pop(0)

    def time(self) -> None:
        # By less than the margin, so that nobody is late for the clock's own sake.
        self.now += timedelta(seconds=1 if self.chance is None else self.chance.randint(0, 4))
        while self._taken and self.now - self._taken[0][0] >= LAG:
            self.split = self._taken.pop(0)[1]

    @property
    def others(self) -> tuple[Callable[[], None], ...]:
        return (*super().others, self.controller, self.proxies)

    # What is the case.

    @property
    def route(self) -> Json | None:
        return self.api.find(kinds.HTTP_ROUTE, NAMESPACE, NAME)

    @staticmethod
    def accepted(route: Json) -> bool:
        parents = route.get("status", {}).get("parents", ())
        return any(
            each["observedGeneration"] == route["metadata"]["generation"]
            for parent in parents
            for each in parent["conditions"]
        )

    def reaching(self, revision: str) -> int:
        """Pods that answer whoever the proxies send there."""
        found = self.api.find(kinds.ENDPOINT_SLICE, NAMESPACE, f"{revision}-slice")
        alive = {p["metadata"]["name"] for p in self.pods(revision) if is_ready(p)}
        return sum(
            each["conditions"]["ready"] and each["targetRef"]["name"] in alive
            for each in (found or {"endpoints": ()})["endpoints"]
        )


def weights_of(route: Json) -> dict[str, int]:
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][-1]["backendRefs"]}
