"""Every wrong request is answered with a sentence, within a second, and the next good one as if
nothing was; by the connection itself and by the ASGI application, the same."""

import re
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest

from tests.unit.runtime.bad_requests import bodies, wire
from tests.unit.runtime.bad_requests.bodies import INFER, LENGTH, LIMIT, PREDICT, ROW, inputs
from tests.unit.runtime.processes import DIGITS, Runtime, check_refusal, client, metric, runtime

SECOND = 1.0
_OWN_EACH = {"date", "x-request-id"}


class Servers(NamedTuple):
    own: Runtime
    asgi: Runtime
    own_http: httpx.Client
    asgi_http: httpx.Client
    memory: float
    """Bytes of the first, before anything was asked."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both ways of answering, each in a process of its own."""
    flags = (str(DIGITS), "--name", "digits")
    folders = [tmp_path_factory.mktemp(name) for name in ("own", "asgi")]
    limit = str(LIMIT)
    with (
        runtime(folders[0], *flags, MODELFLEET_MAX_BODY_BYTES=limit) as own,
        runtime(
            folders[1], *flags, MODELFLEET_MAX_BODY_BYTES=limit, MODELFLEET_HTTP="asgi"
        ) as asgi,
        client(own.ready().url) as own_http,
        client(asgi.ready().url) as asgi_http,
    ):
        own_http.timeout = asgi_http.timeout = httpx.Timeout(SECOND)
        for http in (own_http, asgi_http):
            http.get("/docs", timeout=20)  # imports what answers pages
            check_good(http)
        page = own_http.get("/metrics").text
        yield Servers(own, asgi, own_http, asgi_http, _memory(page))


def _memory(page: str) -> float:
    found = re.search(r"^process_resident_memory_bytes (\S+)$", page, re.MULTILINE)
    assert found is not None
    return float(found[1])


def check_good(http: httpx.Client) -> None:
    good = http.post(PREDICT, content=inputs(ROW), headers={"x-request-id": "good"})
    assert good.status_code == 200, good.text
    assert good.headers["x-request-id"] == "good"


def ask(servers: Servers, method: str, path: str, **request: Any) -> httpx.Response:
    """The answer, which both give; and both answer a good request after it."""
    own = servers.own_http.request(method, path, **request)
    asgi = servers.asgi_http.request(method, path, **request)
    assert own.status_code == asgi.status_code
    assert own.content == asgi.content
    assert _kept(own.headers) == _kept(asgi.headers)
    check_good(servers.own_http)
    check_good(servers.asgi_http)
    return own


def _kept(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _OWN_EACH}


@pytest.mark.parametrize(
    ("path", "body", "words"), [one[1:] for one in bodies.SIMPLE], ids=[o[0] for o in bodies.SIMPLE]
)
def test_simple(servers: Servers, path: str, body: bytes, words: str) -> None:
    check_refusal(ask(servers, "POST", path, content=body), 400, words)


@pytest.mark.parametrize(
    ("body", "words"), [one[1:] for one in bodies.PROTOCOL], ids=[o[0] for o in bodies.PROTOCOL]
)
def test_protocol(servers: Servers, body: bytes, words: str) -> None:
    check_refusal(ask(servers, "POST", INFER, content=body), 400, words)


@pytest.mark.parametrize(
    ("length", "body", "words"),
    [one[1:] for one in bodies.BINARY],
    ids=[o[0] for o in bodies.BINARY],
)
def test_binary(servers: Servers, length: str, body: bytes, words: str) -> None:
    check_refusal(ask(servers, "POST", INFER, content=body, headers={LENGTH: length}), 400, words)


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "words"),
    [one[1:] for one in bodies.HEADERS],
    ids=[one[0] for one in bodies.HEADERS],
)
def test_headers(
    servers: Servers,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    words: str,
) -> None:
    answer = ask(servers, method, path, headers=headers, content=body)
    check_refusal(answer, status, words)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [row[1:] for rows in wire.ALL.values() for row in rows],
    ids=[f"{kind}: {row[0]}" for kind, rows in wire.ALL.items() for row in rows],
)
def test_wire(servers: Servers, sent: bytes, status: int, words: str) -> None:
    answers = [exchange(server, sent) for server in (servers.own, servers.asgi)]
    for answer in answers:
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:300]
        assert words.encode() in answer
        assert b"Traceback" not in answer
        assert b"site-packages" not in answer
    own, asgi = (re.sub(rb"\r\n(date|x-request-id): [^\r]*", b"", answer) for answer in answers)
    assert own == asgi
    check_good(servers.own_http)
    check_good(servers.asgi_http)


def exchange(server: Runtime, sent: bytes) -> bytes:
    """Raw bytes on a connection of their own, and the answer to them; then we are done sending."""
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), SECOND) as sock:
        sock.settimeout(SECOND)
        received = b""
        try:
            sock.sendall(sent)
            while not _whole(received) and (piece := sock.recv(65536)):
                received += piece
            if b"\r\nconnection: close\r\n" in received:
                assert not sock.recv(1), "it said that it closes"
            elif not re.match(rb"HTTP/1.1 4(08|13) ", received):  # else its body may still come
                check_kept(sock, received)
        except ConnectionError:
            pass  # it was closed while we were still sending; what was answered is here
    return received


def check_kept(sock: socket.socket, received: bytes) -> None:
    """The same connection goes on with a good request."""
    body = inputs(ROW)
    sock.sendall(
        b"POST /predict HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )
    assert sock.recv(65536).startswith(b"HTTP/1.1 200 "), received


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"content-length: (\d+)", head)
    return length is not None and len(body) >= int(length[1])


def test_the_tables_are_as_long_as_they_are_said_to_be() -> None:
    rows = len(bodies.SIMPLE) + len(bodies.PROTOCOL) + len(bodies.BINARY) + len(bodies.HEADERS)
    assert rows + sum(map(len, wire.ALL.values())) >= 220


def test_nothing_of_it_is_held_afterwards(servers: Servers) -> None:
    """Last but one: no request, no body, no connection but ours, and the memory is back."""
    page = servers.own_http.get("/metrics").text
    assert metric(page, "inference_in_progress") == 0
    assert metric(page, "inference_queue_requests") == 0
    assert metric(page, "inference_queue_bytes") == 0
    assert metric(page, "inference_connections") == 1
    assert _memory(page) < servers.memory + 32 * 1024 * 1024


def test_none_of_it_was_held_for_a_fault_of_the_server(servers: Servers) -> None:
    for server in (servers.own, servers.asgi):
        assert "trace" not in server.log
        assert '"level": "error"' not in server.log
