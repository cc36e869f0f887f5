"""ModelInfer and ModelStreamInfer, asked by gRPC's own client."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.errors import BadInput, EngineBroken, OutOfMemory
from modelfleet_runtime.protocols.grpc import codec
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import PIXELS, doubling, spec
from tests.unit.runtime.grpc.serving import PATIENCE, array_of, request, running, until

pytestmark = pytest.mark.usefixtures("transport")


class Gate:
    """An engine that runs when it is told to."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.rows = 0

    def run(self, batch: Tensors) -> Tensors:
        self.entered.set()
        assert self.opened.wait(PATIENCE)
        self.rows += len(batch["x"])
        return doubling()(batch)


async def reached(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, PATIENCE)


async def test_raw_contents_are_answered_raw() -> None:
    async with running(doubling()) as up:
        answer = await up.infer(request([[1, 2, 3, 4], [5, 6, 7, 8]], id="a1"))
    assert (answer.model_name, answer.model_version, answer.id) == ("m", "3", "a1")
    (output,) = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("y", "FP32", [2, 2])
    assert array_of(answer) == [[2, 4], [10, 12]]


async def test_typed_contents_are_answered_the_same() -> None:
    asked = pb.ModelInferRequest(model_name="m", model_version="3")
    tensor = asked.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    tensor.contents.fp32_contents.extend([1, 2, 3, 4])
    async with running(doubling()) as up:
        assert array_of(await up.infer(asked)) == [[2, 4]]


@pytest.mark.parametrize(
    ("dtype", "field", "values"),
    [
        (DType.BOOL, "bool_contents", [True, False]),
        (DType.INT8, "int_contents", [-128, 127]),
        (DType.INT16, "int_contents", [-32768, 32767]),
        (DType.INT32, "int_contents", [-(2**31), 2**31 - 1]),
        (DType.INT64, "int64_contents", [-(2**63), 2**63 - 1]),
        (DType.UINT8, "uint_contents", [0, 255]),
        (DType.UINT16, "uint_contents", [0, 65535]),
        (DType.UINT32, "uint_contents", [0, 2**32 - 1]),
        (DType.UINT64, "uint64_contents", [0, 2**64 - 1]),
        (DType.FP32, "fp32_contents", [0.5, -2.0]),
        (DType.FP64, "fp64_contents", [0.1, 1e300]),
        (DType.BYTES, "bytes_contents", [b"\xff\x00", b""]),
    ],
)
async def test_every_datatype_comes_back_as_it_went(
    dtype: DType, field: str, values: list[Any]
) -> None:
    signature = Signature((spec("x", dtype, 2),), (spec("y", dtype, 2),))
    asked = pb.ModelInferRequest(model_name="m")
    tensor = asked.inputs.add(name="x", datatype=dtype.value, shape=[2])
    getattr(tensor.contents, field).extend(values)
    async with running(lambda batch: {"y": batch["x"]}, signature) as up:
        typed = await up.infer(asked)
        again = pb.ModelInferRequest(model_name="m")
        again.inputs.add(name="x", datatype=dtype.value, shape=[2])
        again.raw_input_contents.append(typed.raw_output_contents[0])
        raw = await up.infer(again)
    assert raw == typed
    if dtype is DType.BYTES:
        assert typed.raw_output_contents[0] == b"\2\0\0\0\xff\0\0\0\0\0"
    else:
        assert np.frombuffer(typed.raw_output_contents[0], dtype.numpy).tolist() == values


async def test_the_same_request_again_and_with_other_values_and_ids() -> None:
    """The first is read whole, the others by what was learnt from it."""
    async with running(doubling()) as up:
        for number in range(5):
            answer = await up.infer(request([[number] * 4], id=f"id-{number}"))
            assert answer.id == f"id-{number}"
            assert array_of(answer) == [[2 * number] * 2]
        answer = await up.infer(request([[1] * 4, [2] * 4]))
        assert (answer.id, array_of(answer)) == ("", [[2, 2], [4, 4]])
        answer = await up.infer(request([[1] * 4], id="grün"))
        assert answer.id == "grün"


