"""How progress is told, and by what a process is known."""

import os
import subprocess
import sys

import pytest

from dev.cluster.init import start_time
from dev.cluster.say import duration, progress


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s")],
)
def test_a_duration_is_said_as_a_person_would(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_progress_says_what_how_far_and_how_long_it_usually_takes() -> None:
    said = progress("compiling helm", 75, 210, done=300, total=1183)
    assert said == "compiling helm: 300 of 1183 packages, 1 min 15 s (usually 3 min 30 s)"
    assert progress("fetching helm", 5, 60) == "fetching helm: 5 s (usually 1 min 00 s)"


def test_a_process_is_known_by_its_start_and_a_gone_one_by_none() -> None:
    own = start_time(os.getpid())
    assert own is not None
    assert start_time(os.getpid()) == own
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert start_time(ended.pid) is None
