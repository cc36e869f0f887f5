"""Open-loop load: requests leave when they are due, whatever comes back.

Nine in ten go over connections that stay open, in turn, and the rest over new ones, because the
two lose requests in different ways. Nothing is ever sent twice: a caller that tries again would
hide what is measured.
"""

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import h11

from benchmarks.rollout.ledger import Ledger

PORT: Final = 80
"""Of the stable Service."""
CONNECTIONS: Final = 32
"""How many stay open."""
NEW_EACH: Final = 10
"""Each tenth request has a connection of its own."""
PATIENCE_S: Final = 40.0
"""Above what the router and the model wait: a request that takes longer hangs."""
FAILED: Final = "the model's predict failed"
"""How the runtime answers when the model's own code raises."""


class Load:
    """`with Load(address, model, rate) as load:` sends while the block runs, at most `seconds`."""

    def __init__(self, address: str, model: str, rate: float, seconds: float = 300) -> None:
        self.ledger = Ledger()
        self._host, self._path = address, f"/v2/models/{model}/infer"
        self._gap, self._most = 1 / rate, round(rate * seconds)
        self._idle: deque[_Connection] = deque()
        self._kept = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self.send()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=PATIENCE_S + 10)
        if self._thread.is_alive():
            raise TimeoutError("the load did not end")

    async def send(self) -> None:
        """Everything, in this thread's loop; `with` does it in one of its own."""
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not self._stop.is_set() and self.ledger.sent < self._most:
            task = asyncio.create_task(self._ask(self.ledger.send(), due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            due += self._gap
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*under_way)
        for connection in self._idle:
            connection.close()
        await asyncio.sleep(0)  # a turn in which they are closed

    async def _ask(self, number: int, due: float) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                answer = await self._exchange(number)
        except TimeoutError:
            self.ledger.lost(number, f"no answer in {PATIENCE_S:g} s", time.monotonic() - due)
        except (OSError, EOFError, h11.ProtocolError) as error:
            self.ledger.lost(number, _short(error), time.monotonic() - due)
        else:
            self._enter(number, answer, time.monotonic() - due)

    def _enter(self, number: int, answer: "_Answer", seconds: float) -> None:
        label = answer.label_for(number)
        if label is not None:
            self.ledger.answered(number, label, seconds)
        elif answer.status in (429, 503) and b"retry-after" in answer.headers:
            self.ledger.refused(number, seconds)
        elif answer.status == 500 and FAILED in answer.text:
            self.ledger.failed(number, seconds)
        else:
            self.ledger.lost(number, f"{answer.status} {answer.text[:120]}", seconds)

    async def _exchange(self, number: int) -> "_Answer":
        once = number % NEW_EACH == 0
        connection = None if once else self._from_idle()
        if connection is None:
            self._kept += not once
            try:
                connection = await _Connection.open(self._host)
            except BaseException:
                self._kept -= not once
                raise
        stays = False
        try:
            answer = await connection.ask(self._path, number, once=once)
            stays = not once and connection.again()
        finally:
            if not stays:
                connection.close()
                self._kept -= not once
        if stays:
            self._idle.append(connection)
        return answer

    def _from_idle(self) -> "_Connection | None":
        """The one that has waited longest; None: there should be another, or none is free."""
        if self._kept < CONNECTIONS:
            return None
        while self._idle:
            connection = self._idle.popleft()
            if not connection.ended:
                return connection
            connection.close()
            self._kept -= 1
        return None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[bytes, bytes]
    text: str

    def label_for(self, number: int) -> int | None:
        """Which version has answered that very request; None: none has, or wrongly."""
        if self.status != 200:
            return None
        try:
            said: dict[str, Any] = json.loads(self.text)
            product, label = said["outputs"][0]["data"]
        except (ValueError, KeyError, IndexError, TypeError):
            return None
        right = said.get("id") == str(number) and product == number * label
        return int(label) if right else None


class _Connection:
    """One request at a time."""

    def __init__(
        self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host, self._reader, self._writer = host, reader, writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, host: str) -> "_Connection":
        return cls(host, *await asyncio.open_connection(host, PORT))

    @property
    def ended(self) -> bool:
        """The other side has closed it while nobody used it."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def ask(self, path: str, number: int, *, once: bool) -> _Answer:
        tensor = {"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [number]}
        body = json.dumps({"id": str(number), "inputs": [tensor]}).encode()
        headers = [
            ("host", self._host),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            *([("connection", "close")] if once else []),
        ]
        request = h11.Request(method="POST", target=path, headers=headers)
        sent = [self._http.send(e) for e in (request, h11.Data(data=body), h11.EndOfMessage())]
        self._writer.write(b"".join(part for part in sent if part))
        status, content = 0, b""
        told: dict[bytes, bytes] = {}
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status, told = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
        return _Answer(status, told, content.decode(errors="replace"))

    def again(self) -> bool:
        """Whether it takes another request."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def close(self) -> None:
        self._writer.close()

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            read = await self._reader.read(1 << 16)
            if not read and self._http.their_state is h11.SEND_RESPONSE:
                raise EOFError("the connection was closed before an answer")
            self._http.receive_data(read)
        if isinstance(event, h11.ConnectionClosed):
            raise EOFError("the connection was closed before an answer")
        return event


def _short(error: BaseException) -> str:
    if isinstance(error, EOFError | h11.ProtocolError):
        return str(error)
    return f"{type(error).__name__}: {getattr(error, 'strerror', '') or error}"
