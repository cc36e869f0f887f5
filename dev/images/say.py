"""How does this room tell what it is doing? On stderr: stdout carries only the answer."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(sentence: str) -> None:
    clear = "\r\x1b[K" if _on_terminal() else ""
    print(f"{clear}{sentence}", file=sys.stderr, flush=True)


def hint(text: str) -> None:
    """A detail of the moment, overwritten by the next line; only a terminal shows it."""
    if _on_terminal():
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
        print(f"\r\x1b[K  {text}"[: columns + 3], end="", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, usually: str) -> Iterator[None]:
    say(f"{what} (usually {usually})")
    began = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - began:.1f} s")


def _on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
