"""Reads what is shown of one ModelDeployment, and tells when it may have changed."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cli.exits import Missing
from modelfleet_operator.cli.picture import Picture, read_picture
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import ApiError, NotFound, Refused
from modelfleet_operator.kinds import Json, Kind

Clock = Callable[[], datetime]

AGAIN_S = 1.0
"""Before a watch that ended is begun again."""
FORBIDDEN_S = 60.0
"""Before one that was refused is."""


def now() -> datetime:
    return datetime.now(UTC)


async def resource(cluster: KubeApi, namespace: str, name: str) -> Json:
    """The ModelDeployment itself. Raises `Missing`."""
    try:
        return await cluster.get(kinds.MODEL_DEPLOYMENT, namespace, name)
    except NotFound as error:
        raise Missing(_missing(error, namespace, name)) from error


async def resources(cluster: KubeApi, namespace: str) -> list[Json]:
    """All of a namespace, or of every one where it is empty. Raises `Missing`."""
    try:
        return await cluster.list(kinds.MODEL_DEPLOYMENT, namespace)
    except NotFound as error:
        raise Missing(_missing(error, namespace, "")) from error


def _missing(error: NotFound, namespace: str, name: str) -> str:
    if name and f'"{name}" not found' in str(error):
        return (
            f"there is no ModelDeployment {name} in namespace {namespace} "
            "(`modelfleet get -A` shows them all)"
        )
    return (
        f"the cluster has no {labels.PLURAL}.{labels.GROUP}: modelfleet is not installed there "
        "(docs/install.md)"
    )


async def picture(cluster: KubeApi, namespace: str, name: str, clock: Clock) -> Picture:
    """Raises `Missing`. Whoever may not read events sees none."""
    found = await resource(cluster, namespace, name)
    about = (
        f"involvedObject.kind={labels.KIND},involvedObject.name={name},"
        f"involvedObject.uid={found['metadata']['uid']}"
    )
    pods = await cluster.list(kinds.POD, namespace, label_selector=labels.owned_by(name))
    try:
        events = await cluster.list(kinds.EVENT, namespace, field_selector=about)
    except Refused:
        events = []
    return read_picture(clock(), found, pods, events)


async def revisions(cluster: KubeApi, namespace: str, name: str) -> list[Json]:
    return await cluster.list(
        kinds.CONTROLLER_REVISION, namespace, label_selector=labels.owned_by(name)
    )


class Watch:
    """Wakes whoever waits when a ModelDeployment or one of its pods has changed."""

    def __init__(self, cluster: KubeApi, namespace: str, name: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._woken = asyncio.Event()
        self._asked: tuple[tuple[Kind, str, str], ...] = (
            (kinds.MODEL_DEPLOYMENT, "", f"metadata.name={name}"),
            (kinds.POD, labels.owned_by(name), ""),
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._follow(*asked)) for asked in self._asked]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def changed(self, at_most_s: float) -> bool:
        """Whether something may have changed since the last time; False after `at_most_s`."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def _follow(self, kind: Kind, label_selector: str, field_selector: str) -> None:
        # What there is comes first each time, so nothing is lost between two watches.
        while True:
            rest = AGAIN_S
            try:
                async for _ in self._cluster.watch(
                    kind,
                    self._namespace,
                    label_selector=label_selector,
                    field_selector=field_selector,
                ):
                    self._woken.set()
            except Refused:
                rest = FORBIDDEN_S  # time alone wakes then
            except ApiError:
                pass  # whoever looks next hears why
            await asyncio.sleep(rest)
