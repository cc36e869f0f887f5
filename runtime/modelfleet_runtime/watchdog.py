"""What every thread was doing, in the log, when the event loop makes no turn.

A loop that hangs answers no probe, so the kubelet starts the container anew; this says why it hung.
The traces are written by a thread below Python, because what makes a loop hang may hold the
interpreter's lock. So they are plain text, also where the log is JSON.
"""

import asyncio
import faulthandler
import sys
from typing import TextIO

HANGS_AFTER = 10.0
"""Seconds without a turn: sooner than the operator's liveness probe gives up."""


def watch(
    loop: asyncio.AbstractEventLoop, seconds: float = HANGS_AFTER, file: TextIO | None = None
) -> None:
    """From now on, for as long as the loop runs. `file` has a descriptor; standard error."""
    to = file or sys.stderr

    def alive() -> None:
        # Counted from now: it fires unless this is called again within `seconds`.
        faulthandler.dump_traceback_later(seconds, file=to)
        loop.call_later(seconds / 4, alive)

    alive()
