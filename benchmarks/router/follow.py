"""How long does it take from a change until both routers serve it?"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from benchmarks.router.fleet import Fleet
from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children.routing import name_of
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.kinds import Json
from modelfleet_operator.router import routes
from modelfleet_operator.router.names import OPS_PORT, SITES_PATH
from modelfleet_operator.router.observed import read_sites
from modelfleet_operator.router.written import SITE_KEY, read

EACH_S = 0.01
PATIENCE_S = 60.0
HELD = {"strategy": "Progressive", "steps": [{"weight": 50, "untilPromoted": True}]}

Holds = Callable[[Mapping[str, int]], bool]
"""Of weights, by revision."""


@dataclass(frozen=True, slots=True)
class Timed:
    asked_s: float
    """From when the API server had taken the change of the resource."""
    written_s: float
    """From when the weights were read in what the routers are told."""


class Follow:
    def __init__(self, api: KubeApi, fleet: Fleet) -> None:
        self._api, self._fleet = api, fleet
        self._namespace, self._name = fleet.namespace, fleet.name
        self._hosts = [pod["status"]["podIP"] for pod in fleet.routers()]

    async def weights(self, times: int) -> list[Timed]:
        """The variants' weights, back and forth."""
        timed = []
        for number in range(times):
            share = 60 if number % 2 else 20
            resource = await self._resource()
            challenger = _stable(resource, "challenger")
            variants = resource["spec"]["variants"]
            for each in variants:
                each["weight"] = share if each["name"] == "challenger" else 100 - share
            if self._now(await self._written()).get(challenger) == share * 100:
                continue
            change = {"spec": {"variants": variants}}
            timed.append(await self._timed(change, _has(challenger, share * 100)))
        return timed

    async def aborts(self, times: int) -> list[Timed]:
        """Of a rollout of the control that holds half of its share."""
        timed = []
        for number in range(times):
            variants = (await self._resource())["spec"]["variants"]
            for each in variants:
                if each["name"] == "control":
                    each["model"] = await asyncio.to_thread(self._fleet.model, 3 + number)
            await self._patch({"spec": {"variants": variants, "rollout": HELD}})
            resource = await self._until(_holds)
            told = _variant(resource, "control")["rollout"]
            change = {"metadata": {"annotations": {labels.ABORT: told["stamp"]}}}
            timed.append(await self._timed(change, _has(told["candidate"], 0)))
            await self._until(_failed)
        return timed

    async def _timed(self, change: Json, holds: Holds) -> Timed:
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        async with session, asyncio.timeout(PATIENCE_S):
            written = asyncio.create_task(self._until_written(holds))
            served = [
                asyncio.create_task(self._until_served(session, host, holds))
                for host in self._hosts
            ]
            await asyncio.sleep(0.2)  # the watch is there
            await self._patch(change)
            asked = time.monotonic()
            last = max(await asyncio.gather(*served))
            return Timed(last - asked, max(0.0, last - await written))

    async def _until_written(self, holds: Holds) -> float:
        async for event in self._api.watch(
            kinds.CONFIG_MAP,
            self._namespace,
            field_selector=f"metadata.name={name_of(self._name)}",
        ):
            if holds(self._now(event["object"])):
                return time.monotonic()
        raise AssertionError("the watch has ended")

    async def _until_served(self, session: aiohttp.ClientSession, host: str, holds: Holds) -> float:
        while True:
            async with session.get(f"http://{host}:{OPS_PORT}{SITES_PATH}") as answer:
                served = read_sites(await answer.text()).get(self._name)
            if served is not None and holds(served.weights):
                return time.monotonic()
            await asyncio.sleep(EACH_S)

    async def _until(self, holds: Callable[[Json], bool]) -> Json:
        async with asyncio.timeout(PATIENCE_S):
            async for event in self._api.watch(
                kinds.MODEL_DEPLOYMENT,
                self._namespace,
                field_selector=f"metadata.name={self._name}",
            ):
                if holds(event["object"]):
                    found: Json = event["object"]
                    return found
        raise AssertionError("the watch has ended")

    async def _resource(self) -> Json:
        return await self._api.get(kinds.MODEL_DEPLOYMENT, self._namespace, self._name)

    async def _written(self) -> Json:
        return await self._api.get(kinds.CONFIG_MAP, self._namespace, name_of(self._name))

    async def _patch(self, change: Json) -> None:
        await self._api.patch(kinds.MODEL_DEPLOYMENT, self._namespace, self._name, change)

    @staticmethod
    def _now(config_map: Json) -> Mapping[str, int]:
        site = read(config_map["data"][SITE_KEY])
        assert site is not None, json.dumps(config_map)
        return routes.weights(site.intervals)


def _has(revision: str, parts: int) -> Holds:
    return lambda weights: weights.get(revision, 0) == parts


def _variant(resource: Json, name: str) -> Json:
    told = resource.get("status", {}).get("variants", ())
    return next((each for each in told if each["name"] == name), {})


def _stable(resource: Json, name: str) -> str:
    return str(_variant(resource, name)["stable"])


def _holds(resource: Json) -> bool:
    status: Json = resource.get("status", {})
    rollout: Json = _variant(resource, "control").get("rollout", {})
    current = status.get("observedGeneration") == resource["metadata"]["generation"]
    return bool(current) and rollout.get("phase") == "Holding"


def _failed(resource: Json) -> bool:
    rollout: Json = _variant(resource, "control").get("rollout", {})
    return rollout.get("phase") == "Failed"
