"""Wrong values for each datatype, over both protocols and both transports: a sentence, and the
next good request as if nothing was."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import orjson
import pytest
import pytest_asyncio

from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.bad_requests.typed import GOOD, SIGNATURE, TEXTS, VALUES
from tests.unit.runtime.processes import check_refusal
from tests.unit.runtime.serving import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")
INFER = "/v2/models/m/infer"
NAMES = [row[0] for row in VALUES]


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["own", "asgi"])
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    def run(batch: Tensors) -> Tensors:
        return {"y": batch["i"].astype(np.float32)}

    async with running(run, SIGNATURE, transport=request.param) as server:
        yield server
        assert server.life.in_flight == 0


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (GOOD | changes).items() if value is not None}


def dump(value: Any) -> bytes:
    """As JSON, numbers of any length too."""
    return json.dumps(value).encode()


def tensors(item: dict[str, Any]) -> list[dict[str, Any]]:
    """An item as the Open Inference Protocol has it."""
    specs = {spec.name: spec for spec in SIGNATURE.inputs}
    made = []
    for name, value in item.items():
        spec = specs.get(name)
        shape = [1, *(spec.shape or ())[1:]] if spec else [1]
        data = value if isinstance(value, list) else [value]
        datatype = spec.dtype if spec and spec.dtype else "FP32"
        made.append({"name": name, "datatype": datatype, "shape": shape, "data": data})
    return made


async def check_good(at: Running) -> None:
    for path, body in [
        ("/predict", dump({"inputs": GOOD})),
        (INFER, dump({"inputs": tensors(GOOD)})),
    ]:
        answer = await at.client.post(path, content=body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(("changes", "words"), [row[1:] for row in VALUES], ids=NAMES)
async def test_in_json(at: Running, changes: dict[str, Any], words: str) -> None:
    item = changed(changes)
    answer = await at.client.post("/predict", content=dump({"inputs": item}))
    check_refusal(answer, 400)
    assert words in answer.json()["error"]
    batch = await at.client.post("/predict/batch", content=dump({"inputs": [GOOD, item]}))
    check_refusal(batch, 400)
    answer = await at.client.post(INFER, content=dump({"inputs": tensors(item)}))
    check_refusal(answer, 400)
    await check_good(at)


@pytest.mark.parametrize(
    ("shape", "data", "words"), [row[1:] for row in TEXTS], ids=[row[0] for row in TEXTS]
)
async def test_texts_whose_lengths_lie(
    at: Running, shape: list[int], data: bytes, words: str
) -> None:
    inputs = [tensor for tensor in tensors(GOOD) if tensor["name"] != "t"]
    inputs.append({"name": "t", "datatype": "BYTES", "shape": shape,
                   "parameters": {"binary_data_size": len(data)}})  # fmt: skip
    text = orjson.dumps({"inputs": inputs})
    headers = {"inference-header-content-length": str(len(text))}
    answer = await at.client.post(INFER, content=text + data, headers=headers)
    check_refusal(answer, 400)
    assert words in answer.json()["error"]
    await check_good(at)
