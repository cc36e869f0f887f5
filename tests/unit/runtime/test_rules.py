"""When does a batch go, and what is in it? The rules as a table."""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime.batching.rules import DEFERRED, NEVER, Limits, Take, WaitUntil, gather


@dataclass
class Req:
    rows: int
    arrived: float = 0.0
    leave_at: float = 1000.0
    level: int = 1

    @property
    def number(self) -> float:
        return self.arrived


DELAY = Limits(max_rows=8, max_delay=1.0)
LIKES = Limits(max_rows=16, max_delay=1.0, preferred=(4, 8))

CASES = [
    ("an idle engine is given one request at once", [[Req(1)]], Limits(8), 0.0, True, Take(0, 1)),
    ("a busy engine is given nothing", [[Req(8)]], Limits(8), 0.0, False, WaitUntil(NEVER)),
    ("all that wait go together", [[Req(1), Req(2)]], Limits(8), 0.0, True, Take(0, 3)),
    ("rows are counted", [[Req(5), Req(3), Req(1)]], Limits(8), 0.0, True, Take(0, 8)),
    ("nobody overtakes to fill a batch", [[Req(5), Req(4), Req(1)]], Limits(8), 0.0, True, Take(0, 5)),
    ("one that is too large is cut", [[Req(20), Req(1)]], Limits(8), 0.0, True, Take(0, 8)),
    ("a delay lets a small batch wait", [[Req(1, 2.0)]], DELAY, 2.5, True, WaitUntil(3.0)),
    ("a delay ends", [[Req(1, 2.0)]], DELAY, 3.0, True, Take(0, 1)),
    ("a full batch does not wait", [[Req(8, 2.0)]], DELAY, 2.0, True, Take(0, 8)),
    ("one that no more fits to does not wait", [[Req(5, 2.0), Req(5, 2.1)]], DELAY, 2.1, True, Take(0, 5)),
    ("a delay takes at most half of the time", [[Req(1, 2.0, 2.8)]], DELAY, 2.2, True, WaitUntil(2.4)),
    ("the kin that came first goes first", [[Req(1, 2.0)], [Req(1, 1.0)]], Limits(8), 3.0, True, Take(1, 1)),
    ("a full kin passes one that waits", [[Req(1, 2.0)], [Req(8, 2.1)]], DELAY, 2.2, True, Take(1, 8)),
    ("of two that wait the earlier end counts", [[Req(1, 2.0)], [Req(1, 1.5)]], DELAY, 2.2, True, WaitUntil(2.5)),
    ("alone means one request, whole", [[Req(20), Req(1)]], Limits(8, alone=True), 0.0, True, Take(0, 20)),
    ("a preferred size does not wait", [[Req(3, 2.0), Req(1, 2.0)]], LIKES, 2.0, True, Take(0, 4)),
    ("the largest preferred size that is there goes", [[Req(4, 2.0), Req(4, 2.0), Req(3, 2.0)]], LIKES, 2.0, True, Take(0, 8)),
    ("what is no preferred size waits", [[Req(3, 2.0), Req(2, 2.0)]], LIKES, 2.0, True, WaitUntil(3.0)),
    ("after the delay what is there goes", [[Req(3, 2.0), Req(2, 2.0)]], LIKES, 3.0, True, Take(0, 5)),
    ("after the delay no size is preferred", [[Req(4, 2.0), Req(1, 2.0)]], LIKES, 3.0, True, Take(0, 5)),
    ("a full batch goes, preferred or not", [[Req(3), Req(13)]], LIKES, 0.0, True, Take(0, 16)),
    ("a preferred size goes rather than a fuller one that no more fits to", [[Req(8), Req(3), Req(9)]], LIKES, 0.0, True, Take(0, 8)),
    ("without a delay a preferred size is still the one", [[Req(4), Req(1)]], Limits(8, preferred=(4,)), 0.0, True, Take(0, 4)),
    ("a higher level goes before who came first", [[Req(1, 1.0, level=2)], [Req(1, 2.0)]], Limits(8), 3.0, True, Take(1, 1)),
    ("who was deferred is behind", [[Req(1, 1.0, level=DEFERRED)], [Req(1, 4.0, level=32)]], Limits(8), 4.5, True, Take(1, 1)),
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


def test_by_age_levels_count_for_nothing() -> None:
    groups = [[Req(1, 1.0, level=2)], [Req(1, 2.0)], [Req(1, 0.5, level=DEFERRED)]]
    assert gather(groups, Limits(8), 3.0, True) == Take(1, 1)
    assert gather(groups, Limits(8), 3.0, True, by_age=True) == Take(2, 1)


@given(
    lines=st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=12), min_size=1, max_size=4),
    max_rows=st.integers(1, 16),
    delay=st.sampled_from([0.0, 1.0]),
    preferred=st.sets(st.integers(1, 16), max_size=3),
    waited=st.floats(0.0, 2.0),
)
def test_what_goes_begins_with_a_head_and_is_no_more_than_may(
    lines: list[list[int]], max_rows: int, delay: float, preferred: set[int], waited: float
) -> None:
    """A batch is whole requests from the first on, or as much of the first as may go; one that
    waits has a reason to, and one that goes before its time has another."""
    limits = Limits(max_rows, delay, tuple(preferred))
    groups = [[Req(rows, 1.0 + n / 100) for rows in line] for n, line in enumerate(lines)]
    now = 1.0 + waited
    verdict = gather(groups, limits, now, idle=True)
    if isinstance(verdict, WaitUntil):
        assert delay
        assert verdict.time == 2.0
        assert now < verdict.time
        for line in lines:
            ends = set(accumulate(line))
            assert sum(line) < max_rows
            assert not ends & preferred
        return
    chosen = lines[verdict.group]
    possible = [end for end in accumulate(chosen) if end <= max_rows] or [max_rows]
    assert verdict.rows in possible
    late = now >= 1.0 + verdict.group / 100 + delay
    liked = [end for end in possible if end in preferred]
    if liked and not (late and delay):
        assert verdict.rows == liked[-1]
    else:
        assert verdict.rows == possible[-1]
        assert late or sum(chosen) >= max_rows
