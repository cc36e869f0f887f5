"""The ModelDeployments of one namespace, and the pair in front of them."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rollout.stage import PAIR
from benchmarks.rollout.witness import Listener, Witness
from dev.cluster import Cluster
from tests.e2e.kube import Json, Kube, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.store import Store

_READY_S = 600.0
_ASK = b"GET /health/live HTTP/1.1\r\nHost: model\r\n\r\n"


@dataclass(slots=True)
class Fleet:
    cluster: Cluster
    kube: Kube
    store: Store
    listener: Listener
    namespace: str
    name: str = "measured"
    """The one whose weights are changed."""
    neighbours: list[str] = field(default_factory=list)

    def measured(self) -> None:
        """Two variants with a pod each."""
        variants = [
            {"name": "control", "weight": 80, "model": self.model(1)},
            {"name": "challenger", "weight": 20, "model": self.model(2)},
        ]
        body = self._small(self.name, self.model(1), variants=variants)
        self.kube.apply(self.namespace, body)
        self._until_ready(self.name)

    @staticmethod
    def _small(name: str, model: Json, **more: object) -> Json:
        """So that fifty have a place on a node of two cores."""
        small = {"requests": {"cpu": "5m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
        return deployment(name, model, routing={"mode": "Router"}, **{"resources": small, **more})

    def model(self, label: int) -> Json:
        packed = Witness(label).packed(self.listener.address)
        return {**self.store.put(f"{self.name}-{label}.tar", packed), "version": str(label)}

    def others(self, count: int) -> None:
        model = self.store.put("neighbour.onnx", scale(1.0))
        self.neighbours = [f"neighbour-{number}" for number in range(count)]
        bodies = [self._small(name, model) for name in self.neighbours]
        self.kube.apply(self.namespace, *bodies)
        for name in self.neighbours:
            self._until_ready(name)

    def _until_ready(self, name: str) -> None:
        self.kube.until(self.namespace, "mdep", name, is_true("Ready"), timeout=_READY_S)

    def routers(self) -> list[Json]:
        return self.kube.every(self.namespace, "pod", PAIR)

    def memory_mib(self) -> list[float]:
        """Resident, of each router's process."""
        found = []
        for pod in self.routers():
            pids = self.cluster.processes(pod["metadata"]["uid"])
            found.append(max(map(_resident_mib, pids)))
        return found

    def address(self, name: str) -> str:
        return str(self.kube.get(self.namespace, "service", name)["spec"]["clusterIP"])

    def addresses(self) -> Mapping[str, str]:
        """Of the others."""
        return {name: self.address(name) for name in self.neighbours}


def _resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Neighbours:
    """A connection to each of the others, which stays open."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        self._open: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    @property
    def count(self) -> int:
        return len(self._addresses)

    async def connect(self) -> None:
        for name, host in self._addresses.items():
            self._open[name] = await asyncio.open_connection(host, 80)
        if broken := await self.closed():
            raise AssertionError(f"{broken} of the others do not answer")

    async def closed(self) -> int:
        """How many do not answer on the connection that they had."""
        return sum([not await self._answers(name) for name in self._open])

    async def _answers(self, name: str) -> bool:
        reader, writer = self._open[name]
        try:
            async with asyncio.timeout(10):
                writer.write(_ASK)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                length = _length(head.lower().splitlines())
                await reader.readexactly(length)
        except (OSError, EOFError, TimeoutError):
            return False
        return head.startswith(b"HTTP/1.1 200")

    def close(self) -> None:
        for _, writer in self._open.values():
            with contextlib.suppress(OSError):
                writer.close()


def _length(lines: Iterable[bytes]) -> int:
    for line in lines:
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
