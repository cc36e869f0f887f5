"""HTTP as bytes: what is sent is written out in the test, and what comes back is read strictly."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import orjson

from tests.unit.runtime.serving import Running

PATIENCE = 10.0


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Wire:
    """A client's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *pieces: bytes, pause: float = 0) -> None:
        """Each piece as a segment of its own; `pause` in seconds between them."""
        for index, piece in enumerate(pieces):
            if index:
                await asyncio.sleep(pause)
            self.writer.write(piece)
            await self.writer.drain()

    async def reply(self, head_only: bool = False) -> Reply:
        """The next answer. A header that is there twice, or no length, is an AssertionError."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii")
            first, *lines = head.strip().split("\r\n")
            pairs = [line.split(": ", 1) for line in lines]
            headers = dict(pairs)
            assert len(headers) == len(pairs), head
            status = int(first.removeprefix("HTTP/1.1 ").split(" ")[0])
            if status == 100:
                return Reply(status, headers, b"")
            if headers.get("transfer-encoding") == "chunked":
                return Reply(status, headers, await self._chunks())
            length = 0 if head_only else int(headers["content-length"])
            body = await self.reader.readexactly(length)
        return Reply(status, headers, body)

    async def _chunks(self) -> bytes:
        whole = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            whole += (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readexactly(2) == b"\r\n"
        return whole

    async def outputs(self) -> list[float]:
        """The next answer, which has to be /predict's."""
        reply = await self.reply()
        assert reply.status == 200, reply
        values: list[float] = orjson.loads(reply.body)["outputs"]["y"]
        return values

    async def ended(self) -> bool:
        """Whether the server closed, and sent nothing before it did."""
        async with asyncio.timeout(PATIENCE):
            try:
                return not await self.reader.read(1)
            except ConnectionError:
                return True

    def finish_sending(self) -> None:
        self.writer.write_eof()

    def cut(self) -> None:
        """Ends it as a process that dies does: the other side sees a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@asynccontextmanager
async def wire(at: Running) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def get(path: str, *lines: str, version: str = "1.1", method: str = "GET") -> bytes:
    head = [f"{method} {path} HTTP/{version}", "host: a", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def predict(first: float, *lines: str, path: str = "/predict", version: str = "1.1") -> bytes:
    """A good request; `outputs()` gives [2 * first, 0]."""
    body = orjson.dumps({"inputs": [first, 0, 0, 0]})
    return get(path, *lines, f"content-length: {len(body)}", version=version, method="POST") + body
