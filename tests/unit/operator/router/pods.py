"""Pods on the loopback, and the DNS that names them. Each pod is an address of 127.0.0.0/8."""

import asyncio
import ipaddress
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httptools

from modelfleet_contract import READY_PATH, SERVED_BY_HEADER

_addresses = itertools.count(2)


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, bytes]
Handler = Callable[[Request], Awaitable[Answer]]


@dataclass
class Pod:
    """Answers with its revision, and counts."""

    revision: str
    address: str
    port: int
    healthy: bool = True
    says_it_is: str = ""
    """In its health answer; empty: its revision."""
    handler: Handler | None = None
    requests: list[Request] = field(default_factory=list)
    checks: int = 0
    connections: set["_Connection"] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(
            lambda: _Connection(self), self.address, self.port, reuse_address=True
        )

    async def kill(self) -> None:
        """As kill -9 does: nobody listens, and every connection is reset."""
        if self.server is None:
            return
        self.server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        await self.server.wait_closed()
        self.server = None

    async def answer(self, request: Request) -> Answer:
        if request.path == READY_PATH:
            self.checks += 1
            return (200 if self.healthy else 503), b""
        self.requests.append(request)
        if self.handler is not None:
            return await self.handler(request)
        return 200, self.revision.encode()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.parser = httptools.HttpRequestParser(self)
        self.waiting: asyncio.Queue[Request] = asyncio.Queue()
        self.answering: Request | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.pod.connections.add(self)
        self.task = asyncio.ensure_future(self._answers())

    def connection_lost(self, exc: Exception | None) -> None:
        self.pod.connections.discard(self)
        self.task.cancel()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.path, self.headers, self.body = b"", dict[str, str](), b""

    def on_url(self, url: bytes) -> None:
        self.path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.waiting.put_nowait(Request(self.path.decode(), self.headers, self.body))

    async def _answers(self) -> None:
        while True:
            self.answering = request = await self.waiting.get()
            status, body = await self.pod.answer(request)
            if not status:  # the handler has written the answer itself
                continue
            name = self.pod.says_it_is or self.pod.revision
            self.transport.write(
                b"HTTP/1.1 %d OK\r\ncontent-length: %d\r\n%s: %s\r\n\r\n%s"
                % (status, len(body), SERVED_BY_HEADER.encode(), name.encode(), body)
            )


class Dns(asyncio.DatagramProtocol):
    """Answers A questions from a table; while it is away, not at all."""

    def __init__(self) -> None:
        self.table: dict[str, tuple[str, ...]] = {}
        self.away = False
        self.asked = 0
        self.at: tuple[str, int] = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.at = transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        if self.away:
            return
        self.asked += 1
        name, at = [], 12
        while length := data[at]:
            name.append(data[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        question, kind = data[12 : at + 5], int.from_bytes(data[at + 1 : at + 3], "big")
        addresses = self.table.get(".".join(name) + ".", ()) if kind == 1 else ()
        known = ".".join(name) + "." in self.table
        head = data[:2] + (b"\x84\x00" if known else b"\x84\x03") + b"\x00\x01"
        head += len(addresses).to_bytes(2, "big") + bytes(4)
        answers = b"".join(
            b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x01\x00\x04"
            + ipaddress.IPv4Address(address).packed
            for address in addresses
        )
        self.transport.sendto(head + question + answers, addr)


@dataclass
class Pods:
    """All pods of a test."""

    dns: Dns
    all: list[Pod] = field(default_factory=list)

    async def add(self, revision: str, count: int = 1, port: int = 8080, **more: Any) -> list[Pod]:
        """Pods that the DNS names from now on."""
        made = []
        for _ in range(count):
            number = next(_addresses)
            address = f"127.{20 + number // 62_500}.{number // 250 % 250}.{number % 250 + 2}"
            pod = Pod(revision, address, port, **more)
            await pod.start()
            made.append(pod)
        self.all += made
        self.name(revision, *self.of(revision))
        return made

    def of(self, revision: str) -> list[Pod]:
        return [pod for pod in self.all if pod.revision == revision]

    def name(self, revision: str, *pods: Pod) -> None:
        self.dns.table[host(revision)] = tuple(pod.address for pod in pods)


def host(revision: str) -> str:
    return f"{revision}.team.svc.cluster.local."


@asynccontextmanager
async def cluster() -> AsyncIterator[Pods]:
    loop = asyncio.get_running_loop()
    transport, dns = await loop.create_datagram_endpoint(Dns, ("127.0.0.1", 0))
    pods = Pods(dns)
    try:
        yield pods
    finally:
        for pod in pods.all:
            await pod.kill()
        transport.close()
