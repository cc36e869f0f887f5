"""Work on a body that would hold the loop for long: it is done aside, in threads of its own."""

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from modelfleet_runtime.errors import DeadlinePassed
from modelfleet_runtime.incoming import Bodies, Share

T = TypeVar("T")

THREADS = 2
"""Most of the work holds Python's lock, which more threads would only pass around; and while it is
read, a body takes several times its size."""


class Aside:
    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self._threads = ThreadPoolExecutor(THREADS, "body")

    async def do(self, work: Callable[[], T], size: int, until: float) -> T:
        """What `work` gives. `size` bytes are held from now on until it has ended: a thread cannot
        be ended, and goes on when nobody waits for it any more.

        Raises what `work` raises, `QueueFull` or `DeadlinePassed`.
        """
        share = Share(self._bodies)
        share.hold(min(size, share.most))  # one always fits
        running = self._threads.submit(contextvars.copy_context().run, work)
        try:
            async with asyncio.timeout(max(0.001, until - time.monotonic())):
                return await asyncio.wrap_future(running)
        except TimeoutError as error:
            raise DeadlinePassed("the request's time is over") from error
        finally:
            if running.done():
                share.hold(0)
            else:
                loop = asyncio.get_running_loop()
                running.add_done_callback(lambda ended: _let_go(ended, share, loop))


def _let_go(ended: "Future[Any]", share: Share, loop: asyncio.AbstractEventLoop) -> None:
    """Called in the thread, or where it is cancelled before it has begun."""
    with contextlib.suppress(RuntimeError):  # the loop has ended: nobody counts any more
        loop.call_soon_threadsafe(share.hold, 0)
    if not ended.cancelled() and ended.exception() is None:
        result = ended.result()
        if isinstance(result, Coroutine):
            result.close()  # it will not be awaited
