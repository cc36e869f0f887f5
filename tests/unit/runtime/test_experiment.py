"""What is counted for an experiment of requests that come over HTTP, and what is posted back."""

import asyncio
import gzip
from typing import Any

import numpy as np
import pytest

from modelfleet_contract import Batching, ModelValue, Reduce, bucket_of
from modelfleet_runtime.errors import EngineBroken
from modelfleet_runtime.experiment.tallies import BUCKETS
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.serving import running

ITEM = {"inputs": [1, 2, 3, 4]}
CALLER = "x-modelfleet-caller"
FEEDBACK = "x-modelfleet-feedback"
VALUES = (
    ModelValue(name="mean", output="y"),
    ModelValue(name="top", output="y", reduce=Reduce.MAX),
)
TRANSPORTS = pytest.mark.parametrize("transport", ["own", "asgi"])


def picky(batch: Tensors) -> Tensors:
    """Fails for a row of sevens, and else gives twice the first two columns."""
    if (batch["x"] == 7).any():
        raise EngineBroken("seven")
    return {"y": batch["x"][:, :2] * 2}


def told_bucket(caller: str) -> int:
    return bucket_of(caller.encode()) % BUCKETS


@TRANSPORTS
async def test_each_caller_has_its_bucket_whoever_else_asks_at_the_same_time(
    transport: str,
) -> None:
    async with running(picky, transport=transport, revision="m-r1", values=VALUES) as at:

        async def ask(caller: int, value: float) -> None:
            headers = {CALLER: f"user-{caller}"} if caller else {}
            body = {"inputs": [value] * 4}
            answer = await at.client.post("/predict", json=body, headers=headers)
            assert answer.status_code == (500 if value == 7 else 200)

        asked = [(n % 5, float(n % 9)) for n in range(90)]
        await asyncio.gather(*(ask(*one) for one in asked))
        tally = (await at.tallies()).revisions["m-r1"]
    assert (tally.requests, tally.errors) == (90, 10)
    assert tally.callers.requests == {told_bucket(f"user-{n}"): 18 for n in range(1, 5)}
    assert sum(tally.callers.errors.values()) == sum(n > 0 and v == 7 for n, v in asked)
    mean = tally.values["mean"]
    good = [(n, value) for n, value in asked if value != 7]
    assert (mean.requests, mean.sum) == (80, sum(2 * value for _, value in good))
    assert mean.nonzero == sum(value != 0 for _, value in good)
    for n in range(1, 5):
        own = [2 * value for caller, value in good if caller == n]
        expected = len(own), sum(own), sum(value**2 for value in own)
        assert mean.callers[told_bucket(f"user-{n}")] == expected


def tensor(rows: list[list[float]]) -> dict[str, Any]:
    data = np.array(rows).ravel().tolist()
    return {"inputs": [{"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": data}]}


ROWS: list[list[float]] = [[1, 2, 0, 0], [3, -4, 0, 0], [5, 6, 0, 0]]  # y: 2 4, 6 -8, 10 12
ROUTES: list[tuple[str, Any]] = [
    ("/predict/batch", {"inputs": ROWS}),
    ("/v2/models/m/infer", tensor(ROWS)),
]


@TRANSPORTS
@pytest.mark.parametrize(("path", "body"), ROUTES)
@pytest.mark.parametrize("max_size", [2, 32])
async def test_a_requests_value_is_the_mean_over_its_own_rows(
    transport: str, path: str, body: Any, max_size: int
) -> None:
    """Also of one that is run in pieces, and of those that share a batch."""
    batching = Batching(max_size=max_size)
    async with running(picky, transport=transport, batching=batching, values=VALUES) as at:
        others = [at.client.post("/predict", json={"inputs": [100] * 4}) for _ in range(5)]
        answers = await asyncio.gather(at.client.post(path, json=body), *others)
        assert [answer.status_code for answer in answers] == [200] * 6
        values = (await at.tallies()).revisions["m-local"].values
    assert (values["mean"].requests, values["top"].requests) == (6, 6)
    assert values["mean"].sum == pytest.approx(5 * 200 + 26 / 6)
    assert values["top"].sum == pytest.approx(5 * 200 + (4 + 6 + 12) / 3)


async def test_a_model_with_steps_of_its_own_has_values_too() -> None:
    def postprocess(outputs: Tensors) -> Any:
        if outputs["y"][0, 0] == 2:
            raise ValueError("no words for that")
        return "words"

    async with running(picky, values=VALUES, postprocess=postprocess) as at:
        for value, status in ((5, 200), (1, 500)):
            answer = await at.client.post("/predict", json={"inputs": [value] * 4})
            assert answer.status_code == status
        tally = (await at.tallies()).revisions["m-local"]
    assert (tally.requests, tally.errors) == (2, 1)
    assert (tally.values["mean"].requests, tally.values["mean"].sum) == (1, 10.0)


