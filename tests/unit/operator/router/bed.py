"""A real Envoy on the loopback, with its folder written as the kubelet writes a ConfigMap."""

import asyncio
import json
import os
import random
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import envoy
import httpx

from modelfleet_operator.router.bootstrap import Bounds, bootstrap
from modelfleet_operator.router.files import Files, Pair, files
from modelfleet_operator.router.names import (
    FIRST_SITE_PORT,
    LAST_SITE_PORT,
    ROUTES_FILE,
    SITES_PATH,
)
from modelfleet_operator.router.observed import (
    Counters,
    Router,
    Served,
    read_config,
    read_sites,
    read_statistics,
)
from modelfleet_operator.router.site import Site
from tests.unit.operator.router.builders import site

BINARY = Path(next(iter(envoy.__path__))) / "_bin" / "envoy"
PATIENCE_S = 20.0


def free_ports(count: int, first: int = FIRST_SITE_PORT, last: int = LAST_SITE_PORT) -> list[int]:
    """Ports that nobody listens on, out of the range from which sites get theirs."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(first, last)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def on_ports(name: str = "digits", *revisions: str, **more: Any) -> Site:
    """A site on ports that are free."""
    http, grpc = free_ports(2)
    return site(name, *revisions, http_port=http, grpc_port=grpc, **more)


async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
    """Ask until it is so: Envoy tells nobody, it only answers."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await true():  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


class Bed:
    """One router and what it reads."""

    def __init__(self, root: Path, resolver: tuple[str, int], pair: Pair | None = None) -> None:
        self.root = root
        self.folder = root / "sites"
        self.pair = pair or Pair()
        self.pair = Pair(
            discovery=self.pair.discovery, dns_s=0.1, folder=str(self.folder), address="127.0.0.1"
        )
        self.admin, self.ops, sites = free_ports(3, 20_000, 30_000)
        self.bounds = Bounds(
            folder=str(self.folder),
            address="127.0.0.1",
            admin_port=self.admin,
            ops_port=self.ops,
            sites_port=sites,
            resolvers=(resolver,),
        )
        self.now: Mapping[str, str] = {}
        self.process: asyncio.subprocess.Process | None = None
        self.client = httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False)
        self._writes = 0

    def write_data(self, data: Mapping[str, str]) -> None:
        """A new folder with a timestamp for a name, then one swap of the link."""
        self._writes += 1
        folder = self.folder / f"..2026_11_24_12_00_00.{self._writes}"
        folder.mkdir(parents=True)
        for name, text in data.items():
            (folder / name).write_text(text)
        swap = self.folder / "..data_tmp"
        swap.symlink_to(folder.name)
        old = (self.folder / "..data").resolve() if (self.folder / "..data").exists() else None
        swap.rename(self.folder / "..data")
        for name in data:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        if old is not None:
            shutil.rmtree(old)

    def write(self, *sites: Site) -> Files:
        made = files(sites, self.pair, self.now)
        self.write_data(made.data)
        self.now = made.data
        return made

    async def start(self, concurrency: int = 1) -> None:
        config = self.root / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(self.bounds)))
        with (self.root / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                BINARY,
                *("-c", str(config), "--service-node", "test", "--concurrency", str(concurrency)),
                *("--disable-hot-restart", "-l", "warning"),
                stdout=log,
                stderr=log,
            )

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def stop(self) -> None:
        await self.client.aclose()
        await self.kill()

    def watches(self) -> int:
        """How many inotify instances it holds."""
        assert self.process is not None
        files = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return sum("inotify" in os.readlink(file) for file in files)

    def said(self) -> str:
        """Envoy's own log."""
        return (self.root / "log").read_text()

    async def get(self, path: str, port: int | None = None, **more: Any) -> httpx.Response:
        return await self.client.get(f"http://127.0.0.1:{port or self.ops}{path}", **more)

    async def sites(self) -> Mapping[str, Served]:
        return read_sites((await self.get(SITES_PATH)).text)

    async def observed(self) -> Router:
        return read_config((await self.get("/config")).text)

    async def statistics(self) -> Mapping[str, Counters]:
        return read_statistics((await self.get("/stats/prometheus")).text)

    async def serves(self, made: Files) -> None:
        """Until it serves what was written."""
        wanted = {
            host["name"]: host["routes"][0]["direct_response"]["body"]["inline_string"]
            for host in json.loads(made.data[ROUTES_FILE])["resources"][0]["virtual_hosts"][1:]
        }

        async def so() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.said()
            try:
                answer = await self.get(SITES_PATH)
                config = await self.observed()
            except httpx.TransportError:
                return False
            if answer.status_code != 200:
                return False
            found = {each["deployment"]: each for each in answer.json()["sites"]}
            return found == {name: json.loads(text) for name, text in wanted.items()} and (
                config.lags(made.data) == ()
            )

        await until(so, f"the router serves what was written\n{self.said()}")

    async def healthy(self, revision: str, pods: int) -> None:
        """Until so many pods of the revision are healthy."""

        async def so() -> bool:
            members = (await self.observed()).members
            return revision in members and members[revision].healthy == pods

        await until(so, f"{pods} healthy pods of {revision}")


@asynccontextmanager
async def running(
    sites: Iterable[Site],
    resolver: tuple[str, int],
    pair: Pair | None = None,
    healthy: Mapping[str, int] | None = None,
    concurrency: int = 1,
) -> AsyncIterator[Bed]:
    """A router that serves these sites. `healthy`: pods to wait for, by revision."""
    with tempfile.TemporaryDirectory(prefix="router-") as root:
        bed = Bed(Path(root), resolver, pair)
        try:
            made = bed.write(*sites)
            await bed.start(concurrency)
            await bed.serves(made)
            for revision, pods in (healthy or {}).items():
                await bed.healthy(revision, pods)
            yield bed
        finally:
            await bed.stop()


def resident_bytes(bed: Bed) -> int:
    assert bed.process is not None
    pages = int(Path(f"/proc/{bed.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
