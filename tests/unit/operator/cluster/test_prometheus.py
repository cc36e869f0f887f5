"""Asking a Prometheus for one number, over a real connection. The bodies are those of a real one
(2.42, and a proxy's before it)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from modelfleet_operator.cluster.prometheus import PrometheusApi
from modelfleet_operator.seen import Answer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def prometheus(
    handler: Handler, token_file: Path | None = None, *, timeout_s: float = 5, prefix: str = ""
) -> AsyncIterator[PrometheusApi]:
    application = web.Application()
    application.router.add_get("/{path:.*}", handler)
    async with TestServer(application) as server:
        asked = PrometheusApi(str(server.make_url(prefix)), token_file, timeout_s=timeout_s)
        try:
            yield asked
        finally:
            await asked.close()


def saying(body: str, status: int = 200) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text=body, status=status, content_type="application/json")

    return handle


def vector(*values: str) -> str:
    each = [
        f'{{"metric":{{"a":"{n}"}},"value":[1795539673.2,"{v}"]}}' for n, v in enumerate(values)
    ]
    return f'{{"status":"success","data":{{"resultType":"vector","result":[{",".join(each)}]}}}}'


SCALAR = '{"status":"success","data":{"resultType":"scalar","result":[1795539672.591,"0.25"]}}'
TEXT = '{"status":"success","data":{"resultType":"string","result":[1795539674.589,"text"]}}'
MATRIX = '{"status":"success","data":{"resultType":"matrix","result":[]}}'
REFUSED = (
    '{"status":"error","errorType":"bad_data","error":"invalid parameter \\"query\\": 1:5: parse '
    'error: unclosed left parenthesis"}'
)
LONG = '{"status":"error","errorType":"execution","error":"' + 1000 * "x" + '"}'


@pytest.mark.parametrize(
    ("body", "status", "value", "says"),
    [
        pytest.param(SCALAR, 200, 0.25, "", id="a scalar"),
        pytest.param(vector("-1e-3"), 200, -0.001, "", id="one series"),
        pytest.param(vector("+Inf"), 200, float("inf"), "", id="infinite, which is a number"),
        pytest.param(vector("NaN"), 200, None, "NaN, as where 0 is divided", id="not a number"),
        pytest.param(vector(), 200, None, "no series has a value", id="no series"),
        pytest.param(vector("1", "2"), 200, None, "gives 2 series: aggregate", id="two series"),
        pytest.param(TEXT, 200, None, "gives a string", id="a text"),
        pytest.param(MATRIX, 200, None, "gives a matrix", id="a range"),
        pytest.param(REFUSED, 400, None, "1:5: parse error: unclosed", id="a query refused"),
        pytest.param(LONG, 422, None, 300 * "x" + "...", id="a long complaint"),
        pytest.param("<html>log in</html>", 401, None, "answered with 401", id="a proxy's page"),
        pytest.param("[]", 200, None, "answered with 200, and not as", id="something else"),
        pytest.param('{"status":"success"}', 200, None, "and not as", id="no result"),
        pytest.param('{"status":"error"}', 503, None, "with 503, and not as", id="no reason"),
        pytest.param(vector("1") + 70_000 * " ", 200, None, "more than 65536", id="too large"),
    ],
)
async def test_an_answer_is_a_number_or_says_why_not(
    body: str, status: int, value: float | None, says: str
) -> None:
    async with prometheus(saying(body, status)) as asked:
        (answer,) = (await asked.read(["up"])).values()
    assert answer.value == value
    assert says in answer.unread
    assert bool(answer.unread) == (value is None)
    assert len(answer.unread) < 400


async def test_each_expression_is_asked_once_and_as_it_is_written() -> None:
    seen: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.path == "/behind/a/proxy/api/v1/query"
        assert "Authorization" not in request.headers
        seen.append(request.query["query"])
        return web.Response(text=SCALAR)

    strange = 'a{b="ü&query=c+d"} >\n 1'
    async with prometheus(handle, prefix="/behind/a/proxy/") as asked:
        answers = await asked.read(["up", strange, "up"])
    assert sorted(seen) == sorted(["up", strange])
    assert answers == {"up": Answer(0.25), strange: Answer(0.25)}


async def test_a_token_is_read_again_for_each_request(tmp_path: Path) -> None:
    seen: list[str] = []
    token = tmp_path / "token"

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response(text=SCALAR)

    async with prometheus(handle, token) as asked:
        assert "cannot read its token" in (await asked.read(["up"]))["up"].unread
        token.write_text("one\n")
        await asked.read(["up"])
        token.write_text("two")
        await asked.read(["up"])
    assert seen == ["Bearer one", "Bearer two"]


async def test_a_token_goes_nowhere_else(tmp_path: Path) -> None:
    """A redirect is an answer like any other that is none."""
    token, paths = tmp_path / "token", []
    token.write_text("secret")

    async def handle(request: web.Request) -> web.Response:
        paths.append(request.path)
        raise web.HTTPFound("/elsewhere")

    async with prometheus(handle, token) as asked:
        answer = (await asked.read(["up"]))["up"]
    assert paths == ["/api/v1/query"]
    assert "302" in answer.unread


async def test_nobody_listens() -> None:
    asked = PrometheusApi(f"http://127.0.0.1:{unused_port()}")
    answer = (await asked.read(["up"]))["up"]
    await asked.close()
    assert answer == Answer(None, "Prometheus does not answer (ClientConnectorError)")


async def test_one_that_hangs_is_given_up_and_holds_up_only_one_of_many() -> None:
    came, answers, count = asyncio.Event(), asyncio.Event(), 0

    async def handle(_request: web.Request) -> web.Response:
        nonlocal count
        count += 1
        came.set()
        await answers.wait()
        return web.Response(text=SCALAR)

    async with prometheus(handle, timeout_s=0.05) as asked:
        first = (await asked.read(["up"]))["up"]
        assert first == Answer(None, "Prometheus does not answer (TimeoutError)")
        assert await asked.read(["a", "b", "c"]) == dict.fromkeys("abc", first)
        assert count == 2, "one of the three has asked"
        answers.set()
        assert (await asked.read(["up"]))["up"].value == 0.25
        assert {each.value for each in (await asked.read(["a", "b"])).values()} == {0.25}
