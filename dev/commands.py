"""Runs a program, and says what it said when it fails."""

import shlex
import subprocess
from collections.abc import Sequence


class Failed(Exception):
    """A program ended with an error; the message holds what it printed."""


def run(command: Sequence[str], *, stdin: str | None = None, timeout: float = 600) -> str:
    """What it printed on its standard output. Raises `Failed`."""
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{shlex.join(command)}\nwas not done after {timeout:.0f} s") from late
    if done.returncode != 0:
        raise Failed(f"{shlex.join(command)}\n{done.stderr or done.stdout}".strip())
    return done.stdout
