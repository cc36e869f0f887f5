"""ModelInfer and ModelStreamInfer: each message is one `Inference`, as over HTTP."""

import asyncio
import time
from collections import deque
from functools import partial

from modelfleet_runtime import incoming
from modelfleet_runtime.errors import BadInput, DeadlinePassed, Refusal
from modelfleet_runtime.grpc import metadata
from modelfleet_runtime.grpc.patient import Patient
from modelfleet_runtime.grpc.rpc import Metadata, Rpc
from modelfleet_runtime.inference import Inference
from modelfleet_runtime.protocols.grpc import codec
from modelfleet_runtime.protocols.grpc.plans import joined, split
from modelfleet_runtime.protocols.grpc.statuses import OF_HTTP, Status
from modelfleet_runtime.protocols.grpc.wire import field
from modelfleet_runtime.protocols.message import Answer
from modelfleet_runtime.service import Route, Service

MOST_OPEN = 64
"""Requests of one stream that may wait for their answers; the next are not read."""
MOST_UNSENT = 1 << 20
"""Bytes of answers that a stream's client has not taken; then its requests are not read."""

_ERROR_MESSAGE = 1
_INFER_RESPONSE = 2


class Infer:
    """ModelInfer."""

    __slots__ = ("_inference", "_loop", "_message", "_rpc", "_timer", "full")

    def __init__(
        self,
        service: Service,
        route: Route,
        loop: asyncio.AbstractEventLoop,
        headers: Metadata,
        rpc: Rpc,
    ) -> None:
        self.full = False
        self._rpc = rpc
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._message: bytes | None = None
        self._inference = inference = Inference(service, route, "POST", headers, self._deliver)
        inference.begin()
        if metadata.TIMEOUT in headers and not inference.ended:
            _shorten(inference, headers)

    def waits(self) -> None:
        if self._timer is None and not self._inference.ended:
            left = self._inference.deadline - time.monotonic()
            self._timer = self._loop.call_later(max(0.001, left), self._late)

    def _late(self) -> None:
        self._inference.refuse(incoming.late())

    def message(self, message: bytes, compressed: bool) -> None:
        inference = self._inference
        if inference.ended:
            return
        _hold(inference, message, compressed)
        self._message = message

    def half_closed(self) -> None:
        if self._timer is not None:
            self._timer.cancel()  # what else takes too long is no message that did not arrive
            self._timer = None
        message, self._message = self._message, None
        if message is not None:
            self._inference.body(message)

    def refuse(self, refusal: Refusal) -> None:
        self._inference.refuse(refusal)

    def cancelled(self) -> None:
        self._inference.leave()

    def drained(self) -> None:
        """It ends by its deadline."""

    def _deliver(self, answer: Answer | None) -> None:
        self._message = None
        if self._timer is not None:
            self._timer.cancel()
        if answer is None:
            return
        request_id = self._inference.request_id
        if answer.status == 200:
            self._rpc.answer(answer.body, answer.tail, request_id, answer.headers)
            return
        trailers = [(incoming.REQUEST_ID_HEADER, request_id)]
        trailers += (pair for pair in answer.headers if pair[0] == b"retry-after")
        self._rpc.finish(
            OF_HTTP.get(answer.status, Status.INTERNAL), answer.body.decode(), trailers
        )


