"""Keeps a pair of routers, that of a namespace or one of a ModelDeployment's own: made with the
first ModelDeployment that needs it, given what all of them want, and taken away after the last.

Each look gathers what every ModelDeployment has written for the routers (`children/routing.py`),
makes one configuration of it in which a bad part never stops its neighbours (`router/files.py`),
writes it, and sees that every router serves it.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Conflict, NotFound, Refused
from modelfleet_operator.cluster.routers import RouterApi, Silent
from modelfleet_operator.drift import reads_as
from modelfleet_operator.kinds import Kind
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
LOST_AGAIN = timedelta(seconds=2)
"""While a ModelDeployment whose address selects the routers has nothing written for them."""
REPLACE_AFTER = timedelta(seconds=60)
"""A router that has stayed behind for so long is replaced, if another takes requests and serves
what is wanted."""


@dataclass(frozen=True, slots=True)
class Lag:
    """How long a router has served something else, and how often it was told to look again."""

    since: datetime
    touched: datetime
    times: int = 0

    @property
    def gap(self) -> timedelta:
        """Until it is told once more: what does not help is done less and less often."""
        return min(TOUCH_AGAIN * 2.0**self.times, REPLACE_AFTER)

    def of(self, moment: datetime) -> timedelta:
        return moment - self.since

    def again(self, moment: datetime) -> "Lag":
        return Lag(self.since, moment, self.times + 1)


@dataclass(frozen=True, slots=True)
class Written:
    """What one ModelDeployment wants of the routers, and its ConfigMap."""

    name: str
    site: Site | None
    """None: it cannot be read (an operator of another version wrote it), and stays as it is."""
    found: Json


@dataclass(frozen=True, slots=True)
class PairLook:
    """One look at one pair."""

    cluster: KubeApi
    routers: RouterApi
    image: str
    image_pull_policy: str = "IfNotPresent"
    clock: Callable[[], datetime] = now
    lagging: dict[str, Lag] = field(default_factory=dict)
    """Since when a router, by its pod's uid, serves something else. Lost with the process, which
    only makes it wait longer."""

    async def __call__(self, key: Key) -> float | None:
        """Seconds until the next look, None when only a change makes one due. Raises `Gone`."""
        namespace, name = key
        written = await self._written(namespace, name)
        there = await self._objects(namespace, name)
        lost = await self._callers(namespace, name) - {each.name for each in written}
        if not written and not lost:
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
        kept = {each.name for each in written if each.site is None} | lost
        made = files(sites, PAIR, before, kept)
        await self._make(routers, made, there, _owners(written))
        await self._say(written, made)
        again = await self._follow(namespace, name, made)
        return LOST_AGAIN.total_seconds() if lost else again

    # -- what there is

    async def _written(self, namespace: str, name: str) -> list[Written]:
        found = await self.cluster.list(kinds.CONFIG_MAP, namespace, label_selector=labels.routes())
        return [
            Written(
                each["metadata"]["labels"].get(labels.DEPLOYMENT, ""),
                read(each.get("data", {}).get(SITE_KEY, "")),
                each,
            )
            for each in found
            if "deletionTimestamp" not in each["metadata"]
            and each["metadata"]["labels"].get(labels.ROUTERS, pod.SHARED) == name
        ]

    async def _callers(self, namespace: str, name: str) -> set[str]:
        """The ModelDeployments whose address selects these routers. One that has nothing written
        for them has lost it, and is about to write it again; or it is about to go."""
        found = await self.cluster.list(
            kinds.SERVICE, namespace, label_selector=labels.every_child()
        )
        return {
            each["metadata"]["name"]
            for each in found
            if each["spec"].get("selector") == pod.selector(name)
            and labels.DEPLOYMENT in each["metadata"]["labels"]
        }

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
                await self._create(_KINDS[kind], routers.namespace, body)
            elif not _same(body, found):
                await self.cluster.apply(_KINDS[kind], routers.namespace, body)
        await self._drop_old_settings(routers, wanted, there)

    async def _create(self, kind: Kind, namespace: str, body: Json) -> None:
        """By applying, so that what is left out later goes: but never over somebody else's."""
        name = body["metadata"]["name"]
        with contextlib.suppress(NotFound):
            await self.cluster.get(kind, namespace, name)
            raise Refused(
                f'{kind.kind} "{name}" is there already and does not belong to modelfleet: delete '
                "it, or write routing.mode: Direct"
            )
        await self.cluster.apply(kind, namespace, body)

    async def _drop_old_settings(
        self, routers: Routers, wanted: Iterable[Json], there: Mapping[tuple[str, str], Json]
    ) -> None:
        """Bootstraps of before, once no router is left that was started with them."""
        deployment = there.get((kinds.DEPLOYMENT.kind, routers.name))
        if deployment is None or not _has_rolled(wanted, deployment):
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
        moment, behind, current = self.clock(), [], 0
        for each in pods:
            uid = each["metadata"]["uid"]
            if not each.get("status", {}).get("podIP") or "deletionTimestamp" in each["metadata"]:
                self.lagging.pop(uid, None)
                continue
            told = each["metadata"].get("annotations", {}).get(CONFIG_ANNOTATION, "")
            if told.partition(".")[0] != made.version:
                self.lagging[uid] = Lag(moment, moment)
                await self._touch(each, made.version)
                behind.append(each)
            elif await self._lags(each, made):
                lag = self.lagging.setdefault(uid, Lag(moment, moment))
                behind.append(each)
                if moment - lag.touched >= lag.gap:
                    self.lagging[uid] = lag.again(moment)
                    await self._touch(each, f"{made.version}.{moment:%H%M%S}")
            else:
                current += _takes_requests(each)
                self.lagging.pop(uid, None)
        lags = {each["metadata"]["name"]: self.lagging[each["metadata"]["uid"]] for each in behind}
        late = [p for p in behind if lags[p["metadata"]["name"]].of(moment) >= REPLACE_AFTER]
        if late and current:
            log.warning("replacing %s, which has stayed behind", late[0]["metadata"]["name"])
            await self._delete(namespace, {**late[0], "kind": kinds.POD.kind})
        return min((lag.gap.total_seconds() for lag in lags.values()), default=None)

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
            return _takes_requests(router)
        behind = said.lags(made.data)
        lag = self.lagging.get(router["metadata"]["uid"])
        if behind and lag is not None and lag.times == 1:
            log.warning("%s: %s", router["metadata"]["name"], said.why(behind[0]))
        return bool(behind)


_KINDS = {kind.kind: kind for kind in (*OBJECTS, kinds.POD)}


def _has_rolled(wanted: Iterable[Json], deployment: Json) -> bool:
    """No router runs that was started in another way. What the Deployment says of its pods may be
    from before it was written last."""
    if not all(_same(each, deployment) for each in wanted if each["kind"] == deployment["kind"]):
        return False
    status, asked = deployment.get("status", {}), deployment["spec"]["replicas"]
    current: bool = status.get("observedGeneration") == deployment["metadata"]["generation"]
    rolled: bool = status.get("updatedReplicas") == status.get("replicas") == asked
    return current and rolled


def _takes_requests(router: Json) -> bool:
    conditions = router["status"].get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


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
