"""Long bodies: the loop answers others while one is read, unless there is nothing to read."""

import asyncio
import gzip
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pytest

from modelfleet_runtime.protocols.grpc import codec as grpc_codec
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.protocols.oip import codec as oip_codec
from modelfleet_runtime.protocols.simple import codec as simple_codec
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import PIXELS, doubling, spec
from tests.unit.runtime.grpc import serving as grpc_serving
from tests.unit.runtime.serving import running

ROWS = 40_000
TEXTS = Signature((spec("x", DType.BYTES, -1),), (spec("y", DType.INT64, -1),), batched=True)
INFER = "/v2/models/m/infer"


def tensor(**more: Any) -> bytes:
    one = {"name": "x", "datatype": "FP32", "shape": [ROWS, 4], **more}
    return orjson.dumps({"inputs": [one]})


def binary(text: bytes, data: bytes) -> tuple[bytes, dict[str, str]]:
    return text + data, {"inference-header-content-length": str(len(text))}


def count(batch: Tensors) -> Tensors:
    return {"y": np.arange(len(batch["x"]))}


class Reading:
    """A codec's function, which in a thread waits until it is told to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
        self._real: Callable[..., Any] = getattr(module, name)
        self.begun, self.go = threading.Event(), threading.Event()
        self.aside: list[bool] = []
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any) -> Any:
        aside = threading.current_thread() is not threading.main_thread()
        self.aside.append(aside)
        self.begun.set()
        if aside:
            assert self.go.wait(10)
        return self._real(*arguments)


BATCH = orjson.dumps({"inputs": [[1, 2, 3, 4]] * ROWS})
JSON = tensor(data=[1.0, 2.0, 3.0, 4.0] * ROWS)
LISTS = binary(
    orjson.dumps(
        {
            "inputs": [
                {
                    "name": "x",
                    "datatype": "BYTES",
                    "shape": [ROWS],
                    "parameters": {"binary_data_size": ROWS * 8},
                }
            ]
        }
    ),
    b"\4\0\0\0abcd" * ROWS,
)
SLOW: dict[str, tuple[str, bytes, dict[str, str], ModuleType, str, Signature]] = {
    "items": ("/predict/batch", BATCH, {}, simple_codec, "items_of", PIXELS),
    "JSON": (INFER, JSON, {}, oip_codec, "decode", PIXELS),
    "texts": (INFER, *LISTS, oip_codec, "decode", TEXTS),
    "inflated": (
        "/predict/batch",
        gzip.compress(BATCH),
        {"content-encoding": "gzip"},
        simple_codec,
        "items_of",
        PIXELS,
    ),
}


@pytest.mark.parametrize(
    ("path", "body", "headers", "module", "name", "signature"), SLOW.values(), ids=SLOW
)
async def test_others_are_answered_while_a_long_body_is_read(
    path: str,
    body: bytes,
    headers: dict[str, str],
    module: ModuleType,
    name: str,
    signature: Signature,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = Reading(monkeypatch, module, name)
    run = doubling() if signature is PIXELS else count
    async with running(run, signature) as at:
        asked = asyncio.create_task(at.client.post(path, content=body, headers=headers))
        assert await asyncio.to_thread(reading.begun.wait, 10)
        assert reading.aside == [True]
        assert (await at.client.get("/health/live")).status_code == 200
        reading.go.set()
        answer = await asked
        assert answer.status_code == 200
        outputs = answer.json()["outputs"]
        assert (len(outputs) if name == "items_of" else outputs[0]["shape"][0]) == ROWS


async def test_the_same_over_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pb.ModelInferRequest(model_name="m")
    made = asked.inputs.add(name="x", datatype="FP32", shape=[ROWS, 4])
    made.contents.fp32_contents.extend([1.0, 2.0, 3.0, 4.0] * ROWS)
    reading = Reading(monkeypatch, grpc_codec, "decode")
    async with grpc_serving.running(doubling()) as up:
        call = up.infer(asked)
        assert await asyncio.to_thread(reading.begun.wait, 10)
        assert reading.aside == [True]
        assert (await up.ask("ServerLive")(pb.ServerLiveRequest())).live
        reading.go.set()
        assert list((await call).outputs[0].shape) == [ROWS, 2]
        assert up.service.bodies.held == 0


async def test_long_binary_tensors_are_not_handed_to_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = np.ones((ROWS, 4), np.float32).tobytes()
    body, headers = binary(tensor(parameters={"binary_data_size": len(data)}), data)
    reading = Reading(monkeypatch, oip_codec, "decode")
    async with running(doubling()) as at:
        answer = await at.client.post(INFER, content=body, headers=headers)
        assert answer.status_code == 200
    assert reading.aside == [False]
    reading = Reading(monkeypatch, grpc_codec, "decode")
    async with grpc_serving.running(doubling()) as up:
        await up.infer(grpc_serving.request(np.ones((ROWS, 4))))
    assert reading.aside == [False]


async def test_a_long_body_that_is_wrong_is_refused_as_a_short_one() -> None:
    async with running(doubling()) as at:
        answer = await at.client.post("/predict/batch", content=BATCH[:-1])
        assert answer.status_code == 400
        answer = await at.client.post("/predict", content=BATCH)
        assert answer.status_code == 400
        assert "/predict/batch" in answer.json()["error"]
