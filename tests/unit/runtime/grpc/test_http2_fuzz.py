"""Whatever bytes come: the connection answers or ends, keeps nothing, and the next is served."""

import asyncio
from typing import Any, cast

import hpack
from hypothesis import given, settings
from hypothesis import strategies as st

from modelfleet_runtime.http2 import frames
from modelfleet_runtime.http2.connection import Connection
from modelfleet_runtime.http2.frames import frame
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.grpc.serving import Running, array_of, request, running
from tests.unit.runtime.grpc.test_http2 import INFER, STREAM, prefixed

MESSAGE = prefixed(request().SerializeToString())
PATHS = (INFER, STREAM, b"/grpc.health.v1.Health/Watch", b"/nothing")


class Nowhere:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, data: bytes) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


def head(path: bytes) -> bytes:
    pairs = [
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"),
    ]  # fmt: skip
    return hpack.Encoder().encode(pairs)


NUMBERS = st.sampled_from([0, 1, 1, 1, 2, 3, 3, 5])
FRAMES = st.one_of(
    st.builds(
        lambda number, path, flags: frame(frames.HEADERS, flags, number, head(path)),
        NUMBERS, st.sampled_from(PATHS), st.sampled_from([0, 1, 4, 4, 4, 5, 5, 12, 36]),
    ),
    st.builds(
        lambda number, flags, data: frame(frames.DATA, flags, number, data),
        NUMBERS, st.sampled_from([0, 0, 1, 1, 8, 9]),
        st.one_of(st.just(MESSAGE), st.just(MESSAGE[:9]), st.just(MESSAGE * 3), st.binary()),
    ),
    st.builds(
        lambda number, more: frame(frames.WINDOW_UPDATE, 0, number, more.to_bytes(4, "big")),
        NUMBERS, st.sampled_from([0, 1, 1000, 2**31 - 1]),
    ),
    st.builds(
        lambda name, value: frames.settings({name: value}),
        st.integers(0, 8), st.sampled_from([0, 1, 16384, 65535, 2**31 - 1, 2**32 - 1]),
    ),
    st.builds(
        lambda number: frame(frames.RST_STREAM, 0, number, b"\0\0\0\x08"), NUMBERS
    ),
    st.builds(frame, st.integers(0, 11), st.integers(0, 255), NUMBERS, st.binary(max_size=40)),
)  # fmt: skip


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """What a client sends, in the pieces in which it arrives."""
    begun = frames.PREFACE + frames.settings({})
    data = bytearray(begun + b"".join(draw(st.lists(FRAMES, max_size=12))))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 3]))):
        at = draw(st.integers(len(begun), len(data)))
        data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=5)))
    return [bytes(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def play(up: Running, pieces: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    made = cast("Any", up.server)._connection(loop)
    assert isinstance(made, Connection)
    made.connection_made(cast("Any", Nowhere()))
    for piece in pieces:
        made.data_received(piece)  # raises nothing
        await asyncio.sleep(0)
    made.connection_lost(None)


@settings(max_examples=15, deadline=None)
@given(st.lists(streams(), min_size=1, max_size=10))
def test_whatever_comes_the_next_call_is_answered(clients: list[list[bytes]]) -> None:
    async def run() -> None:
        async with running(doubling()) as up:
            for pieces in clients:
                await play(up, pieces)
            async with asyncio.timeout(10):
                answer = await up.infer(request())
            assert array_of(answer) == [[2.0, 4.0]]
            assert up.service.bodies.held == 0
            assert up.life.in_flight == 0
            assert up.served.batcher.open == 0

    asyncio.run(run())
