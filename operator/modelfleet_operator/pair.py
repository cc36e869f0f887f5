"""Keeps the pair of routers of one namespace: made with the first ModelDeployment that needs it,
given what all of them want, and taken away after the last.

Each look gathers what every ModelDeployment has written for the routers (`children/routing.py`),
makes one configuration of it in which a bad part never stops its neighbours (`router/files.py`),
writes it, and sees that every router serves it.
"""

import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Conflict, NotFound
from modelfleet_operator.cluster.routers import RouterApi, Silent
from modelfleet_operator.drift import reads_as
from modelfleet_operator.loop import Gone, Key, now
from modelfleet_operator.router import pod
from modelfleet_operator.router.files import Files, Pair, files
from modelfleet_operator.router.observed import Unreadable, read_config
from modelfleet_operator.router.pod import CONFIG_ANNOTATION, Routers
from modelfleet_operator.router.site import Discovery, Site
from modelfleet_operator.router.written import SITE_KEY, read
from modelfleet_operator.seen import Json

log = logging.getLogger("modelfleet.routers")

OBJECTS = (kinds.CONFIG_MAP, kinds.DEPLOYMENT, kinds.DISRUPTION_BUDGET, kinds.SERVICE)

PAIR = Pair(discovery=Discovery.ENDPOINTS)
"""Pods are found by the addresses that the operator writes, and by DNS where it is away: either of
the two may fail, and how old the DNS answers of a cluster are is not ours to choose."""

TOUCH_AGAIN = timedelta(seconds=3)
"""The kubelet hears of the pod and of the ConfigMap by two watches, and nothing orders them."""
REPLACE_AFTER = timedelta(seconds=60)
"""A router that has stayed behind for so long is replaced, if another serves what is wanted."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one ModelDeployment wants of the routers, and its ConfigMap."""

    name: str
    site: Site | None
    """None: it cannot be read (an operator of another version wrote it), and stays as it is."""
    found: Json


