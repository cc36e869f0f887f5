"""Each bound is met with a clear refusal, and counted."""

import asyncio
import base64
import io
from pathlib import Path

import orjson
import pytest
from PIL import Image

from modelfleet_runtime.errors import CannotServe, Limit
from modelfleet_runtime.limits import RequestLimits
from modelfleet_runtime.settings import Settings
from tests.unit.runtime.builders import doubling, python_model
from tests.unit.runtime.processes import check_refusal, client, metric, runtime
from tests.unit.runtime.serving import Running, running

INFER = "/v2/models/m/infer"


def counted(page: str, limit: Limit) -> float:
    return metric(page, "inference_limit_refusals_total", limit=limit.value)


def met(at: Running, limit: Limit) -> float:
    return counted(at.metrics.exposition()[1].decode(), limit)


async def said(at: Running, data: bytes) -> bytes:
    """All that is answered until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", at.port)
    try:
        writer.write(data)
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", INFER])
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
async def test_json_that_is_too_deep(path: str, opens: bytes, closes: bytes) -> None:
    async with running(doubling()) as at:
        for depth in (1024, 100_000):
            body = b'{"inputs":%s1%s}' % (opens * depth, closes * depth)
            check_refusal(await at.client.post(path, content=body), 400, "more than 1024 deep")
        assert met(at, Limit.JSON_DEPTH) == 2
        body = b'{"inputs":%s1%s}' % (opens * 1000, closes * 1000)
        assert (await at.client.post(path, content=body)).status_code == 400
        assert met(at, Limit.JSON_DEPTH) == 2


@pytest.mark.parametrize("depth", [31, 32, 33, 63, 64, 65])
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
async def test_a_tensor_of_many_dimensions_is_the_clients_fault(path: str, depth: int) -> None:
    async with running(doubling()) as at:
        body = orjson.dumps({"inputs": orjson.loads(b"[" * depth + b"1" + b"]" * depth)})
        check_refusal(await at.client.post(path, content=body), 400)


@pytest.mark.parametrize("transport", ["own", "asgi"])
async def test_the_size_of_a_head_is_a_setting(transport: str) -> None:
    limits = RequestLimits(head_bytes=1000)
    async with running(doubling(), limits=limits, transport=transport) as at:
        head = b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n"
        assert b" 200 " in await said(at, head + b"x: %s\r\n\r\n" % (b"a" * 900))
        assert b" 431 " in await said(at, head + b"x: %s\r\n\r\n" % (b"a" * 1000))
        assert met(at, Limit.HEAD) == 1


@pytest.mark.parametrize("transport", ["own", "asgi"])
async def test_one_connection_too_many_is_told_so(transport: str) -> None:
    limits = RequestLimits(connections=1)
    async with running(doubling(), limits=limits, transport=transport) as at:
        assert (await at.client.get("/health/live")).status_code == 200  # and stays open
        answer = await said(at, b"")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer
        assert met(at, Limit.CONNECTIONS) == 1


def test_settings_name_what_cannot_be_read() -> None:
    env = {"MODELFLEET_MAX_HEAD_BYTES": "2000", "MODELFLEET_MAX_CONNECTIONS": "5"}
    limits = Settings.from_env(env).limits
    assert (limits.head_bytes, limits.connections) == (2000, 5)
    for name in ("MAX_HEAD_BYTES", "MAX_CONNECTIONS", "MAX_IMAGE_PIXELS"):
        with pytest.raises(CannotServe, match=f"MODELFLEET_{name} is 'many'"):
            Settings.from_env({f"MODELFLEET_{name}": "many"})


IMAGES = """
import base64, io
import numpy as np

class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def preprocess(self, item):
        from PIL import Image
        image = Image.open(io.BytesIO(base64.b64decode(item)))
        return {"x": [[image.width * image.height]]}

    def predict(self, batch):
        return {"y": batch["x"]}
"""


def image(width: int, height: int) -> str:
    file = io.BytesIO()
    Image.new("1", (width, height)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_image_with_too_many_pixels(tmp_path: Path, workers: str) -> None:
    place = python_model(tmp_path / "model", IMAGES)
    small, large, huge = image(100, 100), image(101, 100), image(300, 100)
    with (
        runtime(
            tmp_path, str(place), "--workers", workers, MODELFLEET_MAX_IMAGE_PIXELS="10000"
        ) as server,
        client(server.ready().url) as http,
    ):
        for wrong in (large, huge):
            answer = http.post("/predict", json={"inputs": wrong})
            check_refusal(answer, 413, "an image has more than 10000 pixels")
        assert counted(http.get("/metrics").text, Limit.PIXELS) == 2
        assert http.post("/predict", json={"inputs": small}).json()["outputs"] == {"y": [10000]}
