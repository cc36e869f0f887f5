"""What wakes the loop: kopf's watches on the resources and on all that belongs to them.

kopf holds no state here. Its handlers only say "look again": they patch nothing, so no annotation
and no finalizer ever gets onto a resource, and a deletion never waits for the operator. (kopf's own
daemons need a finalizer, which is why the tasks of `loop.py` are plain tasks.)

kopf runs in a thread of its own: in a shared loop it takes the signals over, and when it ends it
cancels every task that was started since its beginning, ours among them.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.kinds import Kind
from modelfleet_operator.loop import Key
from modelfleet_operator.router.pod import NAME as ROUTER_NAME
from modelfleet_operator.router.pod import SHARED

Wake = Callable[[Key], None]

WATCHED_CHILDREN = (*kinds.MADE, kinds.POD, kinds.ENDPOINT_SLICE)

# The kubelet renews a projected token when 80 % of its life (an hour, mostly) is over.
_CREDENTIALS_LAST = timedelta(minutes=5)


def configure(settings: kopf.OperatorSettings) -> None:
    """kopf's settings, each with its reason in kopf's own words and faults."""
    settings.scanning.disabled = True  # no watch on CRDs and namespaces
    settings.posting.enabled = False  # events are told by `act`
    settings.posting.loggers = False
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.enforce_retry_after = True
    settings.watching.server_timeout = 300  # a watch that never ends can die unnoticed
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 5
    settings.watching.chunk_size = 500
    settings.execution.max_workers = 1
    for kind in WATCHED_CHILDREN:
        # In the server, because a filter in the handler would still have every pod of the cluster
        # sent here and copied.
        name = kind.plural if not kind.group else f"{kind.group}/{kind.plural}"
        settings.watching.label_selectors[name] = labels.every_child()


async def watch(wake: Wake, wake_pair: Wake, namespaces: Collection[str]) -> None:
    """Calls `wake`, in the caller's loop, for whatever may have changed, and `wake_pair` for what
    concerns a namespace's routers. Ends when it is cancelled.

    Raises what ended a watch for good: the process is to end with it.
    """
    loop = asyncio.get_running_loop()
    settings = kopf.OperatorSettings()
    configure(settings)
    stop = threading.Event()
    handlers = registry(
        lambda key: loop.call_soon_threadsafe(wake, key),
        lambda key: loop.call_soon_threadsafe(wake_pair, key),
    )

    async def operate() -> None:
        try:
            await kopf.operator(
                registry=handlers,
                settings=settings,
                standalone=True,  # the lease decides who works, not kopf's peering
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        finally:
            # A thread of kopf's waits for it, and the loop would not end before that thread.
            stop.set()

    running = asyncio.ensure_future(asyncio.to_thread(asyncio.run, operate()))
    try:
        await asyncio.shield(running)
        raise RuntimeError("kopf ended, and nobody had asked it to")
    finally:
        stop.set()
        await asyncio.wait([running], timeout=10)


def registry(wake: Callable[[Key], Any], wake_pair: Callable[[Key], Any]) -> kopf.OperatorRegistry:
    """Handlers that call `wake` or `wake_pair`, and do nothing else."""
    handlers = kopf.OperatorRegistry()

    async def on_resource(namespace: str, name: str, **_: Any) -> None:
        wake(Key(namespace, name))

    async def on_child(namespace: str, labels: kopf.Labels, **_: Any) -> None:
        owner, pair = belongs_to(namespace, labels)
        if owner is not None:
            wake(owner)
        if pair is not None:
            wake_pair(pair)

    def on(kind: Kind, handler: Any) -> None:
        kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers)(handler)

    on(kinds.MODEL_DEPLOYMENT, on_resource)
    for kind in WATCHED_CHILDREN:
        on(kind, on_child)
    kopf.on.login(registry=handlers)(_login)
    return handlers


def belongs_to(namespace: str, carried: Mapping[str, str]) -> tuple[Key | None, Key | None]:
    """The ModelDeployment and the pair of routers that an object with these labels concerns."""
    owner, pair = carried.get(labels.DEPLOYMENT), None
    if carried.get(labels.ROLE) == labels.ROUTES:
        pair = carried.get(labels.ROUTERS) or SHARED
    elif carried.get("app.kubernetes.io/name") == ROUTER_NAME:
        pair = carried.get("app.kubernetes.io/instance") or SHARED
    return Key(namespace, owner) if owner else None, Key(namespace, pair) if pair else None


def _login(settings: kopf.OperatorSettings, **_: Any) -> kopf.ConnectionInfo | None:
    """Credentials that kopf asks for again before they are old.

    kopf reads a service account's token once and would go on with it until the API server refuses
    it; its watches then end for good.
    """
    found = kopf.login_with_service_account(settings=settings)
    if found is None:
        return kopf.login_with_kubeconfig(settings=settings)
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_path,
        scheme=found.scheme,
        token=found.token,
        default_namespace=found.default_namespace,
        expiration=datetime.now(UTC) + _CREDENTIALS_LAST,
    )
