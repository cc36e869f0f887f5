"""Many callers at once, on few connections: each sends its next requests without waiting."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import httptools


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


async def call_all(
    port: int,
    headers: Sequence[Mapping[str, str]],
    path: str = "/infer",
    connections: int = 16,
    ahead: int = 16,
) -> list[Reply]:
    """One request for each set of headers; the replies in their order."""
    replies: list[Reply | None] = [None] * len(headers)
    jobs = iter(enumerate(headers))
    lanes = (_Lane(port, path, jobs, replies, ahead).run() for _ in range(connections))
    await asyncio.gather(*lanes)
    found = [reply for reply in replies if reply is not None]
    assert len(found) == len(headers), f"{len(headers) - len(found)} requests were not answered"
    return found


async def arms(port: int, headers: Sequence[Mapping[str, str]], path: str = "/infer") -> list[str]:
    """Which revision answered each; every answer has to be a good one."""
    replies = await call_all(port, headers, path)
    bad = [reply for reply in replies if reply.status != 200]
    assert not bad, f"{len(bad)} of {len(replies)}, the first: {bad[0]}"
    return [reply.text for reply in replies]


class _Lane:
    def __init__(
        self,
        port: int,
        path: str,
        jobs: Iterable[tuple[int, Mapping[str, str]]],
        replies: list[Reply | None],
        ahead: int,
    ) -> None:
        self.port, self.path, self.jobs = port, path, jobs
        self.replies, self.ahead = replies, ahead
        self.sent: list[int] = []
        self.parser = httptools.HttpResponseParser(self)

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self._send(writer)
        while self.sent:
            data = await reader.read(65536)
            assert data, f"the router closed a connection with {len(self.sent)} requests on it"
            self.parser.feed_data(data)
            if len(self.sent) <= self.ahead // 2:
                self._send(writer)
        writer.close()
        await writer.wait_closed()

    def _send(self, writer: asyncio.StreamWriter) -> None:
        for number, headers in self.jobs:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            writer.write(f"GET {self.path} HTTP/1.1\r\nhost: any\r\n{lines}\r\n".encode())
            self.sent.append(number)
            if len(self.sent) >= self.ahead:
                return

    def on_message_begin(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        reply = Reply(self.parser.get_status_code(), self.headers, self.body)
        self.replies[self.sent.pop(0)] = reply