@TRANSPORTS
async def test_answers_have_no_id_where_nothing_may_be_posted(transport: str) -> None:
    async with running(picky, transport=transport, values=VALUES) as at:
        answer = await at.client.post("/predict", json=ITEM, headers={"x-request-id": "a"})
        assert FEEDBACK not in answer.headers
        refused = await at.client.post("/feedback", json={"id": "r.a", "values": {"clicked": 1}})
        assert refused.status_code == 404
        assert "spec.runtime.feedback" in refused.json()["error"]


@TRANSPORTS
async def test_what_is_posted_under_an_answers_id_counts_for_its_caller(transport: str) -> None:
    asked = {CALLER: "ada", "x-request-id": "order.5"}
    async with running(
        picky, transport=transport, revision="m-r1", feedback=["clicked", "paid"]
    ) as at:
        answer = await at.client.post("/predict", json=ITEM, headers=asked)
        named = answer.headers[FEEDBACK]
        assert named == f"r1:{bucket_of(b'ada')}.order.5"
        assert answer.headers["x-request-id"] == "order.5"
        other = (await at.client.post("/predict", json=ITEM)).headers
        assert other[FEEDBACK] == f"r1.{other['x-request-id']}"
        failed = await at.client.post("/predict", json={"inputs": [7] * 4})
        assert (failed.status_code, FEEDBACK in failed.headers) == (500, False)
        post = {"id": named, "values": {"clicked": 1, "paid": 12.5}}
        first = await at.client.post("/feedback", json=post)
        assert (first.status_code, first.json()) == (200, {"counted": 2, "repeated": 0})
        assert first.headers["x-request-id"]
        again = await at.client.post("/feedback", json=[post, post], headers={CALLER: "bob"})
        assert again.json() == {"counted": 0, "repeated": 4}
        page = (await at.client.get("/metrics")).text
        values = (await at.tallies()).revisions["m-r1"].values
    assert values["paid"].callers == {told_bucket("ada"): (1, 12.5, 156.25)}
    line = 'inference_feedback_total{model_name="m",name="paid",revision="own"} 1.0'
    assert line in page.splitlines()


GZIP = {"content-encoding": "gzip"}
POST = b'{"id": "r1.a", "values": {"clicked": 1}}'
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("GET", {}, 405, "use POST"),
    ("POST", {}, 400, "not valid JSON"),
    ("POST", {"content": POST.replace(b"clicked", b"liked")}, 400, "'liked' is not taken here"),
    ("POST", {"content": b" " * 3000}, 413, "larger than 2000 bytes"),
    ("POST", {"content": gzip.compress(bytes(9999)), "headers": GZIP}, 413, "2000"),
    ("POST", {"content": POST, "headers": {"content-encoding": "br"}}, 415, "gzip"),
    ("POST", {"content": POST, "headers": {"x-request-timeout-ms": "0"}}, 400, "milliseconds"),
]  # fmt: skip


@TRANSPORTS
@pytest.mark.parametrize(("method", "sent", "status", "words"), REFUSED)
async def test_feedback_that_is_refused(
    transport: str, method: str, sent: dict[str, Any], status: int, words: str
) -> None:
    limits = RequestLimits(body_bytes=2000)
    async with running(picky, transport=transport, limits=limits, feedback=["clicked"]) as at:
        answer = await at.client.request(method, "/feedback", **sent)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]
        assert words in answer.json()["error"]
        assert (await at.client.post("/feedback", content=POST)).status_code == 200
        assert not at.life.in_flight


async def test_feedback_may_be_compressed_and_come_while_the_model_is_loaded() -> None:
    async with running(doubling(), loaded=False, feedback=["clicked"]) as at:
        answer = await at.client.post("/feedback", content=gzip.compress(POST), headers=GZIP)
        assert answer.json() == {"counted": 1, "repeated": 0}
        assert (await at.tallies()).revisions["m-r1"].values["clicked"].sum == 1


async def test_the_page_is_only_read() -> None:
    async with running(doubling()) as at:
        for method in ("POST", "PUT", "DELETE"):
            answer = await at.client.request(method, "/experiment")
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        pages = await asyncio.gather(*(at.client.get("/experiment") for _ in range(5)))
        assert {page.content for page in pages} == {pages[0].content}
        assert pages[0].headers["content-type"] == "application/json"


@TRANSPORTS
async def test_a_client_that_leaves_is_not_counted(transport: str) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(batch: Tensors) -> Tensors:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(go.wait(), loop).result()
        return picky(batch)

    async with running(slow, transport=transport, values=VALUES) as at:
        asking = loop.create_task(at.client.post("/predict", json=ITEM, headers={CALLER: "a"}))
        await begun.wait()
        asking.cancel()
        while at.life.inferring:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        go.set()
        answer = await at.client.post("/predict", json=ITEM, headers={CALLER: "b"})
        assert answer.status_code == 200
        tally = (await at.tallies()).revisions["m-local"]
    assert tally.requests == tally.values["mean"].requests == 1
    assert tally.callers.requests == {told_bucket("b"): 1}
