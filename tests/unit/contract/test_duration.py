"""Lengths of time as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0s", timedelta(0)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h30m", timedelta(minutes=90)),
        ("90m", timedelta(minutes=90)),
        ("1s500us", timedelta(seconds=1, microseconds=500)),
    ],
)
def test_read(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-1s", "1.5s", "1d", "1 s", "1s ", "1S", "99999999h", "9" * 40 + "s"]
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.timedeltas(timedelta(0), timedelta(days=365)))
def test_what_is_written_reads_the_same(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


def test_never_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        format_duration(timedelta(seconds=-1))
