"""Lines of text with colours, which count as nothing when widths are measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Style(StrEnum):
    """What a text means; the value is its SGR code."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    GOOD = "32"
    WARN = "33"
    BAD = "31"


@dataclass(frozen=True, slots=True)
class Span:
    text: str
    style: Style = Style.PLAIN


Line = tuple[Span, ...]
Cell = Span | str


def line(*parts: Cell) -> Line:
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def write(spans: Line, *, colours: bool) -> str:
    return "".join(
        f"\x1b[{span.style}m{span.text}\x1b[0m" if colours and span.style else span.text
        for span in spans
    )


def cut(spans: Line, width: int) -> Line:
    """At most `width` characters of it; what is cut ends in one dot of three."""
    if sum(len(span.text) for span in spans) <= width:
        return spans
    kept: list[Span] = []
    left = max(0, width - 1)
    for span in spans:
        kept.append(Span(span.text[:left], span.style))
        left -= len(kept[-1].text)
        if not left:
            break
    return (*kept, Span("…"))


def table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], *, indent: str = ""
) -> tuple[Line, ...]:
    """Columns three spaces apart, as kubectl prints them. The last one is as long as it is.

    A column of which every cell is empty is left out.
    """
    cells = [line(*row) for row in rows]
    used = [n for n in range(len(head)) if any(row[n].text for row in cells)]
    titles = tuple(Span(title, Style.FAINT) for title in head)
    wide = {n: max(len(row[n].text) for row in (titles, *cells)) for n in used}

    def laid(row: Line) -> Line:
        spans: list[Span] = [Span(indent)] if indent else []
        shown = [n for n in used if any(row[m].text for m in used if m >= n)]
        for n in shown:
            spans.append(row[n])
            if n != shown[-1]:
                spans.append(Span(" " * (wide[n] - len(row[n].text) + 3)))
        return tuple(spans)

    return tuple(laid(row) for row in (titles, *cells))
