"""When does a batch go, and what is in it? The rules as a table."""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

from dataclasses import dataclass

import pytest

from modelfleet_runtime.batching.rules import NEVER, Limits, Take, WaitUntil, gather


@dataclass
class Req:
    rows: int
    arrived: float = 0.0
    deadline: float = 1000.0


DELAY = Limits(max_rows=8, max_delay=1.0)

CASES = [
    ("an idle engine is given one request at once", [[Req(1)]], Limits(8), 0.0, True, Take(0, 1, 1)),
    ("a busy engine is given nothing", [[Req(8)]], Limits(8), 0.0, False, WaitUntil(NEVER)),
    ("all that wait go together", [[Req(1), Req(2)]], Limits(8), 0.0, True, Take(0, 2, 3)),
    ("rows are counted", [[Req(5), Req(3), Req(1)]], Limits(8), 0.0, True, Take(0, 2, 8)),
    ("nobody overtakes to fill a batch", [[Req(5), Req(4), Req(1)]], Limits(8), 0.0, True, Take(0, 1, 5)),
    ("one that is too large is cut", [[Req(20), Req(1)]], Limits(8), 0.0, True, Take(0, 1, 8)),
    ("a delay lets a small batch wait", [[Req(1, 2.0)]], DELAY, 2.5, True, WaitUntil(3.0)),
    ("a delay ends", [[Req(1, 2.0)]], DELAY, 3.0, True, Take(0, 1, 1)),
    ("a full batch does not wait", [[Req(8, 2.0)]], DELAY, 2.0, True, Take(0, 1, 8)),
    ("one that no more fits to does not wait", [[Req(5, 2.0), Req(5, 2.1)]], DELAY, 2.1, True, Take(0, 1, 5)),
    ("a delay takes at most half of the time", [[Req(1, 2.0, 2.8)]], DELAY, 2.2, True, WaitUntil(2.4)),
    ("the kin that came first goes first", [[Req(1, 2.0)], [Req(1, 1.0)]], Limits(8), 3.0, True, Take(1, 1, 1)),
    ("a full kin passes one that waits", [[Req(1, 2.0)], [Req(8, 2.1)]], DELAY, 2.2, True, Take(1, 1, 8)),
    ("of two that wait the earlier end counts", [[Req(1, 2.0)], [Req(1, 1.5)]], DELAY, 2.2, True, WaitUntil(2.5)),
    ("alone means one request, whole", [[Req(20), Req(1)]], Limits(8, alone=True), 0.0, True, Take(0, 1, 20)),
    ("no requests, no batch", [], Limits(8), 0.0, True, WaitUntil(NEVER)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "limits", "now", "idle", "expected"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_gather(
    groups: list[list[Req]], limits: Limits, now: float, idle: bool, expected: Take | WaitUntil
) -> None:
    assert gather(groups, limits, now, idle) == expected
