"""Colours count as nothing when text is laid out."""

import re
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.cli.ages import age, span
from modelfleet_operator.cli.styled import Span, Style, cut, line, table, write
from tests.unit.operator.builders import NOW

words = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=12)
spans = st.builds(Span, words, st.sampled_from(Style))


@given(st.lists(st.tuples(spans, spans, spans), min_size=1, max_size=6))
def test_columns_begin_below_each_other_with_and_without_colours(
    rows: list[tuple[Span, ...]],
) -> None:
    lines = table(("A", "B", "C"), rows)
    plain = [write(each, colours=False) for each in lines]
    painted = [re.sub(r"\x1b\[\d*m", "", write(each, colours=True)) for each in lines]
    assert painted == plain
    if not plain[0]:
        return  # no column has anything in it
    last = plain[0][-1]
    at = plain[0].index(last)
    for row, text in zip(rows, plain[1:], strict=True):
        assert text[at:] == row["ABC".index(last)].text


@given(st.lists(spans, max_size=5), st.integers(1, 30))
def test_what_is_cut_fits(parts: list[Span], width: int) -> None:
    whole = "".join(part.text for part in parts)
    short = write(cut(tuple(parts), width), colours=False)
    assert len(short) <= width
    assert short == whole or (len(whole) > width and short.endswith("…"))
    assert whole.startswith(short.rstrip("…"))


def test_a_column_that_is_empty_throughout_is_left_out() -> None:
    told = table(("A", "B", "C"), [["1", "", "x"], ["22", "", ""]], indent="  ")
    assert [write(each, colours=False) for each in told] == ["  A    C", "  1    x", "  22"]


def test_a_plain_line_has_no_codes() -> None:
    told = line("a", Span("b", Style.BAD))
    assert write(told, colours=True) == "a\x1b[31mb\x1b[0m"
    assert write(told, colours=False) == "ab"


def test_ages_as_kubectl_writes_them() -> None:
    texts = {
        0: "0s", 119: "119s", 120: "2m", 305: "5m5s", 3599: "59m", 3600 * 2: "120m",
        3600 * 3: "3h", 3600 * 7 + 60: "7h1m", 3600 * 47: "47h", 86400 * 2 + 3600: "2d1h",
        86400 * 30: "30d", 86400 * 800: "2y70d", -5: "0s",
    }  # fmt: skip
    assert {n: span(timedelta(seconds=n)) for n in texts} == texts
    assert age(None, NOW) == "<unknown>"