async def test_outputs_are_chosen_in_their_order() -> None:
    signature = Signature(
        PIXELS.inputs, (spec("y", DType.FP32, -1, 2), spec("z", DType.FP32, -1)), batched=True
    )

    def run(batch: Tensors) -> Tensors:
        return {**doubling()(batch), "z": batch["x"][:, 0]}

    async with running(run, signature) as up:
        asked = request()
        assert [one.name for one in (await up.infer(asked)).outputs] == ["y", "z"]
        asked.outputs.add(name="z")
        asked.outputs.add(name="y")
        for _ in range(2):
            answer = await up.infer(asked)
            assert [one.name for one in answer.outputs] == ["z", "y"]
            assert [len(raw) for raw in answer.raw_output_contents] == [4, 8]


async def test_a_large_request_and_a_large_answer_cross_many_frames() -> None:
    values = np.arange(400_000, dtype=np.float32).reshape(-1, 4)
    async with running(
        lambda batch: {"y": batch["x"]}, Signature(PIXELS.inputs, PIXELS.inputs, True)
    ) as up:
        answer = await up.infer(request(values))
    raw = b"".join(answer.raw_output_contents)
    assert raw == values.tobytes()


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_read(compression: grpc.Compression) -> None:
    async with running(doubling()) as up:
        answer = await up.infer(request([[1, 2, 3, 4]] * 50), compression=compression)
        assert array_of(answer) == [[2, 4]] * 50


async def test_many_calls_on_one_connection_go_together() -> None:
    gate = Gate()
    async with running(gate.run, batching=Batching(max_size=64)) as up:
        first = up.infer(request())
        await reached(gate.entered)
        calls = [up.infer(request([[n] * 4])) for n in range(40)]
        await until(lambda: up.served.batcher.open >= 41)
        gate.opened.set()
        for number, answer in enumerate(await asyncio.gather(*calls)):
            assert array_of(answer) == [[2 * number] * 2]
        await first
    assert gate.rows == 41


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (BadInput("no"), grpc.StatusCode.INVALID_ARGUMENT),
        (EngineBroken("no"), grpc.StatusCode.INTERNAL),
        (OutOfMemory("no"), grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_what_the_model_refuses_has_a_status_and_its_words(
    refusal: Exception, status: grpc.StatusCode
) -> None:
    def run(_: Tensors) -> Tensors:
        raise refusal

    async with running(run) as up:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(request())
    assert failed.value.code() is status
    assert "no" in (failed.value.details() or "")


async def test_no_memory_for_an_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(codec, "outputs_of", none)
    async with running(doubling()) as up:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(request())
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "memory" in (failed.value.details() or "")


async def test_a_full_queue_is_unavailable_and_says_when_to_try_again() -> None:
    gate = Gate()
    async with running(gate.run, batching=Batching(max_size=1, queue_size=1)) as up:
        running_one = up.infer(request())
        await reached(gate.entered)
        waiting = up.infer(request())
        await until(lambda: up.served.batcher.open >= 2)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(request())
        gate.opened.set()
        await asyncio.gather(running_one, waiting)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert ("retry-after", "1") in tuple(failed.value.trailing_metadata() or ())


async def test_a_model_that_is_being_loaded_is_unavailable() -> None:
    async with running(doubling(), loaded=False) as up:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(request())
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not (await up.ask("ServerReady")(pb.ServerReadyRequest())).ready


async def test_a_cancelled_call_leaves_the_queue() -> None:
    gate = Gate()
    async with running(gate.run, batching=Batching(max_size=1)) as up:
        first = up.infer(request())
        await reached(gate.entered)
        second = up.infer(request())
        await until(lambda: up.served.batcher.open >= 2)
        second.cancel()
        await until(lambda: up.served.batcher.open <= 1)
        gate.opened.set()
        await first
        assert gate.rows == 1
        assert 'status="499"} 1.0' in up.metrics.exposition()[1].decode()


async def test_a_connection_that_breaks_takes_its_calls_out_of_the_queue() -> None:
    gate = Gate()
    async with running(gate.run, batching=Batching(max_size=1)) as up:
        first = up.infer(request())
        await reached(gate.entered)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{up.port}") as other:
            method: Any = other.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            lost = method(request().SerializeToString())
            await until(lambda: up.served.batcher.open >= 2)
        await until(lambda: up.served.batcher.open <= 1)
        assert lost.cancelled()
        gate.opened.set()
        await first


async def test_the_clients_deadline_shortens_the_requests_time() -> None:
    """Settled by the server: the queue is empty again while the engine still runs."""
    gate = Gate()
    async with running(gate.run, batching=Batching(max_size=1)) as up:
        first = up.infer(request())
        await reached(gate.entered)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(request(), timeout=0.05)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: up.served.batcher.open <= 1)
        gate.opened.set()
        await first


