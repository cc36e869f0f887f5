"""modelfleet-operator: settings, logs, lease, watches, and how it ends."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Coroutine, Sequence
from datetime import timedelta

from modelfleet_operator import logs
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.health import serve_health
from modelfleet_operator.cluster.lease import DURATION_S, Lease, LeaseLost
from modelfleet_operator.cluster.prometheus import PrometheusApi
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.loop import Keeper, Look
from modelfleet_operator.pair import PairLook
from modelfleet_operator.plan.types import Defaults
from modelfleet_operator.settings import Settings, SettingsError, describe
from modelfleet_operator.watch import watch

log = logging.getLogger("modelfleet")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="modelfleet-operator",
        description=(
            "Serves every ModelDeployment (modelfleet.dev/v1alpha1) of the cluster. It runs as a "
            "pod with the chart's service account, or outside with the kubeconfig that KUBECONFIG "
            "names."
        ),
        epilog=f"Settings are environment variables:\n{describe()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        print(f"modelfleet-operator: {error}", file=sys.stderr)
        return 2
    logs.configure(settings.log_level)
    try:
        asyncio.run(run(settings))
    except LeaseLost as lost:
        # Ending is the safe way to stop: whatever was under way is dropped at once.
        log.error("ending: %s", lost)
        return 1
    return 0


async def run(settings: Settings) -> None:
    """Works until SIGTERM or SIGINT. Raises `LeaseLost`."""
    stop = asyncio.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, stop.set)
    holder = f"{settings.pod_name or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    cluster = await KubeApi.connect()
    lease = Lease(cluster, settings.pod_namespace, settings.lease_name, holder)
    health = await serve_health(settings.health_port, lambda: _problem(lease))
    try:
        if await _unless(stop, lease.acquire()):
            await _lead(settings, cluster, lease, stop)
    finally:
        await lease.release()
        await health.cleanup()
        await cluster.close()


async def _lead(settings: Settings, cluster: KubeApi, lease: Lease, stop: asyncio.Event) -> None:
    routers, prometheus = RouterApi(), None
    if settings.prometheus_url:
        prometheus = PrometheusApi(settings.prometheus_url, settings.prometheus_token_file)
    look = Look(
        cluster,
        routers,
        Defaults(
            runtime_image=settings.runtime_image,
            runtime_torch_image=settings.runtime_torch_image,
            image_pull_policy=settings.image_pull_policy,
            cluster_domain=settings.cluster_domain,
            routers=bool(settings.router_image),
            prometheus=prometheus is not None,
        ),
        reporter=settings.pod_name or socket.gethostname(),
        prometheus=prometheus,
    )
    keeper = Keeper(
        look,
        concurrency=settings.concurrency,
        resync=timedelta(seconds=settings.resync_seconds),
    )
    pairs = Keeper(
        PairLook(cluster, routers, settings.router_image, settings.image_pull_policy),
        concurrency=settings.concurrency,
        resync=timedelta(seconds=settings.resync_seconds),
    )
    log.info("watching %s", ", ".join(settings.namespaces) or "all namespaces")
    tasks = [
        asyncio.create_task(lease.keep()),
        asyncio.create_task(watch(keeper.wake, pairs.wake, settings.namespaces)),
        asyncio.create_task(stop.wait()),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a watch that died takes the process with it; the kubelet starts another
    finally:
        # First: whoever holds the lease next may begin at any moment.
        await asyncio.gather(keeper.close(), pairs.close())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await routers.close()
        if prometheus is not None:
            await prometheus.close()


def _problem(lease: Lease) -> str | None:
    if lease.renewed_at is None:
        return None  # waiting for the lease is healthy
    age = time.monotonic() - lease.renewed_at
    return f"the lease was not renewed for {age:.0f} s\n" if age > 2 * DURATION_S else None


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Whether `work` was done before `stop` was set."""
    task = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return False
    task.result()
    return True


if __name__ == "__main__":
    sys.exit(main())
