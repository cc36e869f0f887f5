"""An HTTP/2 connection (RFC 9113) whose streams are gRPC calls.

What arrives in one turn of the loop is read in one go, and answers of one turn leave in one write.
Everything that a client can make us keep or do has a bound: streams, headers, messages, frames that
carry nothing, and what we write to one who does not read.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, cast

from modelfleet_runtime.grpc.rpc import Bounds, Handler, Rpc
from modelfleet_runtime.http2 import frames
from modelfleet_runtime.http2.frames import Code
from modelfleet_runtime.http2.heads import BadBlock, Head, Heads
from modelfleet_runtime.http2.stream import WINDOW, Stream
from modelfleet_runtime.incoming import Bodies

STREAMS = 1024
"""Calls that may be open at once on one connection."""
HEAD_BYTES = 64 * 1024
"""Of a head, as HTTP/2 counts it: each header 32 more than its name and value."""
CONNECTION_WINDOW = 16 * (1 << 20)
"""Bytes of all streams that may be on their way to us."""
PREFACE_S = 30.0
"""For a client to say that it speaks HTTP/2."""
KEEP_ALIVE_S = 60.0
"""A silent client is asked after so long whether it is there, and has as long to answer."""
CALM_BURST = 10_000
CALM_RATE = 5_000
"""Frames (and so many more a second) that ask for nothing or take back what they asked."""
CLOSING_S = 10.0
"""For a client to take the last bytes; then the connection is cut."""
_WRITE_HIGH = 1 << 20
_MOST_UNREAD = 16 * (1 << 20)
"""Bytes that the transport may hold for a client that sends on and does not read."""

_unpack = frames.HEAD.unpack_from


class Opened(NamedTuple):
    """How a call is answered."""

    bounds: Bounds
    handler: Callable[[Rpc], Handler]


Open = Callable[[Head], Opened | bytes]
"""Finds what a head asks for; or the header block of an answer, where it asks for no call."""


@dataclass(slots=True)
class _Fault(Exception):
    """The connection cannot go on."""

    code: Code
    why: str


class Connection(asyncio.Protocol):
    def __init__(
        self,
        open_: Open,
        bodies: Bodies,
        connections: "set[Connection]",
        loop: asyncio.AbstractEventLoop,
        full: bool = False,
    ) -> None:
        """`full` says that there are as many connections as may: this one hears it and ends."""
        self._open = open_
        self._bodies = bodies
        self._all = connections
        self._full = full
        self.loop = loop
        self.transport: asyncio.Transport
        self.window = frames.FIRST_WINDOW
        self.peer_frame = frames.LEAST_FRAME
        self.write_paused = False
        self.gone = asyncio.Event()
        """Set when the connection is lost."""
        self.draining = False
        self._stopping = False
        """No more calls are taken."""
        self._peer_window = frames.FIRST_WINDOW
        self._heads = Heads(HEAD_BYTES)
        self._streams: dict[int, Stream] = {}
        self._waiting: dict[int, Stream] = {}
        """Streams that have something to send and no window."""
        self._last = 0
        """The highest stream that the client has opened."""
        self._rest = b""
        self._begun = False
        """The preface was there."""
        self._settled = False
        """The client's SETTINGS were there."""
        self._block: list[bytes] = []
        """Of a head that goes on in CONTINUATION frames."""
        self._block_of = 0
        self._block_flags = 0
        self._received = 0
        """Bytes of DATA since the last WINDOW_UPDATE of the connection."""
        self._out: list[bytes] = []
        self._out_data = 0
        """Bytes of DATA in it."""
        self._flushing = False
        self._reading = False
        self._calm = float(CALM_BURST)
        self._calm_at = 0.0
        self._heard = True
        """Whether anything came since the last look."""
        self._pinged = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    # -- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(_WRITE_HIGH)
        self._all.add(self)
        self._timer = self.loop.call_later(PREFACE_S, self._look)
        values = {
            frames.SETTING_MAX_CONCURRENT_STREAMS: STREAMS,
            frames.SETTING_INITIAL_WINDOW_SIZE: WINDOW,
            frames.SETTING_MAX_HEADER_LIST_SIZE: HEAD_BYTES,
        }
        more = CONNECTION_WINDOW - frames.FIRST_WINDOW
        self.transport.write(frames.settings(values) + frames.window_update(0, more))
        if self._full:
            self._end(Code.ENHANCE_YOUR_CALM, "the server has as many connections as may")

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._all.discard(self)
        self.gone.set()
        if self._timer is not None:
            self._timer.cancel()
        streams = list(self._streams.values())
        self._streams.clear()
        self._waiting.clear()
        self._out.clear()
        for stream in streams:
            stream.cancel()

    def eof_received(self) -> None:
        """A client that will send nothing more leaves with its calls."""

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        self._pump()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._heard = True
        if self.write_paused and self.transport.get_write_buffer_size() > _MOST_UNREAD:
            self._closing = True
            self.transport.abort()
            return
        self._reading = True
        try:
            self._read(self._rest + data if self._rest else data)
        except _Fault as fault:
            self._end(fault.code, fault.why)
        finally:
            self._reading = False
            self._flush()

    # -- frames in

    def _read(self, data: bytes) -> None:
        at = 0
        if not self._begun:
            at = len(frames.PREFACE)
            if data[:at] != frames.PREFACE[: len(data)]:
                raise _Fault(Code.PROTOCOL_ERROR, "this port speaks gRPC, and so HTTP/2")
            if len(data) < at:
                self._rest = data
                return
            self._begun = True
        end = len(data)
        opened: list[Stream] = []
        while end - at >= frames.HEAD_BYTES:
            high, low, kind, flags, number = _unpack(data, at)
            length = high << 8 | low
            if length > frames.LEAST_FRAME:
                raise _Fault(Code.FRAME_SIZE_ERROR, "a frame is larger than announced")
            begin = at + frames.HEAD_BYTES
            if begin + length > end:
                break
            at = begin + length
            payload = data[begin:at]
            number &= frames.LARGEST_WINDOW
            if kind == frames.DATA and not self._block_of and self._settled:
                self._data(number, flags, payload)
            elif kind == frames.HEADERS and not self._block_of and self._settled:
                self._headers(number, flags, payload, opened)
            else:
                self._other(kind, number, flags, payload, opened)
            if self._closing:
                return
        self._rest = data[at:] if at < end else b""
        for stream in opened:
            if not stream.remote_closed and not stream.ended:
                stream.handler.waits()

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._received += size
        if self._received > CONNECTION_WINDOW // 2:
            self._write(frames.window_update(0, self._received))
            self._received = 0
        if flags & frames.PADDED:
            payload = _unpadded(payload)
        stream = self._streams.get(number)
        end = bool(flags & frames.END_STREAM)
        if stream is None or stream.remote_closed:
            if number == 0 or number > self._last or number % 2 == 0:
                raise _Fault(Code.PROTOCOL_ERROR, "DATA of a stream that is not open")
            self._keep_calm()
            self.reset(number, Code.STREAM_CLOSED)
            return
        if not payload and not end:
            self._keep_calm()
        if stream.expected is not None:
            stream.expected -= len(payload)
            if stream.expected < 0 or (end and stream.expected):
                self.reset(number, Code.PROTOCOL_ERROR)
                return
        stream.data(payload, size, end)

    def _headers(self, number: int, flags: int, payload: bytes, opened: list[Stream]) -> None:
        if flags & frames.PADDED:
            payload = _unpadded(payload)
        if flags & frames.WITH_PRIORITY:
            if len(payload) < 5:
                raise _Fault(Code.FRAME_SIZE_ERROR, "HEADERS is too short for its priority")
            if _depends_on(payload) == number:
                raise _Fault(Code.PROTOCOL_ERROR, "a stream depends on itself")
            payload = payload[5:]
        if number % 2 == 0:
            raise _Fault(Code.PROTOCOL_ERROR, "HEADERS of a stream that is not a client's")
        if flags & frames.END_HEADERS:
            self._head(number, flags, payload, opened)
        else:
            self._block = [payload]
            self._block_of, self._block_flags = number, flags

    def _continuation(self, number: int, flags: int, payload: bytes, opened: list[Stream]) -> None:
        if number != self._block_of:
            raise _Fault(Code.PROTOCOL_ERROR, "a head is not continued at once")
        self._block.append(payload)
        if len(self._block) > 64 or sum(map(len, self._block)) > HEAD_BYTES:
            raise _Fault(Code.ENHANCE_YOUR_CALM, "a head is too large")
        if flags & frames.END_HEADERS:
            block, self._block = b"".join(self._block), []
            self._block_of = 0
            self._head(number, self._block_flags, block, opened)

    def _head(self, number: int, flags: int, block: bytes, opened: list[Stream]) -> None:
        try:
            head = self._heads.read(block)
        except BadBlock as error:
            raise _Fault(Code.COMPRESSION_ERROR, str(error)) from error
        end = bool(flags & frames.END_STREAM)
        if number <= self._last:
            self._trailers(number, end)
            return
        self._last = number
        if head.malformed:
            self._keep_calm()
            self.reset(number, Code.PROTOCOL_ERROR)
            return
        if len(self._streams) >= STREAMS or self._stopping:
            self._keep_calm()
            self.reset(number, Code.REFUSED_STREAM)
            return
        found = self._open(head)
        if isinstance(found, bytes):
            stream_flags = frames.END_HEADERS | frames.END_STREAM
            self._write(frames.frame(frames.HEADERS, stream_flags, number, found))
            if not end:
                self.reset(number, Code.NO_ERROR)
            return
        stream = Stream(self, number, head, self._peer_window, found.bounds, self._bodies)
        announced = head.headers.get(b"content-length")
        if announced is not None:
            if not announced.isdigit() or len(announced) > 18:
                self.reset(number, Code.PROTOCOL_ERROR)
                return
            stream.expected = int(announced)
        self._streams[number] = stream
        stream.handler = found.handler(stream)
        if end:
            if stream.expected:
                self.reset(number, Code.PROTOCOL_ERROR)
            else:
                stream.data(b"", 0, True)
        else:
            opened.append(stream)

    def _trailers(self, number: int, end: bool) -> None:
        stream = self._streams.get(number)
        if stream is None:
            raise _Fault(Code.STREAM_CLOSED, "HEADERS of a stream that is closed")
        if stream.remote_closed:
            self.reset(number, Code.STREAM_CLOSED)
        elif not end or stream.expected:
            self.reset(number, Code.PROTOCOL_ERROR)
        else:
            stream.data(b"", 0, True)

    def _other(
        self, kind: int, number: int, flags: int, payload: bytes, opened: list[Stream]
    ) -> None:
        if self._block_of and kind != frames.CONTINUATION:
            raise _Fault(Code.PROTOCOL_ERROR, "a head is not continued at once")
        if not self._settled and kind != frames.SETTINGS:
            raise _Fault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if kind == frames.WINDOW_UPDATE:
            self._window_update(number, payload)
        elif kind == frames.CONTINUATION:
            if not self._block_of:
                raise _Fault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
            self._continuation(number, flags, payload, opened)
        else:
            self._keep_calm()
            if kind == frames.SETTINGS:
                self._settings(number, flags, payload)
            elif kind == frames.PING:
                self._ping(number, flags, payload)
            elif kind == frames.RST_STREAM:
                self._rst_stream(number, payload)
            elif kind == frames.PRIORITY:
                self._priority(number, payload)
            elif kind == frames.GOAWAY:
                if number:
                    raise _Fault(Code.PROTOCOL_ERROR, "GOAWAY of a stream")
                self.draining = self._stopping = True
                self._close_when_idle()
            elif kind == frames.PUSH_PROMISE:
                raise _Fault(Code.PROTOCOL_ERROR, "clients push nothing")

    def _window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Fault(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE has not 4 bytes")
        more = frames.UINT32.unpack(payload)[0] & frames.LARGEST_WINDOW
        if number == 0:
            self.window += more
            if more == 0:
                raise _Fault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            if self.window > frames.LARGEST_WINDOW:
                raise _Fault(Code.FLOW_CONTROL_ERROR, "the connection's window is too large")
            self._pump()
            return
        stream = self._streams.get(number)
        if stream is None:
            self._check_begun(number, "WINDOW_UPDATE")
            return
        stream.window += more
        if more == 0:
            self.reset(number, Code.PROTOCOL_ERROR)
        elif stream.window > frames.LARGEST_WINDOW:
            self.reset(number, Code.FLOW_CONTROL_ERROR)
        elif self._waiting.pop(number, None) is not None:
            stream.pump()

    def _settings(self, number: int, flags: int, payload: bytes) -> None:
        if number:
            raise _Fault(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & frames.ACK:
            if payload:
                raise _Fault(Code.FRAME_SIZE_ERROR, "an acknowledgement has content")
            return
        if len(payload) % frames.SETTING.size:
            raise _Fault(Code.FRAME_SIZE_ERROR, "SETTINGS ends within one")
        self._settled = True
        for name, value in frames.SETTING.iter_unpack(payload):
            if name == frames.SETTING_INITIAL_WINDOW_SIZE:
                if value > frames.LARGEST_WINDOW:
                    raise _Fault(Code.FLOW_CONTROL_ERROR, "the initial window is too large")
                self._first_window(value)
            elif name == frames.SETTING_MAX_FRAME_SIZE:
                if not frames.LEAST_FRAME <= value <= frames.LARGEST_FRAME:
                    raise _Fault(Code.PROTOCOL_ERROR, "the largest frame is no size of one")
                self.peer_frame = min(value, WINDOW)
            elif name == frames.SETTING_ENABLE_PUSH and value > 1:
                raise _Fault(Code.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._pump()

    def _first_window(self, value: int) -> None:
        more = value - self._peer_window
        self._peer_window = value
        for stream in self._streams.values():
            stream.window += more
            if stream.window > frames.LARGEST_WINDOW:
                raise _Fault(Code.FLOW_CONTROL_ERROR, "a stream's window is too large")

    def _ping(self, number: int, flags: int, payload: bytes) -> None:
        if number:
            raise _Fault(Code.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise _Fault(Code.FRAME_SIZE_ERROR, "PING has not 8 bytes")
        if not flags & frames.ACK:
            self._write(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _rst_stream(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Fault(Code.FRAME_SIZE_ERROR, "RST_STREAM has not 4 bytes")
        self._check_begun(number, "RST_STREAM")
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._waiting.pop(number, None)
            stream.cancel()
            self._close_when_idle()

    def _priority(self, number: int, payload: bytes) -> None:
        """Checked, and not heeded: RFC 9113 has no use for it any more."""
        if number == 0:
            raise _Fault(Code.PROTOCOL_ERROR, "PRIORITY of no stream")
        if len(payload) != 5:
            self.reset(number, Code.FRAME_SIZE_ERROR)
        elif _depends_on(payload) == number:
            self.reset(number, Code.PROTOCOL_ERROR)

    def _check_begun(self, number: int, what: str) -> None:
        if number == 0 or number > self._last or number % 2 == 0:
            raise _Fault(Code.PROTOCOL_ERROR, f"{what} of a stream that was never open")

    def _keep_calm(self) -> None:
        """A frame that is cheap to send and brings nothing, but maybe an answer from us."""
        self._calm -= 1
        if self._calm < 0:
            now = time.monotonic()
            self._calm = min(CALM_BURST, (now - self._calm_at) * CALM_RATE) - 1
            self._calm_at = now
            if self._calm < 0:
                raise _Fault(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    # -- frames out

    def write(self, data: bytes) -> None:
        """Answers of one turn go out together, where several may be on their way."""
        if self._reading or self._flushing:
            self._out.append(data)
        elif len(self._streams) > 1:
            self._out.append(data)
            self._flushing = True
            self.loop.call_soon(self._flush_later)
        elif not self._closing:
            self.transport.write(data)

    _write = write

    def write_data(self, data: bytes) -> None:
        """A piece of an answer. When one turn brings much, it leaves at once: only then is it known
        whether the client takes it."""
        self.write(data)
        if self._out:
            self._out_data += len(data)
            if self._out_data > _WRITE_HIGH:
                self._flush()

    def _flush_later(self) -> None:
        self._flushing = False
        self._flush()

    def _flush(self) -> None:
        if self._out:
            out, self._out = self._out, []
            self._out_data = 0
            if not self.transport.is_closing():
                self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def wait_for_window(self, stream: Stream) -> None:
        self._waiting[stream.id] = stream

    def _pump(self) -> None:
        if self._waiting and self.window > 0:
            waiting, self._waiting = self._waiting, {}
            for stream in waiting.values():
                stream.pump()

    def reset(self, number: int, code: Code) -> None:
        self._write(frames.rst_stream(number, code))
        stream = self._streams.pop(number, None)
        if stream is not None:
            self._waiting.pop(number, None)
            stream.cancel()

    def forget(self, stream: Stream) -> None:
        self._streams.pop(stream.id, None)
        self._close_when_idle()

    # -- the end

    def drain(self) -> None:
        """Tell the client to take its next calls elsewhere; those that still come are answered."""
        if not self.draining and not self._closing:
            self.draining = True
            self._write(frames.goaway(frames.LARGEST_WINDOW, Code.NO_ERROR))

    def close(self) -> None:
        """Take no more calls, and go when those that are open are answered."""
        if self._closing:
            return
        self.draining = True
        self._stopping = True
        self._write(frames.goaway(self._last, Code.NO_ERROR))
        for stream in list(self._streams.values()):
            if not stream.ended:
                stream.handler.drained()
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._stopping and not self._streams and not self._closing:
            self._flush()
            self._shut()

    def _shut(self) -> None:
        """A transport closes when all is sent, and some clients never read."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(CLOSING_S, self.transport.abort)
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def _end(self, code: Code, why: str) -> None:
        self._out.append(frames.goaway(self._last, code, why))
        self._flush()
        self._shut()

    def _look(self) -> None:
        """Once a while: is the client there, and does it take its answers?"""
        if not self._begun or (not self._heard and self._pinged):
            self._closing = True
            self.transport.abort()
            return
        for stream in list(self._waiting.values()):
            if stream.stalled():
                self.reset(stream.id, Code.CANCEL)
        self._pinged = not self._heard
        if self._pinged:
            self._write(frames.frame(frames.PING, 0, 0, b"modelflt"))
        self._heard = False
        self._timer = self.loop.call_later(KEEP_ALIVE_S, self._look)


def _unpadded(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise _Fault(Code.PROTOCOL_ERROR, "a frame is shorter than its padding")
    return payload[1 : len(payload) - payload[0]]


def _depends_on(payload: bytes) -> int:
    number: int = frames.UINT32.unpack_from(payload)[0]
    return number & frames.LARGEST_WINDOW
