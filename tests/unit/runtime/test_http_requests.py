"""How a request may come: in which pieces, framings, forms of its address; and what is said to a
client that asks before it sends.

Each holds for the connection's own answers and for the ASGI application's.
"""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio

from modelfleet_runtime.http import bounds
from modelfleet_runtime.limits import RequestLimits
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.serving import Running, running
from tests.unit.runtime.sockets import get, predict, wire

PAGE = "/v2/models/m"
PROBE = "/health/live"
BODY = orjson.dumps({"inputs": [1, 0, 0, 0]})
EXPECT = "expect: 100-continue"
LENGTH = f"content-length: {len(BODY)}"


pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 400_000


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["own", "asgi"])
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    limits = RequestLimits(body_bytes=LIMIT)
    async with running(doubling(), transport=request.param, limits=limits) as server:
        yield server


def post(*lines: str, path: str = "/predict", body: bytes = b"") -> bytes:
    return get(path, *lines, method="POST") + body


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


CHUNKED = post("transfer-encoding: chunked")
LAST = b"0\r\n\r\n"


# -- in pieces


@pytest.mark.parametrize(
    "sent",
    [
        predict(1),
        predict(1, "x-request-id: a", path="/predict?a=b"),
        CHUNKED + chunk(BODY[:5]) + chunk(BODY[5:]) + LAST,
        b"\r\n\r\n" + predict(1),
    ],
    ids=["length", "query", "chunks", "line breaks before it"],
)
async def test_a_request_may_come_byte_by_byte(at: Running, sent: bytes) -> None:
    async with wire(at) as to:
        for _ in range(2):
            await to.send(*(sent[n : n + 1] for n in range(len(sent))))
            assert await to.outputs() == [2, 0]


async def test_it_may_be_cut_in_two_anywhere_with_another_behind_it(at: Running) -> None:
    sent = predict(1) + predict(2)
    async with wire(at) as to:
        for cut in range(1, len(sent), 7):
            await to.send(sent[:cut], sent[cut:], pause=0.001)
            assert [await to.outputs(), await to.outputs()] == [[2, 0], [4, 0]], cut


@pytest.mark.parametrize("size", [53, 700, 4096, 1 << 20])
async def test_a_long_stream_of_all_kinds_may_be_cut_anywhere(at: Running, size: int) -> None:
    """More than may wait, with bodies that look like requests."""
    heads = predict(8) * 9
    kinds = [
        (predict(1), 200),
        (post(f"content-length: {len(BODY) + 3000}", body=BODY + b" " * 3000), 200),
        (post(f"content-length: {len(heads)}", path="/v2/models/x/infer", body=heads), 404),
        (CHUNKED + chunk(BODY[:4]) + chunk(BODY[4:]) + LAST, 200),
        (post("transfer-encoding: chunked", path="/nothing", body=chunk(heads) + LAST), 404),
        (post(f"content-length: {len(heads)}", path=PROBE, body=heads), 405),
        (get(PROBE), 200),
    ]
    stream = b"".join(sent for sent, _ in kinds) * 12
    async with wire(at) as to:
        pieces = [stream[n : n + size] for n in range(0, len(stream), size)]
        sending = asyncio.create_task(to.send(*pieces))
        statuses = [(await to.reply()).status for _ in range(12 * len(kinds))]
        assert statuses == [status for _, status in kinds] * 12
        await sending


# -- chunks


@pytest.mark.parametrize(
    "framed",
    [
        chunk(BODY) + LAST,
        b"".join(chunk(BODY[n : n + 1]) for n in range(len(BODY))) + LAST,
        chunk(BODY, b";name=value") + LAST,
        chunk(BODY) + b"000\r\n\r\n",
        b"0000" + chunk(BODY) + LAST,
        chunk(BODY) + b"0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n",
    ],
    ids=["one", "many", "an extension", "a long zero", "leading zeros", "trailers"],
)
async def test_a_body_in_chunks(at: Running, framed: bytes) -> None:
    async with wire(at) as to:
        await to.send(CHUNKED + framed + predict(3))
        assert await to.outputs() == [2, 0]
        assert await to.outputs() == [6, 0]


async def test_a_trailer_changes_nothing_of_its_request(at: Running) -> None:
    trailers = b"0\r\nx-request-timeout-ms: 0\r\nx-request-id: late\r\n\r\n"
    async with wire(at) as to:
        await to.send(post("transfer-encoding: chunked", "x-request-id: first"))
        await to.send(chunk(BODY) + trailers + predict(3))
        reply = await to.reply()
        assert (reply.status, reply.headers["x-request-id"]) == (200, "first")
        assert await to.outputs() == [6, 0]


