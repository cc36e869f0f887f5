"""Each request that the load of `benchmarks.rollout` sends ends in the ledger once, as it ended."""

import asyncio
import json
from collections.abc import Callable

import pytest

from benchmarks.rollout import load
from benchmarks.rollout.ledger import Fate, Ledger
from benchmarks.rollout.load import FAILED, Load
from benchmarks.rollout.row import line, row

Reply = Callable[[int], tuple[int, str, str]]
"""From a request's number: the status, further headers, the body."""


def answer(number: int, *, label: int = 2, of: int | None = None) -> str:
    told = number if of is None else of
    return json.dumps({"id": str(told), "outputs": [{"data": [told * label, label]}]})


async def sent_to(reply: Reply, monkeypatch: pytest.MonkeyPatch, many: int = 40) -> Ledger:
    """What becomes of so many requests to a server that replies so; status 0: it hangs up."""
    open_: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        open_.add(task)
        await talk(reader, writer)
        writer.close()
        await writer.wait_closed()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                number = int(json.loads(await reader.readexactly(length))["id"])
                status, headers, body = reply(number)
                if not status:
                    break
                told = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n{body}"
                writer.write(told.encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(load, "PORT", port)
    one = Load("127.0.0.1", "m", rate=2000, seconds=many / 2000)
    await one.send()
    server.close()
    await asyncio.gather(*open_)
    await server.wait_closed()
    assert one.ledger.is_whole
    assert one.ledger.sent == many
    return one.ledger


@pytest.mark.parametrize(
    ("reply", "fate", "reason"),
    [
        pytest.param(lambda n: (200, "", answer(n)), Fate.ANSWERED, "", id="the right answer"),
        pytest.param(lambda n: (200, "connection: close\r\n", answer(n)), Fate.ANSWERED, "",
                     id="and the connection ends"),
        pytest.param(lambda n: (200, "", answer(n, of=n + 1)), Fate.LOST, "200 {",
                     id="the answer to another request"),
        pytest.param(lambda n: (200, "", "no JSON"), Fate.LOST, "200 no JSON", id="no answer"),
        pytest.param(lambda n: (503, "retry-after: 1\r\n", "full"), Fate.REFUSED, "",
                     id="a full queue"),
        pytest.param(lambda n: (503, "", "nobody is there"), Fate.LOST, "503 nobody is there",
                     id="nobody to answer"),
        pytest.param(lambda n: (500, "", f"{FAILED}: why"), Fate.FAILED, "", id="the model fails"),
        pytest.param(lambda n: (500, "", "else"), Fate.LOST, "500 else", id="something else fails"),
        pytest.param(lambda n: (0, "", ""), Fate.LOST, "the connection was closed before an answer",
                     id="it hangs up"),
    ],
)  # fmt: skip
async def test_each_ends_as_it_was_answered(
    reply: Reply, fate: Fate, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await sent_to(reply, monkeypatch)
    assert ledger.count(fate) == ledger.sent
    assert all(loss.reason.startswith(reason) for loss in ledger.losses.values())


async def test_the_version_that_answered_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = await sent_to(lambda n: (200, "", answer(n, label=1 + n % 2)), monkeypatch)
    assert ledger.by_label == {1: 20, 2: 20}


async def test_who_is_not_there_is_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "PORT", 9)
    one = Load("127.0.0.1", "m", rate=1000, seconds=0.01)
    await one.send()
    assert one.ledger.count(Fate.LOST) == one.ledger.sent == 10
    assert all("Refused" in loss.reason for loss in one.ledger.losses.values())


def test_a_row_tells_what_a_model_had_begun_and_what_ran_twice() -> None:
    ledger = Ledger()
    for _ in range(4):
        ledger.send()
    ledger.answered(1, 7, 0.1)
    ledger.lost(2, "503 no healthy upstream", 0.1)
    ledger.lost(3, "the connection was closed before an answer", 0.1)
    with pytest.raises(ValueError, match="1 requests have not ended"):
        row("killed", ledger, {}, 0)
    ledger.lost(4, "503 reset reason: connection termination", 0.1)
    made = row("killed", ledger, {1: 3, 3: 1}, retried=5)
    assert (made.sent, made.answered, made.lost, made.lost_inside) == (4, 1, 3, 2)
    assert (made.retried, made.duplicated) == (5, 2)
    assert made.answered_by == {"7": 1}
    assert "503 no healthy upstream" in line(made)


def test_a_request_that_ends_twice_is_noticed() -> None:
    ledger = Ledger()
    ledger.answered(ledger.send(), 1, 0.1)
    with pytest.raises(AssertionError, match="ended twice"):
        ledger.lost(1, "late", 0.2)
