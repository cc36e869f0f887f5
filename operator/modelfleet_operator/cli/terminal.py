"""Where the program speaks: lines on the standard output, sentences on the standard error, and
where it is a terminal, a picture that is drawn again in the same place."""

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from modelfleet_operator.cli.styled import Line, Span, Style, cut, write


@dataclass(slots=True)
class Terminal:
    out: TextIO
    err: TextIO
    colours: bool = False
    """Never with NO_COLOR, and never into a file or a pipe."""
    live: bool = False
    """The output is a screen, on which lines can be drawn over."""
    drawings: bool = False
    """Intervals are drawn with lines and dots; else in plain ASCII."""
    size: tuple[int, int] | None = None
    """Columns and lines; None: as they are at the moment."""
    _drawn: int = field(default=0, init=False)

    @classmethod
    def of_process(cls, environment: Mapping[str, str] = os.environ) -> "Terminal":
        live = sys.stdout.isatty() and environment.get("TERM") != "dumb"
        colours = live and not environment.get("NO_COLOR")
        unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        return cls(sys.stdout, sys.stderr, colours, live, live and unicode)

    def say(self, *texts: str) -> None:
        for text in texts:
            print(text, file=self.out, flush=True)

    def show(self, lines: Iterable[Line]) -> None:
        self.say(*(write(line, colours=self.colours) for line in lines))

    def note(self, text: str) -> None:
        """For people, beside what the program was asked for."""
        print(text, file=self.err, flush=True)

    def draw(self, lines: Sequence[Line]) -> None:
        """Over what was drawn before. What does not fit the screen is cut."""
        columns, rows = self.size or shutil.get_terminal_size()
        shown = [cut(line, columns) for line in lines]
        if len(shown) > rows - 1:
            left = len(shown) - (rows - 2)
            shown = [*shown[: max(0, rows - 2)], (Span(f"… {left} lines more", Style.FAINT),)]
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        body = "".join(f"{write(line, colours=self.colours)}\x1b[K\n" for line in shown)
        # In one write, so that nobody sees half of it.
        self.out.write(f"{up}\r{body}\x1b[J")
        self.out.flush()
        self._drawn = len(shown)
