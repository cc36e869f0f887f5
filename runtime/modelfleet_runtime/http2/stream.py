"""One gRPC call on an HTTP/2 connection: frames to messages, and messages to frames."""

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from modelfleet_runtime.errors import BadInput, Refusal
from modelfleet_runtime.grpc.rpc import OVER, Bounds, Handler, too_large
from modelfleet_runtime.http2 import frames
from modelfleet_runtime.http2.frames import Code
from modelfleet_runtime.http2.heads import Head
from modelfleet_runtime.incoming import Bodies, Share
from modelfleet_runtime.protocols.grpc.statuses import Status, encoded, status_of

WINDOW = 1 << 20
"""Bytes that a client may send on one call before it hears that it may go on."""

_PREFIX = struct.Struct(">BI")
"""Before each message: whether it is compressed, and its length."""
_PREFIX_BYTES = 5
_OK_HEAD = b"\x88\x0f\x10\x10application/grpc"  # :status 200 and content-type
_REQUEST_ID = b"\x00\x0cx-request-id"
_STATUS_OK = frames.literal(b"grpc-status", b"0")
_END = frames.END_HEADERS | frames.END_STREAM
_HEADERS, _DATA = frames.HEADERS, frames.DATA
_pack = frames.HEAD.pack


class Carrier(Protocol):
    """The connection, as a stream sees it."""

    loop: asyncio.AbstractEventLoop
    window: int
    """Bytes that may be sent on the connection."""
    peer_frame: int
    """Bytes of payload that the client takes in one frame."""
    write_paused: bool

    def write(self, data: bytes) -> None: ...

    def write_data(self, data: bytes) -> None:
        """A DATA frame. `write_paused` may be set by it."""

    def reset(self, number: int, code: Code) -> None:
        """End a stream that cannot go on."""

    def wait_for_window(self, stream: "Stream") -> None:
        """Call `pump` when there is room again."""

    def forget(self, stream: "Stream") -> None:
        """It is over on both sides."""


