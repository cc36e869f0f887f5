"""What the port says of server and model, and how it drains."""

import asyncio
from typing import Any

import grpc
import pytest

from modelfleet_contract import Batching
from modelfleet_runtime.protocols.grpc.messages import (
    health_pb2,
    inference_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
)
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.grpc.serving import INFERENCE, Running, request, running

pytestmark = pytest.mark.usefixtures("transport")

HEALTH = "grpc.health.v1.Health"
Serving = health_pb2.HealthCheckResponse


async def check(up: Running, name: str = "") -> int:
    method = up.unary(f"{HEALTH}/Check", health_pb2.HealthCheckRequest, Serving)
    answer = await method(health_pb2.HealthCheckRequest(service=name))
    status: int = answer.status
    return status


def watch(up: Running, name: str = "") -> Any:
    return up.channel.unary_stream(
        f"/{HEALTH}/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        Serving.FromString,
    )(health_pb2.HealthCheckRequest(service=name))


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code(), failed.value.details() or ""


async def test_live_ready_and_metadata() -> None:
    async with running(doubling()) as up:
        assert (await up.ask("ServerLive")(pb.ServerLiveRequest())).live
        assert (await up.ask("ServerReady")(pb.ServerReadyRequest())).ready
        assert (await up.ask("ModelReady")(pb.ModelReadyRequest(name="m"))).ready
        server = await up.ask("ServerMetadata")(pb.ServerMetadataRequest())
        model = await up.ask("ModelMetadata")(pb.ModelMetadataRequest(name="m", version="3"))
    assert server.name == "modelfleet"
    assert "binary_tensor_data" in server.extensions
    assert (model.name, list(model.versions), model.platform) == ("m", ["3"], "onnx")
    (x,) = model.inputs
    assert (x.name, x.datatype, list(x.shape)) == ("x", "FP32", [-1, 4])


@pytest.mark.parametrize("name", ["ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics"])
async def test_an_unknown_model_or_version_is_not_found(name: str) -> None:
    kind = getattr(pb, f"{name}Request")
    async with running(doubling()) as up:
        for asked in (kind(name="other"), kind(name="m", version="4")):
            code, words = await refusal(up.ask(name)(asked))
            assert code is grpc.StatusCode.NOT_FOUND
            assert "not found" in words


async def test_the_configuration_is_what_holds_here() -> None:
    async with running(doubling(), batching=Batching(max_size=8, queue_size=99)) as up:
        config = (await up.ask("ModelConfig")(pb.ModelConfigRequest(name="m"))).config
    assert (config.name, config.backend, config.max_batch_size) == ("m", "onnxruntime", 8)
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [("x", pb.TYPE_FP32, [4])]
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 99
    assert config.version_policy.specific.versions == [3]


async def test_statistics_count_what_was_answered() -> None:
    async with running(doubling()) as up:
        for _ in range(3):
            await up.infer(request([[1] * 4] * 2))
        await refusal(up.infer(pb.ModelInferRequest(model_name="m")))
        answer = await up.ask("ModelStatistics")(pb.ModelStatisticsRequest())
    (stats,) = answer.model_stats
    assert (stats.name, stats.version) == ("m", "3")
    assert (stats.inference_count, stats.execution_count) == (6, 3)
    counts = stats.inference_stats
    assert (counts.success.count, counts.fail.count, counts.queue.count) == (3, 1, 3)
    assert counts.success.ns >= counts.compute_infer.ns > 0
    assert stats.last_inference > 1_700_000_000_000


async def test_the_repository_has_one_model_that_stays() -> None:
    async with running(doubling()) as up:
        index = await up.ask("RepositoryIndex")(pb.RepositoryIndexRequest())
        assert [(m.name, m.version, m.state) for m in index.models] == [("m", "3", "READY")]
        await up.ask("RepositoryModelLoad")(pb.RepositoryModelLoadRequest(model_name="m"))
        unload = up.ask("RepositoryModelUnload")
        code, words = await refusal(unload(pb.RepositoryModelUnloadRequest(model_name="m")))
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert "one model" in words
        load = up.ask("RepositoryModelLoad")
        code, _ = await refusal(load(pb.RepositoryModelLoadRequest(model_name="n")))
        assert code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    "name",
    [
        "SystemSharedMemoryRegister",
        "SystemSharedMemoryUnregister",
        "CudaSharedMemoryRegister",
        "CudaSharedMemoryUnregister",
    ],
)
async def test_shared_memory_is_refused_in_words(name: str) -> None:
    async with running(doubling()) as up:
        code, words = await refusal(up.ask(name)(getattr(pb, f"{name}Request")()))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert "shared memory is not supported" in words


