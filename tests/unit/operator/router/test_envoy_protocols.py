"""What passes through, on the real Envoy: gRPC, streams, large bodies, old clients."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest

from modelfleet_operator.router.intervals import first
from modelfleet_operator.router.site import MIB, Arm, HeaderMatch, Match, all_to
from tests.unit.operator.router.bed import on_ports, running, until
from tests.unit.operator.router.builders import A, B, arm
from tests.unit.operator.router.pods import Pods, Request

GRPC = 8081
SAY, COUNT = "/test.Model/Say", "/test.Model/Count"


class _Model(grpc.GenericRpcHandler):
    """Says which revision it is; counts as far as it is asked to."""

    def __init__(self, revision: str) -> None:
        self.revision = revision

    def service(
        self, details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[bytes, bytes] | None":
        match details.method:
            case "/test.Model/Say":
                return grpc.unary_unary_rpc_method_handler(self._say)
            case "/test.Model/Count":
                return grpc.unary_stream_rpc_method_handler(self._count)
        return None

    async def _say(self, request: bytes, _: object) -> bytes:
        if request == b"too late":
            await asyncio.Event().wait()
        return self.revision.encode()

    async def _count(self, request: bytes, _: object) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()


@pytest.fixture
async def speaking(pods: Pods) -> AsyncIterator[Pods]:
    """A pod of A and one of B, which speak both protocols."""
    servers = []
    for revision in (A, B):
        (pod,) = await pods.add(revision)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_Model(revision),))
        server.add_insecure_port(f"{pod.address}:{GRPC}")
        await server.start()
        servers.append(server)
    yield pods
    for server in servers:
        await server.stop(None)


def _arms() -> tuple[Arm, ...]:
    return (arm(A, grpc_port=GRPC), arm(B, grpc_port=GRPC))


def _unary(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
    return channel.unary_unary(SAY)


async def test_calls_are_split_and_matched_as_requests_are_on_both_ports(speaking: Pods) -> None:
    wanted = on_ports(
        arms=_arms(),
        intervals=first({B: 5000, A: 5000}),
        matches=(Match(all_to(B), headers=(HeaderMatch("x-variant", "challenger"),)),),
    )
    async with running([wanted], speaking.dns.at, healthy={A: 1, B: 1}) as bed:

        async def grpc_healthy() -> bool:
            found = (await bed.observed()).grpc_members
            return all(found[revision].healthy == 1 for revision in (A, B))

        await until(grpc_healthy, "the pods are healthy for gRPC")
        for port in (wanted.grpc_port, wanted.http_port):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                say = _unary(channel)
                answers = {await say(b"", timeout=10) for _ in range(100)}
                assert answers == {A.encode(), B.encode()}
                only = [("x-variant", "challenger")]
                assert {await say(b"", timeout=10, metadata=only) for _ in range(20)} == {
                    B.encode()
                }
        counted = await bed.statistics()
        assert counted[A].completed + counted[B].completed == 240


async def test_a_stream_of_answers_and_a_deadline_pass(speaking: Pods) -> None:
    wanted = on_ports(arms=_arms())
    async with running([wanted], speaking.dns.at, healthy={A: 1}):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{wanted.grpc_port}") as channel:
            count: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(COUNT)
            found = [each async for each in count(b"1000", timeout=10)]
            assert found == [str(number).encode() for number in range(1000)]
            with pytest.raises(grpc.aio.AioRpcError) as late:
                await _unary(channel)(b"too late", timeout=0.2)
            assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert await _unary(channel)(b"", timeout=10) == A.encode()


async def test_a_revision_without_pods_is_unavailable_to_grpc(speaking: Pods) -> None:
    arms = (arm(A, grpc_port=GRPC, host="nobody.team.svc.cluster.local."), arm(B, grpc_port=GRPC))
    wanted = on_ports(arms=arms)
    async with running([wanted], speaking.dns.at):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{wanted.grpc_port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await _unary(channel)(b"", timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_http_is_answered_on_the_grpc_port_too(pods: Pods) -> None:
    await pods.add(A)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        assert (await bed.get("/v2/health/ready", wanted.grpc_port)).text == A


async def test_each_event_of_a_stream_is_handed_on_at_once(pods: Pods) -> None:
    """The next one is sent only when the caller has the one before."""
    arrived = asyncio.Event()

    async def events(request: Request) -> tuple[int, bytes]:
        (connection,) = [each for each in pod.connections if each.answering is request]
        transport = connection.transport
        transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for number in range(20):
            event = b"data: %d\n\n" % number
            transport.write(b"%x\r\n%s\r\n" % (len(event), event))
            await arrived.wait()
            arrived.clear()
        transport.write(b"0\r\n\r\n")
        return 0, b""

    (pod,) = await pods.add(A, handler=events)
    wanted = on_ports(timeout_s=1)
    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        url = f"http://127.0.0.1:{wanted.http_port}/stream"
        found = []
        async with bed.client.stream("POST", url, content=b"{}") as answer:
            async for line in answer.aiter_lines():
                if line:
                    found.append(line)
                    arrived.set()
        assert found == [f"data: {number}" for number in range(20)]


@pytest.mark.parametrize("kept", [0, 1 * MIB], ids=["nothing kept", "1 MiB kept"])
async def test_bodies_larger_than_what_is_kept_pass(pods: Pods, kept: int) -> None:
    (pod,) = await pods.add(A)
    wanted = on_ports(retry_body_bytes=kept)
    body = b"0123456789abcdef" * (20 * MIB // 16)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), MIB):
            yield body[start : start + MIB]

    async with running([wanted], pods.dns.at, healthy={A: 1}) as bed:
        url = f"http://127.0.0.1:{wanted.http_port}/infer"
        for content in (body, in_pieces()):
            answer = await bed.client.post(url, content=content)
            assert answer.status_code == 200, answer.text
            assert pod.requests.pop().body == body


async def test_a_client_that_speaks_http_1_0_is_answered(pods: Pods) -> None:
    await pods.add(A)
    wanted = on_ports()
    async with running([wanted], pods.dns.at, healthy={A: 1}):
        reader, writer = await asyncio.open_connection("127.0.0.1", wanted.http_port)
        writer.write(b"GET /infer HTTP/1.0\r\n\r\n")
        answer = await reader.read()
        assert b" 200 " in answer.partition(b"\r\n")[0]
        assert answer.endswith(A.encode())
        writer.close()
        await writer.wait_closed()
