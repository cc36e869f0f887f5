"""The API server, dictionaries in and out.

Typed models are left out on purpose: turning 300 pods into them takes 5 to 10 times as long as
reading their JSON, and importing them costs 80 MB.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.incluster_config import load_incluster_config
from kubernetes.aio.config.kube_config import load_kube_config

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cluster.errors import ApiError, Conflict, NotFound, Refused, Unavailable
from modelfleet_operator.kinds import Json, Kind

_IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_TIMEOUT_S = 30.0
_WATCH_S = 300
"""A watch that never ends can die unnoticed."""
_PAGE = 500
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


class KubeApi:
    """One connection pool to one API server. Every call raises `cluster.errors.ApiError`.

    `manager` is named in the objects as the one who wrote what is written through it.
    """

    def __init__(self, client: ApiClient, manager: str = labels.MANAGER) -> None:
        self._client = client
        self._manager = manager
        self._agent = "modelfleet-operator" if manager == labels.MANAGER else manager

    @classmethod
    async def connect(cls) -> Self:
        """As a pod where there is a service account, else as the kubeconfig says."""
        configuration = Configuration()
        configuration.retries = None  # False counts as 0 attempts, and those never end
        if _IN_CLUSTER.exists():  # noqa: ASYNC240  (once, before anything runs)
            load_incluster_config(client_configuration=configuration)
        else:
            await load_kube_config(client_configuration=configuration)
        return cls(ApiClient(configuration))

    async def close(self) -> None:
        await self._client.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Json:
        return await self._call("GET", kind.path(namespace, name))

    async def list(
        self,
        kind: Kind,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        remembered: bool = False,
    ) -> list[Json]:
        """All objects, as they are now (no cache stands between); of every namespace where
        `namespace` is empty. `remembered`: as the API server has them in memory, in one piece; that
        is cheaper, and may be a moment old."""
        items: list[Json] = []
        kind_of_item = {"apiVersion": kind.api_version, "kind": kind.kind}
        query = {
            "limit": "" if remembered else str(_PAGE),
            "resourceVersion": "0" if remembered else "",
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
        }
        while True:
            page = await self._call("GET", kind.path(namespace), query)
            # Inside a list the API server leaves out what the list itself says.
            items += ({**kind_of_item, **item} for item in page["items"])
            more = page["metadata"].get("continue")
            if not more:
                return items
            query["continue"] = more

    async def watch(
        self,
        kind: Kind,
        namespace: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        since: str = "",
    ) -> AsyncIterator[Json]:
        """What changes after the resourceVersion `since`, as `{type, object}`; without one, what
        there is comes first, as added.

        It ends when the server ends it, which it does after some minutes: read, and watch again.
        """
        query = {
            "watch": "true",
            "timeoutSeconds": str(_WATCH_S),
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": since,
        }
        path = kind.path(namespace)
        async for line in self._lines(path, query, silence_s=_WATCH_S + _TIMEOUT_S):
            change: Json = json.loads(line)
            if change["type"] == "ERROR":
                return  # what happened since is forgotten there
            yield change

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        previous: bool = False,
        tail: int | None = None,
        since_s: int | None = None,
    ) -> AsyncIterator[str]:
        """Lines of a container, without their ends; `tail` None: all of them.

        Raises `Refused` while the container has not started.
        """
        query = {
            "container": container,
            "follow": "true" if follow else "",
            "previous": "true" if previous else "",
            "tailLines": "" if tail is None else str(tail),
            "sinceSeconds": "" if since_s is None else str(since_s),
        }
        path = f"{kinds.POD.path(namespace, pod)}/log"
        async for line in self._lines(path, query, silence_s=None if follow else _TIMEOUT_S):
            yield line.decode(errors="replace")

    async def create(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Raises `Conflict` when an object of that name is there already."""
        query = {"fieldManager": self._manager}
        return await self._call("POST", kind.path(namespace), query, body)

    async def apply(
        self, kind: Kind, namespace: str, body: Json, *, subresource: str | None = None
    ) -> Json:
        """Server-side apply: the fields in `body`, and no others, are ours afterwards."""
        path = kind.path(namespace, body["metadata"]["name"], subresource)
        query = {"fieldManager": self._manager, "force": "true"}
        return await self._call("PATCH", path, query, body, content_type=_APPLY)

    async def scale(self, kind: Kind, namespace: str, name: str, replicas: int) -> None:
        query = {"fieldManager": self._manager}
        body = {"spec": {"replicas": replicas}}
        path = kind.path(namespace, name, "scale")
        await self._call("PATCH", path, query, body, content_type=_MERGE)

    async def annotate(
        self, kind: Kind, namespace: str, name: str, annotations: dict[str, str | None]
    ) -> None:
        """These annotations and no others; None takes one away."""
        query = {"fieldManager": self._manager}
        body = {"metadata": {"annotations": annotations}}
        await self._call("PATCH", kind.path(namespace, name), query, body, content_type=_MERGE)

    async def patch(self, kind: Kind, namespace: str, name: str, fields: Json) -> Json:
        """Merges `fields` into the object; None takes a field away. With a resourceVersion in its
        metadata, raises `Conflict` when the object changed since."""
        query = {"fieldManager": self._manager}
        path = kind.path(namespace, name)
        return await self._call("PATCH", path, query, fields, content_type=_MERGE)

    async def replace(self, kind: Kind, namespace: str, body: Json) -> Json:
        """Raises `Conflict` when the object changed since `body` was read."""
        return await self._call("PUT", kind.path(namespace, body["metadata"]["name"]), None, body)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Only the object with that uid: never a new one that took its name."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        await self._call("DELETE", kind.path(namespace, name), None, body)

    async def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Json | None = None,
        *,
        content_type: str = "application/json",
    ) -> Json:
        try:
            answer = await self._send(method, path, query, body, content_type, _TIMEOUT_S)
            content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"{method} {path}: {error or type(error).__name__}") from error
        if answer.status < 300:
            return json.loads(content) if content else {}
        raise _error(method, path, answer.status, answer.getheader("Retry-After"), content)

    async def _lines(
        self, path: str, query: dict[str, str], *, silence_s: float | None
    ) -> AsyncIterator[bytes]:
        """What is answered, line by line as it comes; `silence_s`: the longest wait for more."""
        patience = aiohttp.ClientTimeout(sock_connect=_TIMEOUT_S, sock_read=silence_s)
        answer = None
        try:
            answer = await self._send("GET", path, query, None, "application/json", patience)
            if answer.status >= 300:
                content = await answer.read()
                retry_after = answer.getheader("Retry-After")
                raise _error("GET", path, answer.status, retry_after, content)
            rest = b""
            async for chunk in answer.response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
            if rest:
                yield rest
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"GET {path}: {error or type(error).__name__}") from error
        finally:
            if answer is not None:
                answer.response.close()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: Json | None,
        content_type: str,
        patience: float | aiohttp.ClientTimeout,
    ) -> Any:
        headers = {"Accept": "application/json", "User-Agent": self._agent}
        if body is not None:
            headers["Content-Type"] = content_type
        url = f"{self._client.configuration.host}{path}"
        if query:
            url += "?" + urlencode({k: v for k, v in query.items() if v})
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        return await self._client.call_api(
            method, url, header_params=headers, body=body, _request_timeout=patience
        )


def _error(
    method: str, path: str, status: int, retry_after: str | None, content: bytes
) -> ApiError:
    try:
        message = str(json.loads(content).get("message", ""))
    except (ValueError, AttributeError):
        message = content[:200].decode(errors="replace")
    said = message or f"HTTP {status}"
    if status == 404:
        return NotFound(said)
    if status == 409:
        return Conflict(said)
    if status == 429 or status >= 500:
        wait = float(retry_after) if retry_after and retry_after.isdecimal() else None
        return Unavailable(f"{method} {path}: {said}", wait)
    return Refused(said)
