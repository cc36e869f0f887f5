"""Log lines: JSON with what one asks for, safe to read on a terminal, and never a flood."""

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime import logs
from modelfleet_runtime.errors import EngineBroken
from modelfleet_runtime.logs import Bounded, JsonLines, TextLines, Throttle
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.serving import running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines({"name": "m", "revision": "m-1"}))
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@contextmanager
def kept(name: str) -> Iterator[list[dict[str, Any]]]:
    handler = Kept()
    logger = logging.getLogger(name)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def record(name: str = "modelfleet.x", line: int = 1, text: str = "text") -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "file.py", line, text, (), None)


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab")), max_size=200), st.integers(1, 5))
def test_of_each_kind_so_many_pass_in_a_window_and_none_is_forgotten(
    steps: list[tuple[float, str]], most: int
) -> None:
    time = 0.0
    throttle = Throttle(most, 10.0, lambda: time)
    passed: dict[str, list[float]] = {"a": [], "b": []}
    held = {"a": 0, "b": 0}
    for wait, kind in steps:
        time += wait
        suppressed = throttle.ask(kind)
        if suppressed is None:
            held[kind] += 1
        else:
            assert suppressed == held[kind]
            held[kind] = 0
            passed[kind].append(time)
    for times in passed.values():
        # A window begins with the first that passes in it.
        for first, later in zip(times, times[2 * most :], strict=False):
            assert later - first >= 10.0


def test_a_flood_from_one_place_is_cut_off_and_counted_and_other_places_are_heard() -> None:
    time = 0.0
    lines = Bounded(Throttle(2, 10.0, lambda: time))
    assert [lines.filter(record()) for _ in range(5)] == [True, True, False, False, False]
    assert lines.filter(record(line=2))
    time = 11.0
    late = record()
    assert lines.filter(late)
    assert json.loads(JsonLines({}).format(late))["suppressed"] == 3
    time = 22.0
    assert "suppressed" not in json.loads(JsonLines({}).format(record()))


@pytest.mark.parametrize("name", [logs.ACCESS, "my_model", "root"])
def test_the_access_log_and_a_models_own_lines_are_not_cut_off(name: str) -> None:
    lines = Bounded(Throttle(1, 10.0, lambda: 0.0))
    assert all(lines.filter(record(name)) for _ in range(10))


def test_a_client_cannot_write_lines_or_codes_of_its_own_to_a_terminal() -> None:
    text = TextLines().format(record(text="GET /a\n12:00:00 INFO all is well\x1b[2J\u2028"))
    assert text.count("\n") == 0
    assert text.endswith(r"GET /a\n12:00:00 INFO all is well\x1b[2J\u2028")


async def test_a_failure_is_logged_with_its_request_and_trace() -> None:
    def run(_: Tensors) -> Tensors:
        raise EngineBroken("the model broke")

    with kept(logs.REFUSALS) as lines:
        async with running(run) as at:
            headers = {"x-request-id": "id-7", "traceparent": f"00-{TRACE}-{'1' * 16}-01"}
            await at.client.post("/predict", json={"inputs": [1, 2, 3, 4]}, headers=headers)
            await at.client.post("/predict", json={"inputs": "wrong"})
    (line,) = lines  # a client's own fault is no news
    del line["ts"]
    assert line == {
        "level": "error",
        "message": "answered 500: the model broke",
        "name": "m",
        "revision": "m-1",
        "request_id": "id-7",
        "trace_id": TRACE,
        "method": "POST",
        "path": "/predict",
        "status": 500,
        "kind": "EngineBroken",
    }


async def test_an_overload_does_not_flood_the_log() -> None:
    with kept(logs.REFUSALS) as lines:
        async with running(doubling(), loaded=False) as at:
            for _ in range(50):
                assert (await at.client.post("/predict", content=b"{}")).status_code == 503
    assert len(lines) == 20
    assert {line["level"] for line in lines} == {"warning"}


async def test_the_access_log_says_who_asked_what_and_what_became_of_it() -> None:
    with kept(logs.ACCESS) as lines:
        async with running(doubling(), access_log=True) as at:
            headers = {"traceparent": f"00-{TRACE}-{'1' * 16}-01", "x-request-id": "id-1"}
            body = {"inputs": [1, 2, 3, 4]}
            await at.client.post("/predict", json=body, headers=headers)
            await at.client.get("/nowhere", headers={"x-request-id": "id-2"})
            await at.client.post(f"/v2/models/{'x' * 5000}/infer", json={})
    first, second, third = lines
    assert first["message"] == "POST /predict 200"
    assert (first["request_id"], first["trace_id"], first["status"]) == ("id-1", TRACE, 200)
    assert 0 < first["seconds"] < 20
    assert (second["request_id"], second["status"]) == ("id-2", 404)
    assert "trace_id" not in second
    assert len(third["path"]) == 256


HANGS = """
import asyncio, threading
from modelfleet_runtime.watchdog import watch

def stuck():
    threading.Event().wait(20)

async def main():
    loop = asyncio.get_running_loop()
    watch(loop, 0.2)
    loop.call_soon(stuck)
    await asyncio.sleep(0)

asyncio.run(main())
"""


def test_a_loop_that_hangs_says_where() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANGS], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            assert any("in stuck" in line for line in process.stderr)
        finally:
            process.kill()