async def test_settings_are_told_and_not_changed() -> None:
    async with running(doubling()) as up:
        trace = await up.ask("TraceSetting")(pb.TraceSettingRequest())
        assert trace.settings["trace_level"].value == ["OFF"]
        assert (await up.ask("LogSettings")(pb.LogSettingsRequest())).settings["log_error"]
        logs = pb.LogSettingsRequest()
        logs.settings["log_info"].bool_param = False
        code, _ = await refusal(up.ask("LogSettings")(logs))
        assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_health_follows_the_servers_life() -> None:
    async with running(doubling(), loaded=False) as up:
        assert await check(up) == Serving.NOT_SERVING
        call = watch(up, INFERENCE)
        assert (await call.read()).status == Serving.NOT_SERVING
        up.life.loaded(up.served)
        assert (await call.read()).status == Serving.SERVING
        assert {await check(up, n) for n in ("", INFERENCE, HEALTH, "m")} == {Serving.SERVING}
        up.life.drain()
        assert (await call.read()).status == Serving.NOT_SERVING
        call.cancel()


async def test_health_hears_that_nothing_will_run_again() -> None:
    async with running(doubling()) as up:
        call = watch(up, "m")
        assert (await call.read()).status == Serving.SERVING
        up.life.died("the GPU is gone")
        assert (await call.read()).status == Serving.NOT_SERVING
        call.cancel()


async def test_health_of_an_unknown_service() -> None:
    async with running(doubling()) as up:
        method = up.unary(f"{HEALTH}/Check", health_pb2.HealthCheckRequest, Serving)
        code, _ = await refusal(method(health_pb2.HealthCheckRequest(service="nobody")))
        assert code is grpc.StatusCode.NOT_FOUND
        call = watch(up, "nobody")
        assert (await call.read()).status == Serving.SERVICE_UNKNOWN
        call.cancel()


async def test_health_lists_every_service() -> None:
    async with running(doubling()) as up:
        method = up.unary(
            f"{HEALTH}/List", health_pb2.HealthListRequest, health_pb2.HealthListResponse
        )
        found = (await method(health_pb2.HealthListRequest())).statuses
    assert {name: one.status for name, one in found.items()} == dict.fromkeys(
        ("", INFERENCE, HEALTH, "m"), Serving.SERVING
    )


@pytest.mark.parametrize("messages", [reflection_pb2, reflection_v1alpha_pb2])
async def test_reflection_shows_services_and_their_messages(messages: Any) -> None:
    version = messages.DESCRIPTOR.package
    kind = messages.ServerReflectionRequest
    asked = [
        kind(list_services="*"),
        kind(file_containing_symbol="inference.GRPCInferenceService.ModelInfer"),
        kind(file_by_filename="health.proto"),
        kind(file_containing_symbol="no.such"),
        kind(),
    ]
    async with running(doubling()) as up:
        method = up.channel.stream_stream(
            f"/{version}.ServerReflection/ServerReflectionInfo",
            kind.SerializeToString,
            messages.ServerReflectionResponse.FromString,
        )
        answers = [answer async for answer in method(iter(asked))]
    services = {service.name for service in answers[0].list_services_response.service}
    assert {INFERENCE, HEALTH, f"{version}.ServerReflection"} <= services
    (file,) = answers[1].file_descriptor_response.file_descriptor_proto
    assert file == inference_pb2.DESCRIPTOR.serialized_pb
    (file,) = answers[2].file_descriptor_response.file_descriptor_proto
    assert file == health_pb2.DESCRIPTOR.serialized_pb
    assert [answer.error_response.error_code for answer in answers[3:]] == [5, 3]


async def test_an_unknown_method_is_unimplemented() -> None:
    async with running(doubling()) as up:
        for method in ("inference.GRPCInferenceService/Nothing", "x.Y/Z"):
            code, _ = await refusal(up.raw(method)(b""))
            assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_while_it_drains_calls_are_answered_and_then_no_more() -> None:
    async with running(doubling()) as up:
        await up.infer(request())
        up.life.drain()
        await up.infer(request())
        await asyncio.wait_for(up.server.stop(5), 5)
        code, _ = await refusal(up.infer(request()))
        assert code is grpc.StatusCode.UNAVAILABLE


async def test_open_streams_are_told_that_the_server_ends() -> None:
    async with running(doubling()) as up:
        call = watch(up)
        await call.read()
        await asyncio.wait_for(up.server.stop(5), 5)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call.read()
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