class Stream:
    __slots__ = (
        "_bounds", "_buffer", "_carrier", "_got", "_granted", "_head_sent", "_left", "_out",
        "_reading", "_share", "_trailers", "ended", "expected", "handler", "head", "id",
        "remote_closed", "unsent", "window",
    )  # fmt: skip

    def __init__(
        self,
        carrier: Carrier,
        number: int,
        head: Head,
        window: int,
        bounds: Bounds,
        bodies: Bodies,
    ) -> None:
        self._carrier = carrier
        self.id = number
        self.head = head
        self.window = window
        """Bytes that may be sent on the stream."""
        self._bounds = bounds
        self._share = Share(bodies)
        """What the pieces of unfinished messages hold, and answers that have to wait."""
        self.handler: Handler
        self.remote_closed = False
        """The client sends nothing more."""
        self.ended = False
        """The answer is complete, or nobody waits for it; frames of it may still be unsent."""
        self.expected: int | None = None
        """Bytes that Content-Length announces and that have not come."""
        self.unsent = 0
        self._buffer: bytearray | None = None
        self._got = 0
        """Messages so far."""
        self._granted = 0
        """Bytes that arrived since the last WINDOW_UPDATE."""
        self._reading = False
        """Messages are being taken out of the buffer."""
        self._head_sent = False
        self._out: deque[memoryview] | None = None
        self._trailers: bytes | None = None
        self._left = -1
        """`unsent` at the last look of the connection."""

    @property
    def partial(self) -> bool:
        return self._buffer is not None

    # -- messages in

    def data(self, payload: bytes, size: int, end: bool) -> None:
        """A DATA frame: `size` is its length with padding."""
        if end:
            self.remote_closed = True
        if self.ended:
            return
        if self._buffer is None and not self.handler.full and len(payload) >= _PREFIX_BYTES:
            flag, length = _PREFIX.unpack_from(payload)
            if length + _PREFIX_BYTES == len(payload):
                self._take(flag, payload[_PREFIX_BYTES:])
                payload = b""
        if payload:
            if self._buffer is None:
                self._buffer = bytearray()
            self._buffer += payload
            self._read_buffer()
        if self.ended:
            return
        if end:
            self._half_closed()
            return
        self._granted += size
        if self._granted > WINDOW:
            self._carrier.reset(self.id, Code.FLOW_CONTROL_ERROR)
            return
        self._grant()
        if self._buffer is not None:
            self.handler.waits()

    def read_on(self) -> None:
        if self._buffer is None or self.ended or self._reading:
            return
        self._read_buffer()
        if not self.ended:
            if self.remote_closed:
                self._half_closed()
            else:
                self._grant()
                if self.partial and not self.handler.full:
                    self.handler.waits()

    def _read_buffer(self) -> None:
        buffer = self._buffer
        assert buffer is not None
        self._reading = True
        at = 0
        while len(buffer) - at >= _PREFIX_BYTES and not self.ended:
            flag, length = _PREFIX.unpack_from(buffer, at)
            if length > self._bounds.message_bytes:
                self._refuse(too_large(self._bounds))
                break
            stop = at + _PREFIX_BYTES + length
            if stop > len(buffer) or self.handler.full:
                break
            with memoryview(buffer) as view:
                message = bytes(view[at + _PREFIX_BYTES : stop])
            at = stop
            self._hold_unsent()
            self._take(flag, message)
        self._reading = False
        if self.ended or self._buffer is None:
            return
        del buffer[:at]
        try:
            self._share.hold(self.unsent + len(buffer))
        except Refusal as refusal:
            self._refuse(refusal)
            return
        if not buffer:
            self._buffer = None

    def _take(self, flag: int, message: bytes) -> None:
        bounds = self._bounds
        self._got += 1
        if flag > 1:
            self._refuse(BadInput("a message begins with neither 0 nor 1, as gRPC's messages do"))
        elif len(message) > bounds.message_bytes:
            self._refuse(too_large(self._bounds))
        elif bounds.messages is not None and self._got > bounds.messages:
            self._refuse(BadInput(f"the call has more than {bounds.messages} message"))
        else:
            self.handler.message(message, flag == 1)

    def _half_closed(self) -> None:
        if self._buffer is not None:
            if not self.handler.full:
                self._refuse(BadInput("the call ends within a message"))
        elif self._bounds.messages is not None and self._got < self._bounds.messages:
            self._refuse(BadInput("the call has no message"))
        else:
            self.handler.half_closed()

    def _grant(self) -> None:
        """Let the client send more, unless what it sent waits for its turn."""
        if self._granted >= WINDOW // 2 and not self.handler.full:
            self._carrier.write(frames.window_update(self.id, self._granted))
            self._granted = 0

    def _refuse(self, refusal: Refusal) -> None:
        self._buffer = None
        self._hold_unsent()
        self.handler.refuse(refusal)

    def cancel(self) -> None:
        """The client gave up, or its connection is gone."""
        if not self.ended:
            self._end()
            self.handler.cancelled()
        self.handler = OVER
        self._out, self.unsent = None, 0
        self._share.hold(0)

    # -- messages out

    def answer(
        self,
        message: bytes,
        tail: Sequence[memoryview],
        request_id: bytes,
        metadata: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        if self.ended:
            return
        carrier = self._carrier
        length = len(message) + _PREFIX_BYTES
        block = _head_block(request_id)
        if metadata:
            block += b"".join([frames.literal(name, value) for name, value in metadata])
        if (
            not tail
            and length <= carrier.window
            and length <= self.window
            and length <= carrier.peer_frame
            and not carrier.write_paused
        ):
            number = self.id
            carrier.window -= length
            carrier.write(
                b"".join(
                    (
                        _pack(0, len(block), _HEADERS, frames.END_HEADERS, number),
                        block,
                        _pack(length >> 8, length & 0xFF, _DATA, 0, number),
                        _PREFIX.pack(0, len(message)),
                        message,
                        _pack(0, len(_STATUS_OK), _HEADERS, _END, number),
                        _STATUS_OK,
                    )
                )
            )
            self._end()
            self._over()
            return
        length += sum(view.nbytes for view in tail)
        if not self._find_room(length):
            return
        self._send_head(block)
        self._queue(_PREFIX.pack(0, length - _PREFIX_BYTES) + message)
        for view in tail:
            self._queue(view)
        self._finish(_STATUS_OK)

    def send(self, message: bytes) -> None:
        if self.ended or not self._find_room(len(message) + _PREFIX_BYTES):
            return
        self._send_head(_OK_HEAD)
        self._queue(_PREFIX.pack(0, len(message)) + message)
        self.pump()

    def finish(
        self, status: Status, detail: str = "", trailers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        if self.ended:
            return
        parts = [frames.literal(b"grpc-status", b"%d" % status)]
        if detail:
            parts.append(frames.literal(b"grpc-message", encoded(detail)))
        parts += (frames.literal(name, value) for name, value in trailers)
        block = b"".join(parts)
        self._finish(block if self._head_sent else _OK_HEAD + block)

    def respond(self, block: bytes) -> None:
        """An answer that is no gRPC at all: this block, and no body."""
        self._finish(block)

    def _find_room(self, length: int) -> bool:
        """So many bytes can leave at once, or are held while they wait; else the call has ended."""
        carrier = self._carrier
        if not (self.unsent or carrier.write_paused) and length <= min(carrier.window, self.window):
            return True
        share = self._share
        try:  # one answer always fits, as one body does
            share.hold(min(share.most, self.unsent + self._buffered() + length))
        except Refusal as refusal:
            handler = self.handler
            self.finish(status_of(refusal), "the answer has to wait, and " + refusal.message)
            handler.cancelled()
            return False
        return True

    def _buffered(self) -> int:
        return 0 if self._buffer is None else len(self._buffer)

    def _hold_unsent(self, buffered: int = 0) -> None:
        """No more than that. There may be less room, where an answer that could leave at once had
        to stop halfway: it goes on all the same."""
        with contextlib.suppress(Refusal):
            self._share.hold(self.unsent + buffered)

    def _send_head(self, block: bytes) -> None:
        if not self._head_sent:
            self._head_sent = True
            self._carrier.write(
                frames.frame(frames.HEADERS, frames.END_HEADERS, self.id, block)
            )  # fmt: skip

    def _queue(self, data: bytes | memoryview) -> None:
        if self._out is None:
            self._out = deque()
        view = memoryview(data)
        self._out.append(view)
        self.unsent += view.nbytes

    def _finish(self, block: bytes) -> None:
        self._end()
        self._trailers = block
        self.pump()

    def _end(self) -> None:
        self.ended = True
        self._buffer = None
        if self.unsent:
            self._hold_unsent()
        else:
            self._share.hold(0)

    def stalled(self) -> bool:
        """Whether none of its answer has left since the last call of this."""
        left, self._left = self._left, self.unsent
        return self._left == left

    def pump(self) -> None:
        """Send what the windows allow."""
        carrier = self._carrier
        out = self._out
        while out:
            room = min(carrier.window, self.window, carrier.peer_frame, len(out[0]))
            if carrier.write_paused or room <= 0:
                self._hold_unsent(self._buffered())
                carrier.wait_for_window(self)
                return
            piece = out[0][:room]
            if room == len(out[0]):
                out.popleft()
            else:
                out[0] = out[0][room:]
            carrier.window -= room
            self.window -= room
            self.unsent -= room
            carrier.write_data(frames.frame(frames.DATA, 0, self.id, bytes(piece)))
        if self._share.held:
            self._hold_unsent(self._buffered())
        if self._trailers is None:
            self.read_on()  # answers that left make room for messages
        else:
            block, self._trailers = self._trailers, None
            carrier.write(frames.frame(frames.HEADERS, _END, self.id, block))
            self._over()

    def _over(self) -> None:
        carrier = self._carrier
        if not self.remote_closed:
            # What it still sends is of no use to anybody.
            carrier.write(frames.rst_stream(self.id, Code.NO_ERROR))
        self.handler = OVER
        carrier.forget(self)


def _head_block(request_id: bytes) -> bytes:
    length = len(request_id)
    if length < 127:
        return b"%b%b%c%b" % (_OK_HEAD, _REQUEST_ID, length, request_id)
    return _OK_HEAD + frames.literal(b"x-request-id", request_id)
