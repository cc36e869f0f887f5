"""Watches and logs over a real connection: lines however they are cut, errors, and endings."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from modelfleet_operator import kinds
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Conflict, NotFound, Refused, Unavailable
from modelfleet_operator.cluster.kubeconfig import connect
from modelfleet_operator.kinds import Json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _config(server: str) -> Json:
    return {
        "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": server}}],
        "users": [{"name": "one", "user": {"token": "t"}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    }


@asynccontextmanager
async def api(
    tmp_path: Path, handler: Handler, manager: str = "somebody"
) -> AsyncIterator[KubeApi]:
    """As it connects anywhere, so that its settings are tested too."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        kubeconfig = tmp_path / "config"
        kubeconfig.write_text(yaml.safe_dump(_config(str(server.make_url("")).rstrip("/"))))
        cluster, _ = await connect(str(kubeconfig), None, manager)
        try:
            yield cluster
        finally:
            await cluster.close()


def streaming(chunks: Iterable[bytes], asked: list[web.Request] | None = None) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        if asked is not None:
            asked.append(request)
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    return handle


def answering(status: int, message: str) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "message": message}, status=status)

    return handle


async def test_lines_are_whole_however_they_come(tmp_path: Path) -> None:
    long = b"x" * 300_000
    chunks = [b"one\ntw", b"o\n", long[:100_000], long[100_000:], b"\nwithout an end \xff"]
    async with api(tmp_path, streaming(chunks)) as cluster:
        lines = [line async for line in cluster.logs("a", "pod", "model")]
    assert lines == ["one", "two", long.decode(), "without an end \ufffd"]


async def test_what_is_asked_of_logs(tmp_path: Path) -> None:
    asked: list[web.Request] = []
    async with api(tmp_path, streaming([b"x\n"], asked)) as cluster:
        lines = cluster.logs("a", "pod", "model", follow=True, tail=3, since_s=60)
        assert [line async for line in lines] == ["x"]
    assert asked[0].path == "/api/v1/namespaces/a/pods/pod/log"
    assert dict(asked[0].query) == {
        "container": "model", "follow": "true", "tailLines": "3", "sinceSeconds": "60"
    }  # fmt: skip
    assert asked[0].headers["User-Agent"] == "somebody"


async def test_a_watch_tells_changes_and_ends_where_the_server_has_forgotten(
    tmp_path: Path,
) -> None:
    changes: list[Json] = [
        {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
        {"type": "ERROR", "object": {"code": 410}},
        {"type": "ADDED", "object": {"metadata": {"name": "never"}}},
    ]
    asked: list[web.Request] = []
    chunks = [json.dumps(change).encode() + b"\n" for change in changes]
    async with api(tmp_path, streaming(chunks, asked)) as cluster:
        watch = cluster.watch(kinds.POD, "a", label_selector="x=y", since="7")
        assert [change async for change in watch] == changes[:1]
    assert asked[0].query["resourceVersion"] == "7"
    assert asked[0].query["labelSelector"] == "x=y"


@pytest.mark.parametrize(
    ("status", "error"), [(404, NotFound), (403, Refused), (503, Unavailable), (400, Refused)]
)
async def test_a_stream_that_is_refused_says_why(
    tmp_path: Path, status: int, error: type[Exception]
) -> None:
    async with api(tmp_path, answering(status, "the reason")) as cluster:
        with pytest.raises(error, match="the reason"):
            async for _ in cluster.logs("a", "pod", "model"):
                pass


async def test_a_connection_that_breaks_is_unavailable(tmp_path: Path) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    async with api(tmp_path, broken) as cluster:
        with pytest.raises(Unavailable):
            async for _ in cluster.logs("a", "pod", "model"):
                pass


async def test_a_patch_is_a_merge_by_the_manager(tmp_path: Path) -> None:
    asked: list[web.Request] = []
    bodies: list[Json] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        bodies.append(await request.json())
        return web.json_response({"metadata": {"name": "x"}})

    async with api(tmp_path, handle) as cluster:
        await cluster.patch(kinds.POD, "a", "x", {"spec": {"gone": None}})
    assert asked[0].method == "PATCH"
    assert asked[0].content_type == "application/merge-patch+json"
    assert dict(asked[0].query) == {"fieldManager": "somebody"}
    assert bodies == [{"spec": {"gone": None}}]


async def test_a_patch_of_what_changed_is_a_conflict(tmp_path: Path) -> None:
    async with api(tmp_path, answering(409, "modified")) as cluster:
        with pytest.raises(Conflict, match="modified"):
            await cluster.patch(kinds.POD, "a", "x", {})


async def test_an_empty_namespace_is_every_one(tmp_path: Path) -> None:
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return web.json_response({"items": [], "metadata": {}})

    async with api(tmp_path, handle) as cluster:
        await cluster.list(kinds.MODEL_DEPLOYMENT, "", field_selector="metadata.name=x")
    assert asked[0].path == "/apis/modelfleet.dev/v1alpha1/modeldeployments"
    assert asked[0].query["fieldSelector"] == "metadata.name=x"


@pytest.mark.parametrize(
    "ask",
    [
        lambda cluster: cluster.get(kinds.POD, "a", "x"),
        lambda cluster: cluster.delete(kinds.POD, "a", "x", "uid"),
    ],
)
async def test_a_server_in_trouble_is_asked_once(
    tmp_path: Path, ask: Callable[[KubeApi], Awaitable[object]]
) -> None:
    """Whoever asks decides when to ask again."""
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        asked.append(request)
        return web.json_response({"message": "etcd is away"}, status=503)

    async with api(tmp_path, handle) as cluster:
        with pytest.raises(Unavailable, match="etcd is away"):
            await ask(cluster)
    assert len(asked) == 1