class StreamInfer(Patient):
    """ModelStreamInfer: one answer for each request, in their order.

    A request that fails is answered with its error, and the stream goes on.
    """

    __slots__ = (
        "_deadline",
        "_ended",
        "_half_closed",
        "_headers",
        "_limit",
        "_open",
        "_route",
        "_rpc",
    )

    def __init__(self, service: Service, route: Route, headers: Metadata, rpc: Rpc) -> None:
        super().__init__(service)
        self._route = route
        self._headers = headers
        self._rpc = rpc
        self._open: deque[_One] = deque()
        self._half_closed = False
        self._ended = False
        self._deadline: float | None = None
        """When the stream's time is over, and so that of each of its requests."""
        try:
            limit = metadata.time_limit(headers)
        except BadInput as refusal:
            self._limit: asyncio.TimerHandle | None = None
            self._finish(Status.INVALID_ARGUMENT, refusal.message)
            return
        self._limit = None
        if limit is not None:
            self._deadline = time.monotonic() + limit
            self._limit = asyncio.get_running_loop().call_later(limit, self._time_over)

    @property
    def full(self) -> bool:
        return len(self._open) >= MOST_OPEN or self._rpc.unsent > MOST_UNSENT

    def waits(self) -> None:
        """A stream may be silent for as long as it likes, but not within a message."""
        if self._rpc.partial and not (self.full or self._ended):
            self._wait()

    def message(self, message: bytes, compressed: bool) -> None:
        self._wait_no_longer()
        one = _One(split(message)[1])
        self._open.append(one)
        headers = {**self._headers}
        headers.pop(metadata.TIMEOUT, None)  # that is the stream's
        deliver = partial(self._answered, one)
        inference = Inference(self._service, self._route, "POST", headers, deliver)
        one.inference = inference
        inference.begin()
        if inference.ended:
            return
        if self._deadline is not None:
            inference.deadline = min(inference.deadline, self._deadline)
        if _hold(inference, message, compressed):
            inference.body(message)

    def half_closed(self) -> None:
        self._half_closed = True
        self._send()

    def refuse(self, refusal: Refusal) -> None:
        self._leave()
        self._finish(OF_HTTP.get(refusal.status, Status.INTERNAL), refusal.message)

    def cancelled(self) -> None:
        self._leave()
        self._end()

    def drained(self) -> None:
        self._half_closed = True
        if not self._open:
            self._finish(Status.UNAVAILABLE, "the server is shutting down")

    def _time_over(self) -> None:
        refusal = DeadlinePassed("the stream's time is over")
        self._finish(Status.DEADLINE_EXCEEDED, refusal.message)
        for inference in self._take_open():
            inference.run_out(refusal)

    def _leave(self) -> None:
        for inference in self._take_open():
            inference.leave()

    def _take_open(self) -> list[Inference]:
        waiting, self._open = self._open, deque()
        return [one.inference for one in waiting if one.inference is not None]

    def _answered(self, one: "_One", answer: Answer | None) -> None:
        if answer is not None:
            one.response = _response(answer, one.id)
            self._send()

    def _send(self) -> None:
        if self._ended:
            return
        waiting = self._open
        was_full = self.full
        while waiting and (response := waiting[0].response) is not None:
            waiting.popleft()
            self._rpc.send(response)
        if not waiting and self._half_closed:
            self._finish(Status.OK, "")
        elif was_full and not self.full:
            self._rpc.read_on()

    def _finish(self, status: Status, detail: str) -> None:
        self._end()
        self._rpc.finish(status, detail)

    def _end(self) -> None:
        self._ended = True
        self._wait_no_longer()
        if self._limit is not None:
            self._limit.cancel()


class _One:
    """A request of a stream."""

    __slots__ = ("id", "inference", "response")

    def __init__(self, request_id: bytes | None) -> None:
        self.id = request_id
        self.inference: Inference | None = None
        self.response: bytes | None = None


def _response(answer: Answer, request_id: bytes | None) -> bytes:
    if answer.status == 200:
        return field(_INFER_RESPONSE, joined(answer))
    # So that the client knows which of its requests has failed.
    which = b"" if request_id is None else field(codec.ID, request_id)
    return field(_ERROR_MESSAGE, answer.body) + field(_INFER_RESPONSE, which)


def _shorten(inference: Inference, headers: Metadata) -> None:
    try:
        limit = metadata.time_limit(headers)
    except BadInput as refusal:
        inference.refuse(refusal)
    else:
        if limit is not None:
            inference.deadline = min(inference.deadline, inference.arrived + limit)


def _hold(inference: Inference, message: bytes, compressed: bool) -> bool:
    """Whether there is room for it, and its encoding is one of ours; else it is refused."""
    try:
        inference.share.hold(len(message))
        if compressed:
            _set_encoding(inference)
    except Refusal as refusal:
        inference.refuse(refusal)
        return False
    return True


def _set_encoding(inference: Inference) -> None:
    encoding = inference.headers.get(metadata.ENCODING, b"identity")
    if encoding == b"identity":
        raise BadInput("the message is compressed, and grpc-encoding does not say how")
    inference.headers = {**inference.headers, b"content-encoding": encoding}