async def test_trailers_have_the_bound_of_a_head(at: Running) -> None:
    """The parser keeps a trailer until it is complete."""
    async with wire(at) as to:
        await to.send(CHUNKED + chunk(BODY) + b"0\r\nx: ")
        await to.send(*[b"y" * 10_000] * 33, pause=0.001)
        reply = await to.reply()
        assert (reply.status, reply.closes) == (400, True)
        assert await to.ended()


# -- a request within another


SPOILED_HEADS = [
    post("transfer-encoding: chunked", LENGTH, body=LAST + predict(7)),
    post(LENGTH, "transfer-encoding: chunked", body=LAST + predict(7)),
    post("content-length: 0", LENGTH, body=predict(7)),
    post("content-length: 0, 5", body=predict(7)),
    post("transfer-encoding : chunked", LENGTH, body=BODY + predict(7)),
    post("x: 1\n\rtransfer-encoding: chunked", LENGTH, body=LAST + predict(7)),
]
SPOILED_BODIES = [
    CHUNKED + b"0_0\r\n\r\n" + predict(7),
    CHUNKED + b"5;\nabcde\r\n0\r\n\r\n" + predict(7),
    CHUNKED + b"2\r\n{}x\r\n0\r\n\r\n" + predict(7),
    CHUNKED + chunk(BODY)[:-2] + LAST + predict(7),
    CHUNKED + chunk(BODY) + b"0\r\ncontent-length: 5\r\n\r\n" + predict(7),
]


@pytest.mark.parametrize("sent", SPOILED_HEADS + SPOILED_BODIES)
@pytest.mark.parametrize("before", [b"", predict(1)], ids=["first", "second"])
async def test_where_one_request_ends_is_never_guessed(
    at: Running, sent: bytes, before: bytes
) -> None:
    """One refusal, then the end: what follows is not read as a request."""
    async with wire(at) as to:
        await to.send(before + sent)
        if before:
            assert await to.outputs() == [2, 0]
            if sent in SPOILED_HEADS:
                # It is no request, so there is none to refuse once the first is answered.
                assert await to.ended()
                return
        reply = await to.reply()
        assert reply.status == 400
        assert await to.ended()


# -- asking before sending


async def test_who_asks_before_sending_is_told_to_go_on(at: Running) -> None:
    async with wire(at) as to:
        for _ in range(2):
            await to.send(post(EXPECT, LENGTH))
            assert (await to.reply()).status == 100
            await to.send(BODY)
            assert await to.outputs() == [2, 0]


async def test_who_asks_and_sends_all_the_same_is_answered(at: Running) -> None:
    async with wire(at) as to:
        await to.send(post(EXPECT, LENGTH, body=BODY) + predict(2))
        reply = await to.reply()
        if reply.status == 100:  # it may be said, as the body may still be under way
            reply = await to.reply()
        assert reply.status == 200
        assert await to.outputs() == [4, 0]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (post(EXPECT, f"content-length: {LIMIT + 1}"), 413),
        (post(EXPECT, LENGTH, path="/v2/models/x/infer"), 404),
        (post(EXPECT, LENGTH, "x-request-timeout-ms: 0"), 400),
        (post(EXPECT, LENGTH, "transfer-encoding: gzip, chunked"), 400),
        (get("/predict", EXPECT, LENGTH, method="PUT"), 405),
    ],
)
async def test_who_asks_for_what_is_refused_need_not_send(
    at: Running, head: bytes, status: int
) -> None:
    async with wire(at) as to:
        await to.send(head)
        reply = await to.reply()
        assert (reply.status, reply.closes) == (status, True)
        assert await to.ended()


# -- a body that nobody waits for


async def test_the_rest_of_a_refused_body_is_thrown_away(at: Running) -> None:
    async with wire(at) as to:
        await to.send(post("content-length: 300000", path="/v2/models/x/infer"))
        assert (await to.reply()).status == 404
        await to.send(bytes(150_000), bytes(150_000), pause=0.01)
        await to.send(predict(1))
        assert await to.outputs() == [2, 0]


async def test_it_is_not_waited_for_without_end(
    at: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "REFUSED_BODY_SECONDS", 0.2)
    async with wire(at) as to:
        await to.send(post("content-length: 300000", path="/v2/models/x/infer"))
        assert (await to.reply()).status == 404
        assert await to.ended()


async def test_a_late_body_is_refused_and_the_connection_goes_on(at: Running) -> None:
    async with wire(at) as to:
        await to.send(post(LENGTH, "x-request-timeout-ms: 50", body=BODY[:4]))
        assert (await to.reply()).status == 408
        await to.send(BODY[4:] + predict(2))
        assert await to.outputs() == [4, 0]


