"""The gRPC port in this process, on a real socket, with an engine of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np

from modelfleet_contract import Batching, ModelValue
from modelfleet_runtime.batching.batcher import Batcher
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.experiment.experiment import Experiment
from modelfleet_runtime.grpc_server import GrpcServer
from modelfleet_runtime.grpcio_server import GrpcioServer
from modelfleet_runtime.life import Life
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.service import Service
from modelfleet_runtime.signature import Signature, Tensors
from tests.unit.runtime.builders import PIXELS

PATIENCE = 10.0
LONGEST = 20.0
"""Seconds that a request may take."""
TRANSPORT = "own"
"""What carries the calls; the fixture `transport` has it both ways."""
INFERENCE = "inference.GRPCInferenceService"


@dataclass
class Running:
    channel: grpc.aio.Channel
    server: GrpcServer | GrpcioServer
    service: Service
    life: Life
    metrics: Metrics
    served: Served
    port: int

    def unary(self, method: str, request: type[Any], response: type[Any]) -> Any:
        """A callable that takes a message and gives a call, which can be awaited."""
        return self.channel.unary_unary(
            f"/{method}", request.SerializeToString, response.FromString
        )

    def ask(self, name: str) -> Any:
        """Of a method of the inference service, by its name."""
        request = getattr(pb, f"{name}Request")
        return self.unary(f"{INFERENCE}/{name}", request, getattr(pb, f"{name}Response"))

    @property
    def infer(self) -> Any:
        return self.unary(f"{INFERENCE}/ModelInfer", pb.ModelInferRequest, pb.ModelInferResponse)

    def raw(self, method: str) -> Any:
        """Bytes in, bytes out."""
        return self.channel.unary_unary(f"/{method}")

    def stream(self, requests: Any) -> Any:
        return self.channel.stream_stream(
            f"/{INFERENCE}/ModelStreamInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelStreamInferResponse.FromString,
        )(requests)


@asynccontextmanager
async def running(
    run: Callable[[Tensors], Tensors],
    signature: Signature = PIXELS,
    loaded: bool = True,
    limits: RequestLimits | None = None,
    batching: Batching | None = None,
    values: Sequence[ModelValue] = (),
    feedback: Sequence[str] = (),
) -> AsyncIterator[Running]:
    loop = asyncio.get_running_loop()
    metrics = Metrics("m")
    life = Life(metrics)
    worker = Worker(loop)
    batching = batching or Batching()
    batcher = Batcher(run, signature, batching, metrics, worker, loop, Pace(computes=False))
    served = Served("m", "3", "onnx", batcher)
    if loaded:
        life.loaded(served)
    experiment = Experiment("m", metrics, "m-r2", values, feedback)
    service = Service(
        *("m", "3", life, metrics, LONGEST, limits or RequestLimits()), experiment=experiment
    )
    grpc_server = (GrpcServer if TRANSPORT == "own" else GrpcioServer)(service, batching)
    port = await grpc_server.start("127.0.0.1", 0)
    life.on_change.append(grpc_server.changed)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Running(channel, grpc_server, service, life, metrics, served, port)
    finally:
        await grpc_server.stop(1)
        batcher.close()
        worker.close()


async def until(true: Callable[[], bool]) -> None:
    """For what nobody tells: looks again in each turn of the loop."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0)


def request(values: Any = ((1, 2, 3, 4),), **fields: Any) -> pb.ModelInferRequest:
    """A good request for a model that takes x FP32 [-1,4], with raw contents."""
    array = np.array(values, np.float32)
    made = pb.ModelInferRequest(model_name="m", **fields)
    made.inputs.add(name="x", datatype="FP32", shape=array.shape)
    made.raw_input_contents.append(array.tobytes())
    return made


def array_of(response: pb.ModelInferResponse) -> list[list[float]]:
    shape = tuple(response.outputs[0].shape)
    found: list[list[float]] = (
        np.frombuffer(response.raw_output_contents[0], np.float32).reshape(shape).tolist()
    )
    return found
