"""The transport's side of a request: what its headers ask of the server, and its whole body.

Everything here is told apart before a protocol sees the request, and the same for all of them.
"""

import asyncio
import itertools
import os
import re
import time
import zlib
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from modelfleet_runtime.errors import (
    BadInput,
    BodyTimeout,
    ClientLeft,
    Limit,
    QueueFull,
    TooLarge,
    UnsupportedEncoding,
)
from modelfleet_runtime.limits import RequestLimits

Receive = Callable[[], Coroutine[Any, Any, Any]]

TIMEOUT_HEADER = b"x-request-timeout-ms"
REQUEST_ID_HEADER = b"x-request-id"

_ID = re.compile(rb"[\x21-\x7e]+")
_id_prefix = os.urandom(6).hex()
_id_count = itertools.count(1)


class Bodies:
    """What all bodies hold together, against its bound."""

    def __init__(self, limits: RequestLimits) -> None:
        self.held = 0
        self.most = max(limits.bodies_bytes, limits.body_bytes)


class Share:
    """What one request holds of it. Give it back with `hold(0)`."""

    __slots__ = ("_all", "_held")

    def __init__(self, bodies: Bodies) -> None:
        self._all = bodies
        self._held = 0

    def hold(self, size: int) -> None:
        """So many bytes from now on. Raises `QueueFull`, and then it holds what it held."""
        together = self._all.held - self._held + size
        if together > self._all.most and size > self._held:
            raise QueueFull(
                f"the bodies of all requests hold {self._all.held} bytes already", Limit.BODIES
            )
        self._all.held = together
        self._held = size


def request_id(headers: dict[bytes, bytes], limits: RequestLimits) -> bytes:
    """The client's, if it is one to print; else one of ours."""
    given = headers.get(REQUEST_ID_HEADER)
    if given is not None and len(given) <= limits.request_id_chars and _ID.fullmatch(given):
        return given
    return f"{_id_prefix}-{next(_id_count):x}".encode()


def deadline(headers: dict[bytes, bytes], arrived: float, timeout: float) -> float:
    """When the request's time is over: after `timeout` seconds, or sooner by its own header.

    Raises `BadInput` for a header that is not a number of milliseconds above 0.
    """
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        return arrived + timeout
    if not given.isdigit() or len(given) > 12 or int(given) == 0:
        raise BadInput("x-request-timeout-ms is not a whole number of milliseconds above 0")
    return arrived + min(timeout, int(given) / 1000)


def ends_its_connection(headers: dict[bytes, bytes]) -> bool:
    """Whether what follows this request's head on its connection cannot be told apart once it was
    refused for what the head says: a body that may come or not, or has no known end."""
    return b"expect" in headers or _undone(headers)


def _undone(headers: dict[bytes, bytes]) -> bool:
    return headers.get(b"transfer-encoding", b"chunked").strip().lower() != b"chunked"


def check_framing(headers: dict[bytes, bytes], limits: RequestLimits) -> None:
    """What the head says of the body, before a byte of it is read.

    Raises `TooLarge` or `UnsupportedEncoding` (a Transfer-Encoding that would have to be undone).
    A request that asks for an upgrade does not come here: the connection refuses it.
    """
    if _undone(headers):
        raise UnsupportedEncoding("the body's Transfer-Encoding is not chunked alone")
    announced = headers.get(b"content-length")
    if announced is not None and length(announced) > limits.body_bytes:
        raise too_large(limits)


async def body(receive: Receive, limits: RequestLimits, until: float, share: Share) -> bytes:
    """The whole body out of ASGI, as it came. It is held in `share`, also when this raises.

    Raises `TooLarge`, `BodyTimeout`, `ClientLeft` or `QueueFull`.
    """
    message = await _first(receive, until)
    if message["type"] == "http.disconnect":
        raise ClientLeft("the client left")
    data: bytes = message.get("body", b"")
    if message.get("more_body"):
        return await _rest(data, receive, limits, until, share)
    if len(data) > limits.body_bytes:
        raise too_large(limits)
    share.hold(len(data))
    return data


def length(announced: bytes) -> int:
    """Of a Content-Length that the parser took. Python reads no number of thousands of digits."""
    return int(announced if len(announced) < 21 else announced.lstrip(b"0")[:21] or b"0")


async def _first(receive: Receive, until: float) -> Any:
    """A body usually came with its headers: then there is nothing to wait for, and no timer."""
    steps = receive().__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        return done.value
    try:
        async with asyncio.timeout(max(0.001, until - time.monotonic())):
            return await _Begun(steps, waits_for)
    except TimeoutError as error:
        raise late() from error


class _Begun:
    """An awaitable whose first step was already taken, and yielded `waits_for`."""

    def __init__(self, steps: Generator[Any, Any, Any], waits_for: Any) -> None:
        self._steps = steps
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for = self._waits_for
        while True:
            try:
                given = yield waits_for
            except BaseException as error:
                step = partial(self._steps.throw, error)
            else:
                step = partial(self._steps.send, given)
            try:
                waits_for = step()
            except StopIteration as done:
                return done.value


async def _rest(
    data: bytes, receive: Receive, limits: RequestLimits, until: float, share: Share
) -> bytes:
    whole = bytearray(data)
    try:
        async with asyncio.timeout(max(0.001, until - time.monotonic())):
            while True:
                if len(whole) > limits.body_bytes:
                    raise too_large(limits)
                share.hold(len(whole))
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft("the client left")
                whole += message.get("body", b"")
                if not message.get("more_body"):
                    break
    except TimeoutError as error:
        raise late() from error
    if len(whole) > limits.body_bytes:
        raise too_large(limits)
    share.hold(len(whole))
    return bytes(whole)


def decompress(data: bytes, encoding: bytes, limits: RequestLimits) -> bytes:
    """gzip and deflate, never into more than the limit.

    Raises `UnsupportedEncoding`, `BadInput` or `TooLarge`.
    """
    window = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}.get(encoding.strip().lower())
    if window is None:
        raise UnsupportedEncoding("the body's Content-Encoding is neither gzip nor deflate")
    inflater = zlib.decompressobj(window)
    most = max(limits.inflate_free_bytes, limits.inflate_ratio * len(data))
    try:
        plain = inflater.decompress(data, min(most, limits.body_bytes) + 1)
    except zlib.error as error:
        raise BadInput("the body is not what its Content-Encoding says") from error
    if len(plain) > limits.body_bytes:
        raise too_large(limits)
    if len(plain) > most:
        raise TooLarge(
            f"the body becomes more than {limits.inflate_ratio} times as large", Limit.DECOMPRESSION
        )
    if not inflater.eof or inflater.unused_data:
        raise BadInput("the compressed body is cut off, or something follows it")
    return plain


def too_large(limits: RequestLimits) -> TooLarge:
    return TooLarge(f"the body is larger than {limits.body_bytes} bytes")


def late() -> BodyTimeout:
    return BodyTimeout("the body did not arrive within the request's time")
