"""The hot routes, answered where their bytes arrive; everything else is handed to ASGI unchanged.

Between a request's last byte and the batcher there is no task, no future and no framework. What
arrives in one turn of the loop is gathered into one batch, and each answer is one write.
"""

import asyncio
from typing import Any, NamedTuple

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from modelfleet_runtime.http.bounds import BoundedConnection
from modelfleet_runtime.http.exchange import Exchange
from modelfleet_runtime.http.paced import HEAD_ENDS, MOST_WAITING
from modelfleet_runtime.incoming import REQUEST_ID_HEADER
from modelfleet_runtime.service import Route, Service

LONGEST_KNOWN = 2048
"""Bytes of a head that is recognised when it comes again."""


class _Known(NamedTuple):
    head: bytes
    length: int
    """Bytes of the head and its body."""
    route: Route
    headers: dict[bytes, bytes]


class Connection(BoundedConnection):
    def __init__(
        self,
        service: Service,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(service, config, server_state, app_state, _loop)
        self._targets = service.targets
        self._known: _Known | None = None
        self._begun = 0
        """Messages in the piece that is being parsed."""
        self._running: Exchange | None = None
        """The one whose turn it is, until its answer is written."""
        self._fresh: Exchange | None = None
        """The one whose head is in the piece that is being parsed, and whose turn it is."""
        self._unsent = False
        """That answer waits until the client takes the ones before."""
        self._starting = False
        """Further up the stack a loop starts what waits."""

    # -- requests in

    def data_received(self, data: bytes) -> None:
        known = self._known
        if (
            known is not None
            and len(data) == known.length
            and data.startswith(known.head)
            and self.between_messages()
        ):
            self._begin_known(known, data)
            return
        super().data_received(data)

    def read(self, data: bytes, idle: bool) -> None:
        self._begun = 0
        super().read(data, idle)
        # Not sooner: what follows the head in the same piece may be no HTTP.
        fresh, self._fresh = self._fresh, None
        if fresh is not None and not fresh.disconnected:
            fresh.start()
        if idle and self._begun == 1 and isinstance(self.cycle, Exchange):
            self._know(self.cycle, data)

    def body_left(self) -> int:
        cycle = self.cycle
        return cycle.body_left if isinstance(cycle, Exchange) and not self._in_head else 0

    def hold(self, data: bytes) -> None:
        self._known = None  # one that comes must not overtake what is held
        super().hold(data)

    def _begin_known(self, known: "_Known", data: bytes) -> None:
        exchange = Exchange(self, self._service, known.route, "POST", known.headers, True, False)
        self.cycle = self._running = exchange
        exchange.start_whole(data[len(known.head) :])

    def _know(self, exchange: Exchange, data: bytes) -> None:
        """A client sends the same head with every request of a connection. One that came with its
        body, and with nothing else, in one piece, need not be parsed when it comes again."""
        self._known = None
        end = data.find(HEAD_ENDS, 0, LONGEST_KNOWN) + len(HEAD_ENDS)
        headers = exchange.inference.headers
        if (
            end >= len(HEAD_ENDS)
            and not exchange.more_body
            and exchange.keep_alive
            and exchange.inference.method == "POST"
            and data.startswith(b"POST ")
            and headers.get(b"content-length") == b"%d" % (len(data) - end)
            and b"expect" not in headers
        ):
            self._known = _Known(data[:end], len(data), exchange.inference.route, headers)

    def on_message_begin(self) -> None:
        self._begun += 1
        self._in_head = True
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        self.head_is_complete()
        if self.parser.should_upgrade():
            self._make_scope()
            self.refuse_upgrade()
            return
        route = self._targets.get(self.url)
        if route is None:
            route = self._service.route_of_target(self.url)
        if route is None:
            self._make_scope()
            HttpToolsProtocol.on_headers_complete(self)
        else:
            self._begin(route)

    def _make_scope(self) -> None:
        """What goes to ASGI has one; the inference routes need none."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)

    def _begin(self, route: Route) -> None:
        parser = self.parser
        exchange = Exchange(
            self,
            self._service,
            route,
            parser.get_method().decode("ascii"),
            dict(self.headers),
            parser.get_http_version() != "1.0" and parser.should_keep_alive(),
            self.expect_100_continue,
        )
        before = self.cycle
        self.cycle = exchange
        if before is None or before.response_complete:
            self._running = self._fresh = exchange
        else:
            self.pipeline.appendleft((self.cycle, self.app))
            if len(self.pipeline) >= MOST_WAITING:
                # Not sooner: who does not read does not notice that the client hung up either.
                self.flow.pause_reading()

    def _start_asgi_task(self, cycle: Any, app: ASGI3Application) -> None:
        if not isinstance(cycle, Exchange):
            super()._start_asgi_task(cycle, app)
            return
        self._running = following = cycle
        if self._starting:
            return
        # A refused request is answered at once, which starts the next: a client that sends a
        # thousand of them in one piece must not make the stack as deep.
        self._starting = True
        try:
            while True:
                following.start()
                if self._running is None or self._running is following:
                    break
                following = self._running
        finally:
            self._starting = False

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if isinstance(cycle, Exchange):
            self._trailer_bytes = None
            cycle.add(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if isinstance(cycle, Exchange):
            self.body_is_complete()
            cycle.end_of_body()
        else:
            super().on_message_complete()

    def spoil(self) -> None:
        if isinstance(self.cycle, Exchange):
            if self._running is self.cycle:
                self._running = None
            self.cycle.spoil()
        else:
            super().spoil()

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in (self._running, *(cycle for cycle, _ in self.pipeline)):
            if isinstance(cycle, Exchange):
                cycle.lost()
        self.pipeline.clear()
        if isinstance(self.cycle, Exchange):
            self.cycle = None  # it was told
        super().connection_lost(exc)

    # -- answers out

    def write_continue(self) -> None:
        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def write_answer(self, exchange: Exchange) -> None:
        if self.flow.write_paused:
            self._unsent = True
        else:
            self._write(exchange)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unsent and self._running is not None:
            self._unsent = False
            self._write(self._running)

    def _write(self, exchange: Exchange) -> None:
        self._running = None
        answer = exchange.answer
        assert answer is not None
        if self._service.life.draining and not self.more_follow():
            exchange.keep_alive = False
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in answer.headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(
            b"content-length: %d\r\n%s: %s\r\n%s\r\n"
            % (
                answer.length,
                REQUEST_ID_HEADER,
                exchange.inference.request_id,
                b"" if exchange.keep_alive else b"connection: close\r\n",
            )
        )
        if not exchange.head_only:
            parts.append(answer.body)
        transport = self.transport
        if not transport.is_closing():
            transport.write(b"".join(parts))
            if answer.tail and not exchange.head_only:
                transport.writelines(answer.tail)
        exchange.response_complete = True
        if not exchange.keep_alive:
            transport.close()
        self.on_response_complete()