async def test_a_late_body_is_refused_also_behind_other_requests(at: Running) -> None:
    """No piece comes after it that would remind the server of it."""
    async with wire(at) as to:
        late = post(LENGTH, "x-request-timeout-ms: 300", body=BODY[:4])
        await to.send(predict(1) + predict(2) + late)
        assert [await to.outputs(), await to.outputs()] == [[2, 0], [4, 0]]
        assert (await to.reply()).status == 408
        await to.send(BODY[4:] + predict(3))
        assert await to.outputs() == [6, 0]


# -- addresses and methods


@pytest.mark.parametrize(
    "path",
    ["/predict?a=b", "/predict?", "/%70redict", "/predict?a=%00&b=/../", "http://a/predict",
     "http://a:80/predict?x", "/predict#part"],
)  # fmt: skip
async def test_forms_of_one_address(at: Running, path: str) -> None:
    async with wire(at) as to:
        await to.send(predict(1, path=path))
        assert await to.outputs() == [2, 0]


async def test_head_is_answered_without_a_body(at: Running) -> None:
    async with wire(at) as to:
        for path, status in [(PROBE, 200), ("/predict", 405), ("/v2/models/x/infer", 405)]:
            await to.send(get(path, method="HEAD") + predict(1))
            reply = await to.reply(head_only=True)
            assert reply.status == status
            assert int(reply.headers["content-length"]) > 0
            assert await to.outputs() == [2, 0]


UPGRADES = [
    ("connection: upgrade", "upgrade: h2c", "http2-settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    ("connection: keep-alive, Upgrade", "upgrade: websocket"),
    ("connection: upgrade", "upgrade: x", "connection: keep-alive"),
]


@pytest.mark.parametrize("lines", UPGRADES, ids=["h2c", "websocket", "two connection headers"])
@pytest.mark.parametrize("before", [b"", predict(1)], ids=["first", "second"])
async def test_an_upgrade_is_refused_and_its_body_is_no_request(
    at: Running, lines: tuple[str, ...], before: bytes
) -> None:
    """Behind a proxy the body may be another client's choice, and the next request another's."""
    inner = get(PROBE)
    length = f"content-length: {len(inner)}"
    for head in (
        post(*lines, length),
        post(*lines, length, path="/v2/models/x/infer"),
        get(PAGE, *lines, length),
        get(PROBE, *lines, length, "x-request-id: mine"),
        get("/nothing", *lines, length),
    ):
        for sent in ([head, inner + inner], [head + inner + inner]):
            async with wire(at) as to:
                await to.send(before + sent[0], *sent[1:], pause=0.01)
                if before:
                    assert await to.outputs() == [2, 0]
                reply = await to.reply()
                assert (reply.status, reply.closes) == (400, True)
                assert "without Upgrade" in orjson.loads(reply.body)["error"]
                assert (reply.headers["x-request-id"] == "mine") == (b"mine" in head)
                assert await to.ended()


async def test_an_upgrade_without_its_connection_header_asks_for_nothing(at: Running) -> None:
    async with wire(at) as to:
        await to.send(predict(1, "upgrade: h2c") + predict(2, "connection: upgrade"))
        assert [await to.outputs(), await to.outputs()] == [[2, 0], [4, 0]]


async def test_nobody_is_connected_through_here(at: Running) -> None:
    async with wire(at) as to:
        await to.send(get("a:80", method="CONNECT") + predict(1))
        assert (await to.reply()).status == 400
        assert await to.ended()


async def test_every_answer_has_a_date_and_no_name_of_the_server(at: Running) -> None:
    async with wire(at) as to:
        for sent in (predict(1), get(PAGE), get(PROBE), get("/predict"), get("/nothing")):
            await to.send(sent)
            reply = await to.reply()
            assert reply.headers["date"].endswith(" GMT")
            assert "server" not in reply.headers


# -- headers that are there twice


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("x-request-timeout-ms: 9000", "x-request-timeout-ms: 8000"), 200),
        (("x-request-timeout-ms: 9000", "x-request-timeout-ms: no"), 400),
        (("content-type: text/xml", "content-type: application/json"), 200),
        (("content-encoding: identity", "content-encoding: br"), 415),
    ],
)
async def test_of_a_repeated_header_the_last_counts(
    at: Running, lines: tuple[str, ...], status: int
) -> None:
    async with wire(at) as to:
        await to.send(predict(1, *lines))
        assert (await to.reply()).status == status


async def test_many_at_once_on_as_many_connections(at: Running) -> None:

    async def one(number: int) -> list[float]:
        async with wire(at) as to:
            await to.send(predict(number), predict(number))
            await to.outputs()
            return await to.outputs()

    assert await asyncio.gather(*map(one, range(50))) == [[2 * n, 0] for n in range(50)]
