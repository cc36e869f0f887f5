"""How does the tool tell what it is doing? On stderr, since stdout carries only the answer."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Without a terminal (CI, a file) nobody wants a line a second.
_QUIET_INTERVAL = 15.0
_terminal_lock = threading.Lock()


def say(sentence: str) -> None:
    with _terminal_lock:
        clear = "\r\x1b[K" if _on_terminal() else ""
        print(f"{clear}{sentence}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s: as a person would say it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


def progress(what: str, elapsed: float, usually: float, done: int = 0, total: int = 0) -> str:
    """One line that answers what is going on, how far it is and how long it usually takes."""
    share = f"{done} of {total} packages, " if total else ""
    return f"{what}: {share}{duration(elapsed)} (usually {duration(usually)})"


@contextmanager
def reporting(line: Callable[[float], str]) -> Iterator[None]:
    """Show ``line(elapsed)`` while the block runs: redrawn on a terminal, else now and then."""
    began = time.monotonic()
    over = threading.Event()
    interval = 1.0 if _on_terminal() else _QUIET_INTERVAL

    def show() -> None:
        while not over.wait(interval):
            text = line(time.monotonic() - began)
            if _on_terminal():
                with _terminal_lock:
                    print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            else:
                say(text)

    shower = threading.Thread(target=show, daemon=True)
    shower.start()
    try:
        yield
    finally:
        over.set()
        shower.join()


def _on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
