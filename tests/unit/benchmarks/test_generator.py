"""The load generator is believed: it has to see what is wrong, over HTTP/1.1 and HTTP/2."""

import contextlib
import shutil
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import orjson
import pytest

from benchmarks.runtime import load
from benchmarks.runtime.load import Load, NoLoad
from benchmarks.runtime.wire import Wire, oip_grpc, oip_json, raw

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler"
)

REQUESTS = [{"x": np.full((1, 4), number, np.float32)} for number in range(3)]
ANSWERS = [2 * request["x"] for request in REQUESTS]
RAW = raw("/infer", REQUESTS)
JSON = oip_json("/infer", REQUESTS)
GRPC = oip_grpc("m", REQUESTS, 0)

Reply = Callable[[bytes], bytes]
Talk = Callable[[BinaryIO, BinaryIO], None]


def doubled(body: bytes) -> bytes:
    return (2 * np.frombuffer(body[-16:], np.float32)).tobytes()


def two_times(body: bytes) -> bytes:
    return orjson.dumps([2 * number for number in orjson.loads(body)["inputs"][0]["data"]])


def http(reply: Reply, status: int = 200, split: bool = False, close: bool = False) -> Talk:
    def talk(reader: BinaryIO, writer: BinaryIO) -> None:
        while head := b"".join(iter(lambda: reader.readline().strip(), b"")).lower():
            length = int(head.partition(b"content-length:")[2])
            body = reply(reader.read(length))
            kind = b"close" if close else b"keep-alive"
            answer = b"HTTP/1.1 %d X\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n%s" % (
                status, kind, len(body), body,
            )  # fmt: skip
            writer.writelines((answer[:30], answer[30:]) if split else (answer,))
            if close:
                return

    return talk


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def grpc(reply: Reply) -> Talk:
    """HTTP/2 as far as a call needs it."""

    def talk(reader: BinaryIO, writer: BinaryIO) -> None:
        assert reader.read(24).startswith(b"PRI")
        writer.write(frame(4, 0, 0, b"") + frame(6, 0, 0, b"pingpong"))
        while head := reader.read(9):
            size, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = reader.read(size)
            if kind == 6:
                assert flags == 1
                assert payload == b"pingpong"
            if kind != 0:
                continue
            stream = int.from_bytes(head[5:], "big")
            message = reply(payload[5:])
            answer = frame(8, 0, 0, struct.pack(">I", size)) + frame(1, 4, stream, b"\x88")
            if message:
                data = b"\0" + struct.pack(">I", len(message)) + message
                answer += frame(0, 0, stream, data[:7]) + frame(0, 0, stream, data[7:])
            writer.write(answer + frame(1, 5, stream, b"\x00\x0bgrpc-status\x010"))

    return talk


@contextlib.contextmanager
def serving(talk: Talk) -> Iterator[int]:
    class Handler(socketserver.StreamRequestHandler):
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):
                talk(cast(BinaryIO, self.rfile), cast(BinaryIO, self.wfile))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def loaded(talk: Talk, wire: Wire, folder: Path) -> Load:
    with serving(talk) as port:
        return load.run(load.write(wire, ANSWERS, folder / "requests", {}), port, 3, 0.2, 0.0)


def one_wrong(body: bytes) -> bytes:
    """Right but for the request of all ones."""
    answer = doubled(body)
    return b"\0" * 16 if struct.unpack("<f", answer[:4])[0] == 2 else answer


@pytest.mark.parametrize(
    ("talk", "wire"),
    [
        (http(doubled), RAW),
        (http(doubled, split=True), RAW),
        (http(doubled, close=True), RAW),
        (http(lambda b: b'{"shape":[1,4],"data":%s}' % two_times(b)), JSON),
        (grpc(doubled), GRPC),
    ],
    ids=["raw", "in pieces", "a connection for each", "json", "grpc"],
)
def test_right_answers_are_counted_as_right(talk: Talk, wire: Wire, tmp_path: Path) -> None:
    got = loaded(talk, wire, tmp_path)
    assert got.errors == 0
    assert got.rps > 0
    assert 0 < got.p50_ms <= got.p99_ms


@pytest.mark.parametrize(
    ("talk", "wire"),
    [(http(one_wrong), RAW), (grpc(one_wrong), GRPC), (grpc(lambda b: one_wrong(b)[:8]), GRPC)],
    ids=["raw", "grpc", "grpc too short"],
)
def test_a_wrong_number_is_an_error(talk: Talk, wire: Wire, tmp_path: Path) -> None:
    file = load.write(wire, ANSWERS, tmp_path / "requests", {})
    with serving(talk) as port:
        with contextlib.suppress(NoLoad):
            got = load.run(file, port, 3, 0.2, 0.0)
            assert got.errors > 0
        with pytest.raises(NoLoad, match="wrong"):
            load.check(file, port)


@pytest.mark.parametrize(
    ("talk", "wire", "told"),
    [
        (http(doubled, status=503), RAW, "status 503"),
        (grpc(lambda _: b""), GRPC, "failed"),
    ],
    ids=["http", "grpc without a message"],
)
def test_a_failed_answer_is_no_answer(talk: Talk, wire: Wire, told: str, tmp_path: Path) -> None:
    with pytest.raises(NoLoad, match=told):
        loaded(talk, wire, tmp_path)


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    file = load.write(RAW, ANSWERS, tmp_path / "requests", {})
    with serving(http(doubled)) as port:
        pass
    with pytest.raises(NoLoad, match="takes no connection"):
        load.run(file, port, 1, 0.1)


def test_an_open_loop_counts_what_is_late_refused_and_not_sent(tmp_path: Path) -> None:
    file = load.write(RAW, ANSWERS, tmp_path / "requests", {})
    with serving(http(doubled, status=503)) as port:
        refused = load.run_open(file, port, 4, 0.3, 200, 1000, 0.0)
    with serving(http(doubled)) as port:
        good = load.run_open(file, port, 4, 0.3, 200, 1000, 0.0)
        late = load.run_open(file, port, 4, 0.3, 200, 0.000001, 0.0)
    assert refused.refused > 0
    assert refused.goodput == 0
    assert good.goodput > 0
    assert good.late == good.refused == good.errors == 0
    assert late.late > 0
    assert late.goodput == 0
