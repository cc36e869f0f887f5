"""Every datatype through a running server, both protocols, JSON and binary, nothing changed."""

import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from modelfleet_runtime.signature import DType
from tests.unit.runtime.builders import python_model
from tests.unit.runtime.processes import check_refusal, client, runtime

ECHO = """
TYPES = ("BOOL UINT8 UINT16 UINT32 UINT64 INT8 INT16 INT32 INT64 FP16 FP32 FP64 BYTES").split()

class Model:
    inputs = {"x" + t: (t, [-1, 2]) for t in TYPES}
    outputs = {"y" + t: (t, [-1, 2]) for t in TYPES}

    def predict(self, inputs):
        return {"y" + t: inputs["x" + t] for t in TYPES}
"""
INFER = "/v2/models/echo/infer"
LENGTH = "Inference-Header-Content-Length"
VALUES: dict[DType, list[Any]] = {
    DType.BOOL: [True, False],
    DType.UINT8: [0, 255],
    DType.UINT16: [0, 65535],
    DType.UINT32: [0, 2**32 - 1],
    DType.UINT64: [0, 2**64 - 1],
    DType.INT8: [-128, 127],
    DType.INT16: [-32768, 32767],
    DType.INT32: [-(2**31), 2**31 - 1],
    DType.INT64: [-(2**63), 2**63 - 1],
    DType.FP16: [-65504.0, 0.0999755859375],
    DType.FP32: [3.4028234663852886e38, 1.401298464324817e-45],
    DType.FP64: [1.7976931348623157e308, 5e-324],
    DType.BYTES: ['ä€😀\x00"', ""],
}
WIRE: dict[DType, bytes] = {
    DType.BOOL: b"\1\0",
    DType.UINT8: b"\0\xff",
    DType.UINT16: b"\0\0\xff\xff",
    DType.UINT32: b"\0" * 4 + b"\xff" * 4,
    DType.UINT64: b"\0" * 8 + b"\xff" * 8,
    DType.INT8: b"\x80\x7f",
    DType.INT16: b"\0\x80\xff\x7f",
    DType.INT32: b"\0\0\0\x80\xff\xff\xff\x7f",
    DType.INT64: b"\0" * 7 + b"\x80" + b"\xff" * 7 + b"\x7f",
    DType.FP16: b"\xff\xfb\x66\x2e",
    DType.FP32: b"\xff\xff\x7f\x7f\1\0\0\0",
    DType.FP64: struct.pack("<dd", *VALUES[DType.FP64]),
    DType.BYTES: b"\x0b\0\0\0" + 'ä€😀\x00"'.encode() + b"\0\0\0\0",
}
WRONG: list[tuple[DType, list[Any], str]] = [
    *((dtype, [0, VALUES[dtype][1] + 1], "range") for dtype in DType if "INT" in dtype.value
      and dtype not in (DType.UINT64, DType.INT64)),
    *((dtype, [0, VALUES[dtype][0] - 1], "range") for dtype in DType if "INT" in dtype.value
      and dtype is not DType.INT64),
    (DType.INT64, [0, 2**63], "range"),
    (DType.UINT64, [0, 2**64], "fraction|range"),
    (DType.INT64, [0, -(2**63) - 1], "fraction|range|huge"),
    (DType.INT32, [0, 1.5], "fraction"),
    (DType.INT32, [0, "1"], "text"),
    (DType.INT32, [0, None], "null"),
    (DType.FP16, [0, 65520.0], "range"),
    (DType.FP16, [0, 70000], "range"),
    (DType.FP32, [0, 3.5e38], "range"),
    (DType.BOOL, [0, 2], "true and false"),
    (DType.BOOL, [0.0, 1.0], "true and false"),
    (DType.BOOL, ["true", "false"], "true and false"),
    (DType.BYTES, ["a", 1], "texts"),
    (DType.BYTES, ["a", None], "texts"),
]  # fmt: skip
WRONG_WIRE: list[tuple[DType, bytes]] = [
    (DType.BOOL, b"\2\0"),
    (DType.BYTES, b"\1\0\0\0a"),
    (DType.BYTES, b"\xff\xff\xff\xff" + b"\0" * 4),
    (DType.BYTES, b"\0" * 9),
    (DType.FP64, b"\0" * 8),
    (DType.FP64, b"\0" * 17),
]


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("echo")
    place = python_model(folder / "echo", ECHO)
    with runtime(folder, str(place)) as running, client(running.ready().url) as opened:
        yield opened


