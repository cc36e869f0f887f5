"""The connection, frame by frame: what RFC 9113 asks of a server, and the bounds on a client."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import hpack
import pytest

from modelfleet_runtime.http2 import connection, frames
from modelfleet_runtime.http2.frames import Code, frame
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.grpc.serving import PATIENCE, Running, request, running

INFER = b"/inference.GRPCInferenceService/ModelInfer"
STREAM = b"/inference.GRPCInferenceService/ModelStreamInfer"
END = frames.END_HEADERS | frames.END_STREAM


class Client:
    """Frames out, frames in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()

    def send(self, *pieces: bytes) -> None:
        self._writer.write(b"".join(pieces))

    def greet(self, **values: int) -> None:
        settings = {getattr(frames, f"SETTING_{name}"): value for name, value in values.items()}
        self.send(frames.PREFACE, frames.settings(settings))

    def head(self, path: bytes = INFER, *more: tuple[bytes, bytes]) -> bytes:
        pairs = [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", path),
            (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more,
        ]  # fmt: skip
        return self._encoder.encode(pairs)

    def call(self, number: int, message: bytes | None = None, path: bytes = INFER) -> None:
        """A whole call in one piece."""
        body = prefixed(request().SerializeToString() if message is None else message)
        self.send(
            frame(frames.HEADERS, frames.END_HEADERS, number, self.head(path)),
            frame(frames.DATA, frames.END_STREAM, number, body),
        )

    async def frame(self) -> tuple[int, int, int, bytes]:
        """Kind, flags, stream and payload of the next one."""
        async with asyncio.timeout(PATIENCE):
            high, low, kind, flags, number = frames.HEAD.unpack(await self._reader.readexactly(9))
            return kind, flags, number, await self._reader.readexactly(high << 8 | low)

    async def wait_for(self, kind: int, number: int | None = None) -> tuple[int, bytes]:
        """Flags and payload of the next one of this kind (and stream)."""
        while True:
            found, flags, stream, payload = await self.frame()
            if found == kind and number in (None, stream):
                return flags, payload

    async def status(self, number: int) -> str:
        """The grpc-status of a call, once it is over. (The blocks enter no table.)"""
        while True:
            flags, payload = await self.wait_for(frames.HEADERS, number)
            if flags & frames.END_STREAM:
                return texts(self._decoder, payload)["grpc-status"]

    async def reset(self, number: int) -> Code:
        """The code with which the stream is reset."""
        _, payload = await self.wait_for(frames.RST_STREAM, number)
        return Code(struct.unpack(">I", payload)[0])

    async def goaway(self) -> Code:
        """The code with which the connection ends; it is closed then."""
        _, payload = await self.wait_for(frames.GOAWAY)
        async with asyncio.timeout(PATIENCE):
            assert await self._reader.read() == b""
        return Code(struct.unpack(">I", payload[4:8])[0])

    async def closed(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self._reader.read(1 << 16):
                pass

    async def ping(self) -> None:
        """The connection is alive, and has read everything before."""
        self.send(frame(frames.PING, 0, 0, b"12345678"))
        while await self.wait_for(frames.PING) != (frames.ACK, b"12345678"):
            pass


def texts(decoder: hpack.Decoder, block: bytes) -> dict[str, str]:
    pairs: Any = decoder.decode(block)
    return dict(pairs)


def prefixed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


@asynccontextmanager
async def connected(up: Running, greet: bool = True) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
    try:
        client = Client(reader, writer)
        if greet:
            client.greet()
        yield client
    finally:
        writer.close()


def priority(of: int, depends_on: int) -> bytes:
    return frame(frames.PRIORITY, 0, of, struct.pack(">IB", depends_on, 1))


FATAL: list[tuple[str, bytes, Code]] = [
    ("a frame that is too large", frame(frames.DATA, 0, 1, bytes(16385)), Code.FRAME_SIZE_ERROR),
    ("DATA of no stream", frame(frames.DATA, 0, 0, b"a"), Code.PROTOCOL_ERROR),
    ("DATA of an idle stream", frame(frames.DATA, 0, 1, b"a"), Code.PROTOCOL_ERROR),
    ("HEADERS of no stream", frame(frames.HEADERS, END, 0, b"\x82"), Code.PROTOCOL_ERROR),
    ("HEADERS of the server's", frame(frames.HEADERS, END, 2, b"\x82"), Code.PROTOCOL_ERROR),
    ("a block that is none", frame(frames.HEADERS, END, 1, b"\x80"), Code.COMPRESSION_ERROR),
    (
        "padding that is longer than its frame",
        frame(frames.HEADERS, END | frames.PADDED, 1, b"\x09\x82"),
        Code.PROTOCOL_ERROR,
    ),
    (
        "a stream that depends on itself",
        frame(frames.HEADERS, END | frames.WITH_PRIORITY, 1, struct.pack(">IB", 1, 1) + b"\x82"),
        Code.PROTOCOL_ERROR,
    ),
    (
        "HEADERS within a head",
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.HEADERS, END, 3, b"\x82"),
        Code.PROTOCOL_ERROR,
    ),
    (
        "PING within a head",
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.PING, 0, 0, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    (
        "an unknown frame within a head",
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(77, 0, 1, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    (
        "a head that another stream continues",
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, 4, 3, b"\x82"),
        Code.PROTOCOL_ERROR,
    ),
    (
        "a head that goes on for ever",
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, 0, 1) * 100,
        Code.ENHANCE_YOUR_CALM,
    ),
    (
        "a head that is too large",
        frame(frames.HEADERS, 0, 1, b"\x83") + frame(frames.CONTINUATION, 0, 1, bytes(16384)) * 5,
        Code.ENHANCE_YOUR_CALM,
    ),
    ("CONTINUATION of nothing", frame(frames.CONTINUATION, 4, 1, b"\x82"), Code.PROTOCOL_ERROR),
    ("PRIORITY of no stream", priority(0, 1), Code.PROTOCOL_ERROR),
    ("RST_STREAM of no stream", frames.rst_stream(0, Code.CANCEL), Code.PROTOCOL_ERROR),
    ("RST_STREAM of an idle stream", frames.rst_stream(1, Code.CANCEL), Code.PROTOCOL_ERROR),
    ("a short RST_STREAM", frame(frames.RST_STREAM, 0, 1, b"\0"), Code.FRAME_SIZE_ERROR),
    ("SETTINGS of a stream", frame(frames.SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    ("SETTINGS cut short", frame(frames.SETTINGS, 0, 0, b"abc"), Code.FRAME_SIZE_ERROR),
    (
        "an acknowledgement with content",
        frame(frames.SETTINGS, frames.ACK, 0, bytes(6)),
        Code.FRAME_SIZE_ERROR,
    ),
    (
        "ENABLE_PUSH of 2",
        frames.settings({frames.SETTING_ENABLE_PUSH: 2}),
        Code.PROTOCOL_ERROR,
    ),
    (
        "a window that is too large",
        frames.settings({frames.SETTING_INITIAL_WINDOW_SIZE: 1 << 31}),
        Code.FLOW_CONTROL_ERROR,
    ),
    (
        "frames that are too small",
        frames.settings({frames.SETTING_MAX_FRAME_SIZE: 16383}),
        Code.PROTOCOL_ERROR,
    ),
    (
        "frames that are too large",
        frames.settings({frames.SETTING_MAX_FRAME_SIZE: 1 << 24}),
        Code.PROTOCOL_ERROR,
    ),
    ("PUSH_PROMISE", frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), Code.PROTOCOL_ERROR),
    ("PING of a stream", frame(frames.PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    ("a short PING", frame(frames.PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    ("GOAWAY of a stream", frame(frames.GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    ("a window that grows by nothing", frames.window_update(0, 0), Code.PROTOCOL_ERROR),
    ("WINDOW_UPDATE of an idle stream", frames.window_update(1, 1), Code.PROTOCOL_ERROR),
    ("a short WINDOW_UPDATE", frame(frames.WINDOW_UPDATE, 0, 0, b"\0"), Code.FRAME_SIZE_ERROR),
    (
        "a window that grows too large",
        frames.window_update(0, frames.LARGEST_WINDOW),
        Code.FLOW_CONTROL_ERROR,
    ),
]


@pytest.mark.parametrize(
    ("data", "code"), [row[1:] for row in FATAL], ids=[row[0] for row in FATAL]
)
async def test_what_breaks_the_protocol_ends_the_connection(data: bytes, code: Code) -> None:
    async with running(doubling()) as up, connected(up) as client:
        client.send(data)
        assert await client.goaway() is code
        async with connected(up) as other:
            other.call(1)
            assert await other.status(1) == "0"


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX",
        frames.PREFACE + frame(frames.PING, 0, 0, bytes(8)),
        frames.PREFACE + frame(frames.HEADERS, END, 1, b"\x82"),
    ],
)
async def test_who_does_not_begin_as_http2_does_is_sent_away(data: bytes) -> None:
    async with running(doubling()) as up, connected(up, greet=False) as client:
        client.send(data)
        assert await client.goaway() is Code.PROTOCOL_ERROR


async def test_a_call_is_answered_however_its_bytes_are_cut() -> None:
    async with running(doubling()) as up, connected(up, greet=False) as client:
        body = prefixed(request().SerializeToString())
        pieces = [
            frames.PREFACE,
            frames.settings({}),
            frame(frames.HEADERS, frames.END_HEADERS, 1, client.head()),
            *(frame(frames.DATA, 0, 1, body[at : at + 7]) for at in range(0, len(body), 7)),
            frame(frames.DATA, frames.END_STREAM, 1),
        ]
        for byte in b"".join(pieces):
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert await client.status(1) == "0"


async def test_a_head_in_several_frames_with_padding_and_priority() -> None:
    async with running(doubling()) as up, connected(up) as client:
        block = client.head()
        start = b"\x03" + struct.pack(">IB", 0, 1) + block[:5] + bytes(3)
        flags = frames.PADDED | frames.WITH_PRIORITY
        body = prefixed(request().SerializeToString())
        client.send(
            frame(frames.HEADERS, flags, 1, start),
            frame(frames.CONTINUATION, 0, 1, block[5:9]),
            frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[9:]),
            priority(1, 0),
            frame(77, 0, 1, b"unknown"),
            frame(frames.DATA, frames.END_STREAM | frames.PADDED, 1, b"\x04" + body + bytes(4)),
        )
        assert await client.status(1) == "0"


async def test_calls_on_one_connection_are_each_answered() -> None:
    async with running(doubling()) as up, connected(up) as client:
        for number in range(1, 41, 2):
            client.call(number)
        assert [await client.status(number) for number in range(1, 41, 2)] == ["0"] * 20


async def test_an_answer_waits_for_the_clients_window() -> None:
    async with running(doubling()) as up, connected(up, greet=False) as client:
        client.greet(INITIAL_WINDOW_SIZE=10)
        client.call(1)
        flags, payload = await client.wait_for(frames.DATA, 1)
        assert (flags, len(payload)) == (0, 10)
        client.send(frames.window_update(1, 5))
        assert len((await client.wait_for(frames.DATA, 1))[1]) == 5
        client.send(frames.settings({frames.SETTING_INITIAL_WINDOW_SIZE: 1000}))
        await client.wait_for(frames.DATA, 1)
        assert await client.status(1) == "0"


async def test_a_stream_that_is_reset_while_its_answer_waits_is_forgotten() -> None:
    async with running(doubling()) as up, connected(up, greet=False) as client:
        client.greet(INITIAL_WINDOW_SIZE=1)
        client.call(1)
        await client.wait_for(frames.DATA, 1)
        client.send(frames.rst_stream(1, Code.CANCEL), frames.window_update(0, 1000))
        await client.ping()
        client.send(frames.settings({frames.SETTING_INITIAL_WINDOW_SIZE: 1000}))
        client.call(3)
        assert await client.status(3) == "0"


async def test_a_clients_window_grows_while_it_sends() -> None:
    """More than all windows at once; a client that keeps to them has to be told."""
    async with running(doubling()) as up, connected(up) as client:
        await client.ping()
        message = pb.ModelInferRequest(model_name="m", id="x" * 3_000_000).SerializeToString()
        body = prefixed(message)
        client.send(frame(frames.HEADERS, frames.END_HEADERS, 1, client.head()))
        window, at = 1 << 20, 0
        while at < len(body):
            if window < 16384:
                _, more = await client.wait_for(frames.WINDOW_UPDATE, 1)
                window += struct.unpack(">I", more)[0]
                continue
            piece = body[at : at + 16384]
            at += len(piece)
            window -= len(piece)
            flags = frames.END_STREAM if at == len(body) else 0
            client.send(frame(frames.DATA, flags, 1, piece))
        assert await client.status(1) == "3"


STREAM_FAULTS: list[tuple[str, list[tuple[bytes, bytes]], bytes, Code]] = [
    ("a length that is too small", [(b"content-length", b"3")], b"abcd", Code.PROTOCOL_ERROR),
    ("a length that is too large", [(b"content-length", b"5")], b"abcd", Code.PROTOCOL_ERROR),
    ("a length that is none", [(b"content-length", b"-1")], b"abcd", Code.PROTOCOL_ERROR),
    ("a header of HTTP/1", [(b"connection", b"close")], b"", Code.PROTOCOL_ERROR),
    ("an upper-case name", [(b"Name", b"1")], b"", Code.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(
    ("more", "body", "code"), [row[1:] for row in STREAM_FAULTS], ids=[r[0] for r in STREAM_FAULTS]
)
async def test_what_is_wrong_with_one_stream_ends_only_that(
    more: list[tuple[bytes, bytes]], body: bytes, code: Code
) -> None:
    async with running(doubling()) as up, connected(up) as client:
        client.send(
            frame(frames.HEADERS, frames.END_HEADERS, 1, client.head(INFER, *more)),
            frame(frames.DATA, frames.END_STREAM, 1, body),
        )
        assert await client.reset(1) is code
        client.call(3)
        assert await client.status(3) == "0"
        assert up.life.in_flight == 0


async def test_trailers_of_a_request_end_it_and_headers_again_do_not() -> None:
    async with running(doubling()) as up, connected(up) as client:
        body = frame(frames.DATA, 0, 1, prefixed(request().SerializeToString()))
        client.send(frame(frames.HEADERS, frames.END_HEADERS, 1, client.head()), body)
        client.send(frame(frames.HEADERS, END, 1, b"\x00\x01a\x011"))
        assert await client.status(1) == "0"
        client.send(frame(frames.HEADERS, frames.END_HEADERS, 3, client.head()))
        client.send(frame(frames.HEADERS, frames.END_HEADERS, 3, b"\x00\x01a\x011"))
        assert await client.reset(3) is Code.PROTOCOL_ERROR
        client.send(frame(frames.DATA, 0, 3, b"late"))
        assert await client.reset(3) is Code.STREAM_CLOSED
        client.send(frame(frames.HEADERS, END, 3, b"\x00\x01a\x011"))
        assert await client.goaway() is Code.STREAM_CLOSED


MESSAGES: list[tuple[str, bytes, str]] = [
    ("no message", b"", "3"),
    ("half a prefix", b"\0\0\0", "3"),
    ("half a message", prefixed(b"abcdef")[:8], "3"),
    ("two messages", prefixed(b"") * 2, "3"),
    ("an unknown flag", prefixed(b"", 2), "3"),
    ("compressed, nobody says how", prefixed(b"abc", 1), "3"),
    ("a message of 4 GiB, announced", b"\0\xff\xff\xff\xff", "8"),
    ("a message of 4 GiB, begun", b"\0\xff\xff\xff\xffabc", "8"),
]


@pytest.mark.parametrize(
    ("body", "status"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES]
)
@pytest.mark.parametrize("path", [INFER, b"/grpc.health.v1.Health/Check"])
async def test_bytes_that_are_not_one_message(body: bytes, status: str, path: bytes) -> None:
    async with running(doubling()) as up, connected(up) as client:
        client.send(
            frame(frames.HEADERS, frames.END_HEADERS, 1, client.head(path)),
            frame(frames.DATA, frames.END_STREAM, 1, body),
        )
        found = await client.status(1)
        assert found == ("12" if body == prefixed(b"abc", 1) and path != INFER else status)
        client.call(3)
        assert await client.status(3) == "0"
        assert (up.life.in_flight, up.service.bodies.held) == (0, 0)


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"1x", b"-1S", b"123456789S", b"1.5S"])
async def test_a_timeout_that_is_none(value: bytes) -> None:
    async with running(doubling()) as up, connected(up) as client:
        client.send(
            frame(
                frames.HEADERS, frames.END_HEADERS, 1, client.head(INFER, (b"grpc-timeout", value))
            )
        )
        assert await client.status(1) == "3"


async def test_a_message_that_does_not_come_has_the_requests_time() -> None:
    async with running(doubling()) as up, connected(up) as client:
        head = client.head(INFER, (b"grpc-timeout", b"20m"))
        client.send(frame(frames.HEADERS, frames.END_HEADERS, 1, head))
        assert await client.status(1) == "4"
        assert await client.reset(1) is Code.NO_ERROR


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([(b":method", b"GET")], "405"),
        ([(b":method", b"POST")], "415"),
        ([(b":method", b"POST"), (b"content-type", b"application/json")], "415"),
    ],
)
async def test_what_is_no_call_is_answered_as_http(
    pairs: list[tuple[bytes, bytes]], status: str
) -> None:
    async with running(doubling()) as up, connected(up) as client:
        block = hpack.Encoder().encode(
            [pairs[0], (b":scheme", b"http"), (b":path", INFER), *pairs[1:]]
        )
        client.send(frame(frames.HEADERS, END, 1, block))
        flags, payload = await client.wait_for(frames.HEADERS, 1)
        assert flags & frames.END_STREAM
        assert texts(hpack.Decoder(), payload)[":status"] == status


async def test_more_calls_than_may_be_open_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STREAMS", 3)
    async with running(doubling()) as up, connected(up) as client:
        for number in (1, 3, 5, 7):
            client.send(frame(frames.HEADERS, frames.END_HEADERS, number, client.head(STREAM)))
        assert await client.reset(7) is Code.REFUSED_STREAM
        client.send(frames.rst_stream(1, Code.CANCEL))
        client.call(9)
        assert await client.status(9) == "0"


async def test_who_takes_back_calls_without_end_is_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CALM_BURST", 50)
    monkeypatch.setattr(connection, "CALM_RATE", 0)
    async with running(doubling()) as up, connected(up) as client:
        for number in range(1, 301, 2):
            client.send(
                frame(frames.HEADERS, frames.END_HEADERS, number, client.head()),
                frames.rst_stream(number, Code.CANCEL),
            )
        assert await client.goaway() is Code.ENHANCE_YOUR_CALM
        assert up.life.in_flight == 0


@pytest.mark.parametrize(
    "data", [frame(frames.PING, 0, 0, bytes(8)), frames.settings({}), frame(77, 0, 0)]
)
async def test_who_asks_for_nothing_without_end_is_sent_away(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CALM_BURST", 50)
    monkeypatch.setattr(connection, "CALM_RATE", 0)
    async with running(doubling()) as up, connected(up) as client:
        client.send(data * 200)
        assert await client.goaway() is Code.ENHANCE_YOUR_CALM


async def test_who_says_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PREFACE_S", 0.01)
    async with running(doubling()) as up, connected(up, greet=False) as client:
        await client.closed()


async def test_a_silent_client_is_asked_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PREFACE_S", 0.01)
    monkeypatch.setattr(connection, "KEEP_ALIVE_S", 0.01)
    async with running(doubling()) as up, connected(up) as client:
        assert await client.wait_for(frames.PING) == (0, b"modelflt")
        await client.closed()


async def test_a_client_that_leaves_finishes_what_it_has_begun() -> None:
    async with running(doubling()) as up, connected(up) as client:
        client.call(1)
        client.send(frames.goaway(0, Code.NO_ERROR))
        assert await client.status(1) == "0"
        await client.closed()


async def test_draining_takes_calls_and_stopping_does_not() -> None:
    async with running(doubling()) as up, connected(up) as client:
        await client.ping()
        up.life.drain()
        _, payload = await client.wait_for(frames.GOAWAY)
        assert struct.unpack(">II", payload) == (frames.LARGEST_WINDOW, Code.NO_ERROR)
        client.call(1)
        assert await client.status(1) == "0"
        await up.server.stop(5)
        assert await client.goaway() is Code.NO_ERROR