@pytest.mark.parametrize("how", ["parameter", "metadata"])
async def test_a_request_may_say_its_time_itself(how: str) -> None:
    gate = Gate()
    async with running(gate.run, batching=Batching(max_size=1)) as up:
        first = up.infer(request())
        await reached(gate.entered)
        asked = request()
        metadata: tuple[tuple[str, str], ...] = ()
        if how == "parameter":
            asked.parameters["timeout"].int64_param = 20_000
        else:
            metadata = (("x-request-timeout-ms", "20"),)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(asked, metadata=metadata)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        gate.opened.set()
        await first


async def test_the_request_id_is_taken_or_made_and_given_back() -> None:
    async with running(doubling()) as up:
        call = up.infer(request(), metadata=(("x-request-id", "mine"),))
        await call
        assert dict(await call.initial_metadata())["x-request-id"] == "mine"
        call = up.infer(request())
        await call
        assert dict(await call.initial_metadata())["x-request-id"]
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await up.infer(pb.ModelInferRequest(), metadata=(("x-request-id", "bad"),))
        assert ("x-request-id", "bad") in tuple(failed.value.trailing_metadata() or ())


async def test_a_stream_answers_in_the_order_of_its_requests() -> None:
    async def asked() -> AsyncIterator[pb.ModelInferRequest]:
        for number in range(300):
            yield request([[number] * 4], id=str(number))

    async with running(doubling()) as up:
        answers = [answer async for answer in up.stream(asked())]
    assert [answer.infer_response.id for answer in answers] == [str(n) for n in range(300)]
    assert [array_of(a.infer_response)[0][0] for a in answers] == [2 * n for n in range(300)]


async def test_a_bad_request_of_a_stream_is_answered_and_the_stream_goes_on() -> None:
    async def asked() -> AsyncIterator[pb.ModelInferRequest]:
        yield request(id="1")
        yield pb.ModelInferRequest(model_name="nobody", id="2")
        yield request(id="3")

    async with running(doubling()) as up:
        answers = [answer async for answer in up.stream(asked())]
    assert [a.infer_response.id for a in answers] == ["1", "2", "3"]
    assert [bool(a.error_message) for a in answers] == [False, True, False]


async def test_a_cancelled_stream_leaves_the_queue() -> None:
    gate = Gate()

    async def asked() -> AsyncIterator[pb.ModelInferRequest]:
        for _ in range(10):
            yield request()

    async with running(gate.run, batching=Batching(max_size=1)) as up:
        call = up.stream(asked())
        await until(lambda: up.served.batcher.open >= 10)
        call.cancel()
        await until(lambda: up.served.batcher.open <= 1)
        gate.opened.set()


async def test_a_stream_that_does_not_wait_for_answers_is_not_read_without_end() -> None:
    gate = Gate()
    sent = 0

    async def asked() -> AsyncIterator[pb.ModelInferRequest]:
        nonlocal sent
        for _ in range(200):
            sent += 1
            yield request()

    async with running(gate.run, batching=Batching(max_size=1)) as up:
        call = up.stream(asked())
        await until(lambda: up.served.batcher.open == 64 and sent == 200)
        assert up.served.batcher.open == 64
        gate.opened.set()
        assert len([answer async for answer in call]) == 200