def tensors(**other: list[Any]) -> list[dict[str, Any]]:
    return [
        {"name": f"x{dtype}", "datatype": dtype, "shape": [1, 2],
         "data": other.get(dtype, VALUES[dtype])}
        for dtype in DType
    ]  # fmt: skip


def in_binary(wire: dict[DType, bytes]) -> tuple[bytes, dict[str, str]]:
    head = {
        "parameters": {"binary_data_output": True},
        "inputs": [
            {"name": f"x{dtype}", "datatype": dtype, "shape": [1, 2],
             "parameters": {"binary_data_size": len(wire[dtype])}}
            for dtype in DType
        ],
    }  # fmt: skip
    text = json.dumps(head).encode()
    return text + b"".join(wire[dtype] for dtype in DType), {LENGTH: str(len(text))}


def test_json(http: httpx.Client) -> None:
    answer = http.post(INFER, json={"inputs": tensors()})
    assert answer.status_code == 200, answer.text
    for dtype, one in zip(DType, answer.json()["outputs"], strict=True):
        assert one["name"] == f"y{dtype}"
        assert one["datatype"] == dtype
        have, want = one["data"], VALUES[dtype]
        if dtype is DType.FP16 or dtype is DType.FP32:
            have, want = np.array(have, dtype.numpy).tolist(), np.array(want, dtype.numpy).tolist()
        assert have == want, dtype


def test_binary(http: httpx.Client) -> None:
    body, headers = in_binary(WIRE)
    answer = http.post(INFER, content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    at = int(answer.headers[LENGTH])
    assert answer.content[at:] == b"".join(WIRE[dtype] for dtype in DType)
    for dtype, one in zip(DType, json.loads(answer.content[:at])["outputs"], strict=True):
        assert one["parameters"] == {"binary_data_size": len(WIRE[dtype])}


def test_simple(http: httpx.Client) -> None:
    item = {f"x{dtype}": values for dtype, values in VALUES.items()}
    alone = http.post("/predict", json={"inputs": item})
    assert alone.status_code == 200, alone.text
    said = alone.json()["outputs"]
    assert said["yINT64"] == VALUES[DType.INT64]
    assert said["yUINT64"] == VALUES[DType.UINT64]
    assert said["yBYTES"] == VALUES[DType.BYTES]
    assert said["yBOOL"] == [True, False]
    assert said["yFP64"] == VALUES[DType.FP64]
    many = http.post("/predict/batch", json={"inputs": [item, item]})
    assert many.json()["outputs"] == [said, said]


@pytest.mark.parametrize(("dtype", "values", "words"), WRONG, ids=str)
def test_what_does_not_fit_is_refused(
    http: httpx.Client, dtype: DType, values: list[Any], words: str
) -> None:
    check_refusal(http.post(INFER, json={"inputs": tensors(**{dtype: values})}), 400, words)
    item = {f"x{d}": values if d is dtype else VALUES[d] for d in DType}
    check_refusal(http.post("/predict", json={"inputs": item}), 400, words)
    check_refusal(http.post("/predict/batch", json={"inputs": [item]}), 400, words)


@pytest.mark.parametrize(("dtype", "wire"), WRONG_WIRE)
def test_bytes_that_do_not_fit_are_refused(http: httpx.Client, dtype: DType, wire: bytes) -> None:
    body, headers = in_binary(WIRE | {dtype: wire})
    check_refusal(http.post(INFER, content=body, headers=headers), 400, f"x{dtype}")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_carry_goes_in_binary(http: httpx.Client, number: float) -> None:
    for dtype in (DType.FP16, DType.FP32, DType.FP64):
        raw = np.array([number, 1], dtype.numpy).tobytes()
        body, headers = in_binary(WIRE | {dtype: raw})
        answer = http.post(INFER, content=body, headers=headers)
        assert answer.status_code == 200
        assert raw in answer.content
        in_json = body.replace(b'"binary_data_output": true', b'"binary_data_output":false')
        check_refusal(http.post(INFER, content=in_json, headers=headers), 400, "NaN or infinity")


def test_bytes_that_are_no_text_go_in_binary(http: httpx.Client) -> None:
    body, headers = in_binary(WIRE | {DType.BYTES: b"\1\0\0\0\xff\0\0\0\0"})
    assert http.post(INFER, content=body, headers=headers).status_code == 200
    in_json = body.replace(b'"binary_data_output": true', b'"binary_data_output":false')
    check_refusal(http.post(INFER, content=in_json, headers=headers), 400, "UTF-8")
