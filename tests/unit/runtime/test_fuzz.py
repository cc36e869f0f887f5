"""Nearly right requests, made by the hundred: each is answered, none is a fault of the server's.

The mutations are of requests that are right: a field dropped, doubled or of another type, a byte
turned, an end cut off. What OpenAPI says of statuses holds for all of them.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.runtime.bad_requests.bodies import INFER, LENGTH, PREDICT, ROW, inputs
from tests.unit.runtime.mutations import broken, changed
from tests.unit.runtime.processes import DIGITS, Runtime, client, metric, runtime


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    with runtime(tmp_path_factory.mktemp("fuzz"), str(DIGITS), "--name", "digits") as running:
        yield running.ready()


@pytest.fixture(scope="module")
def http(server: Runtime) -> Iterator[httpx.Client]:
    with client(server.url) as opened:
        yield opened


@pytest.fixture(scope="module")
def told(http: httpx.Client) -> dict[str, set[int]]:
    """By path, the statuses that the OpenAPI document names."""
    paths = http.get("/openapi.json").json()["paths"]
    return {
        path: {int(status) for status in paths[path]["post"]["responses"]}
        for path in (PREDICT, INFER)
    }


TENSOR = {"name": "pixels", "datatype": "FP32", "shape": [1, 64]}
PROTOCOL: dict[str, Any] = {
    "id": "a",
    "parameters": {"timeout": 10**6, "binary_data_output": False, "priority": 1},
    "inputs": [TENSOR | {"data": ROW}],
    "outputs": [{"name": "digit", "parameters": {"binary_data": False}}],
}
SIZED = json.dumps({"inputs": [TENSOR | {"parameters": {"binary_data_size": 256}}]}).encode()
BINARY = SIZED + bytes(256)


def check(http: httpx.Client, told: dict[str, set[int]], path: str, **request: Any) -> None:
    answer = http.post(path, **request)
    assert answer.status_code in told[path]
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert set(answer.json()) == {"error"}
    good = http.post(PREDICT, content=inputs(ROW))
    assert good.status_code == 200


@settings(max_examples=150, deadline=None, derandomize=True)
@given(body=st.one_of(changed({"inputs": ROW}), broken(inputs(ROW)), st.binary(max_size=40)))
def test_simple(http: httpx.Client, told: dict[str, set[int]], body: bytes) -> None:
    check(http, told, PREDICT, content=body)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(body=st.one_of(changed(PROTOCOL), broken(json.dumps(PROTOCOL).encode())))
def test_protocol(http: httpx.Client, told: dict[str, set[int]], body: bytes) -> None:
    check(http, told, INFER, content=body)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(body=broken(BINARY), length=st.sampled_from([len(SIZED)] * 3 + [0, 1, len(BINARY), 10**6]))
def test_binary(http: httpx.Client, told: dict[str, set[int]], body: bytes, length: int) -> None:
    check(http, told, INFER, content=body, headers={LENGTH: str(length)})


def test_the_server_is_well_after_all_of_it(server: Runtime, http: httpx.Client) -> None:
    page = http.get("/metrics").text
    assert metric(page, "inference_in_progress") == 0
    assert metric(page, "inference_queue_bytes") == 0
    assert '"level": "error"' not in server.log