@dataclass(frozen=True, slots=True)
class PairLook:
    """One look at the pair of one namespace."""

    cluster: KubeApi
    routers: RouterApi
    image: str
    image_pull_policy: str = "IfNotPresent"
    lagging: dict[str, datetime] = field(default_factory=dict)
    """Since when a router, by its pod's uid, serves something else. Lost with the process, which
    only makes it wait longer."""

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look, None when only a change makes one due. Raises `Gone`."""
        namespace, name = key
        written = await self._written(namespace)
        there = await self._objects(namespace, name)
        if not written:
            await self._remove(namespace, there)
            raise Gone
        sites = [each.site for each in written if each.site is not None]
        routers = Routers(
            namespace=namespace,
            name=name,
            image=self.image,
            image_pull_policy=self.image_pull_policy,
            drain_s=pod.drain_s(sites),
        )
        before = there.get(("ConfigMap", pod.sites_name(routers)), {}).get("data", {})
        kept = {each.name for each in written if each.site is None}
        made = files(sites, PAIR, before, kept)
        await self._make(routers, made, there, _owners(written))
        await self._say(written, made)
        return await self._follow(namespace, name, made)

    # -- what there is

    async def _written(self, namespace: str) -> list[Written]:
        found = await self.cluster.list(kinds.CONFIG_MAP, namespace, label_selector=labels.routes())
        return [
            Written(
                each["metadata"]["labels"].get(labels.DEPLOYMENT, ""),
                read(each.get("data", {}).get(SITE_KEY, "")),
                each,
            )
            for each in found
            if "deletionTimestamp" not in each["metadata"]
        ]

    async def _objects(self, namespace: str, name: str) -> dict[tuple[str, str], Json]:
        selected = _selector(name)
        there: dict[tuple[str, str], Json] = {}
        for kind in OBJECTS:
            for each in await self.cluster.list(kind, namespace, label_selector=selected):
                there[kind.kind, each["metadata"]["name"]] = each
        return there

    # -- what there should be

    async def _make(
        self,
        routers: Routers,
        made: Files,
        there: Mapping[tuple[str, str], Json],
        owners: list[Json],
    ) -> None:
        wanted = pod.all_of(routers, made.data)
        for body in wanted:
            kind, name = body["kind"], body["metadata"]["name"]
            body["metadata"]["ownerReferences"] = owners
            found = there.get((kind, name))
            if found is None:
                await self.cluster.create(_KINDS[kind], routers.namespace, body)
            elif not _same(body, found):
                await self.cluster.apply(_KINDS[kind], routers.namespace, body)
        await self._drop_old_settings(routers, wanted, there)

    async def _drop_old_settings(
        self, routers: Routers, wanted: Iterable[Json], there: Mapping[tuple[str, str], Json]
    ) -> None:
        """Bootstraps of before, once no router is left that was started with them."""
        deployment = there.get(("Deployment", routers.name), {})
        status, asked = deployment.get("status", {}), deployment.get("spec", {}).get("replicas")
        if status.get("updatedReplicas") != asked or status.get("replicas") != asked:
            return
        stay = {(body["kind"], body["metadata"]["name"]) for body in wanted}
        for key, found in there.items():
            if key not in stay and key[0] == kinds.CONFIG_MAP.kind:
                await self._delete(routers.namespace, found)

    async def _say(self, written: list[Written], made: Files) -> None:
        """Why one is not served as it is wanted, where its own loop reads it."""
        for each in written:
            metadata = each.found["metadata"]
            why = " ".join(made.refused.get(each.name, ()))
            if metadata.get("annotations", {}).get(labels.REFUSED, "") == why:
                continue
            if why:
                log.warning("%s is not routed as it is wanted: %s", each.name, why)
            await self.cluster.annotate(
                kinds.CONFIG_MAP,
                metadata["namespace"],
                metadata["name"],
                {labels.REFUSED: why or None},
            )

    async def _remove(self, namespace: str, there: Mapping[tuple[str, str], Json]) -> None:
        order = [kind.kind for kind in OBJECTS]
        for key in sorted(there, key=lambda key: -order.index(key[0])):
            await self._delete(namespace, there[key])

    async def _delete(self, namespace: str, found: Json) -> None:
        metadata = found["metadata"]
        # Gone already, or another has taken the name.
        with contextlib.suppress(NotFound, Conflict):
            await self.cluster.delete(
                _KINDS[found["kind"]], namespace, metadata["name"], metadata["uid"]
            )

    # -- what the routers do

    async def _follow(self, namespace: str, name: str, made: Files) -> float | None:
        """Tells every router to look again, until each serves what was written."""
        pods = await self.cluster.list(kinds.POD, namespace, label_selector=_selector(name))
        moment, behind, current = now(), [], 0
        for each in pods:
            uid = each["metadata"]["uid"]
            if not each.get("status", {}).get("podIP") or "deletionTimestamp" in each["metadata"]:
                self.lagging.pop(uid, None)
                continue
            told = each["metadata"].get("annotations", {}).get(CONFIG_ANNOTATION, "")
            if told.partition(".")[0] != made.version:
                self.lagging[uid] = moment
                await self._touch(each, made.version)
                behind.append(each)
            elif await self._lags(each, made):
                since = self.lagging.setdefault(uid, moment)
                behind.append(each)
                if moment - since >= TOUCH_AGAIN:
                    await self._touch(each, f"{made.version}.{moment:%H%M%S}")
            else:
                current += 1
                self.lagging.pop(uid, None)
        late = [p for p in behind if moment - self.lagging[p["metadata"]["uid"]] >= REPLACE_AFTER]
        if late and current:
            log.warning("replacing %s, which has stayed behind", late[0]["metadata"]["name"])
            await self._delete(namespace, {**late[0], "kind": kinds.POD.kind})
        return TOUCH_AGAIN.total_seconds() if behind else None

    async def _touch(self, router: Json, version: str) -> None:
        metadata = router["metadata"]
        with contextlib.suppress(NotFound):
            await self.cluster.annotate(
                kinds.POD, metadata["namespace"], metadata["name"], {CONFIG_ANNOTATION: version}
            )

    async def _lags(self, router: Json, made: Files) -> bool:
        """One that is silent counts as lagging only while it says that it is ready."""
        try:
            said = read_config(await self.routers.ask(router["status"]["podIP"], "/config"))
        except (Silent, Unreadable):
            return True
        return bool(said.lags(made.data))


_KINDS = {kind.kind: kind for kind in (*OBJECTS, kinds.POD)}


def _selector(name: str) -> str:
    return ",".join(f"{key}={value}" for key, value in pod.selector(name).items())


def _owners(written: Iterable[Written]) -> list[Json]:
    """The pair goes by itself when the last of these is gone, even without an operator."""
    return [
        {key: owner[key] for key in ("apiVersion", "kind", "name", "uid")}
        for each in sorted(written, key=lambda each: each.name)
        for owner in each.found["metadata"].get("ownerReferences", ())
        if owner.get("controller")
    ]


def _same(wanted: Json, found: Json) -> bool:
    """Of data every key counts: a file that is no longer wanted has to go."""
    data = wanted.get("data")
    return reads_as(wanted, found) and (data is None or data == found.get("data", {}))
