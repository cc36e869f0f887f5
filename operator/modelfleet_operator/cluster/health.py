"""/healthz: does this process still work?

The kubelet ends the process when it does not, which is the cure for every way to hang. Healthy
means that the loop turns (it answers at all), and that a holder of the lease goes on renewing it.
"""

from collections.abc import Callable

from aiohttp import web


async def serve_health(port: int, problem: Callable[[], str | None]) -> web.AppRunner:
    """Answers until the runner is cleaned up. `problem` says what is wrong, None if nothing is."""

    async def healthz(_: web.Request) -> web.Response:
        what = problem()
        return web.Response(status=200 if what is None else 503, text=what or "ok\n")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", port).start()
    return runner
