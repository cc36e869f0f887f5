"""The Open Inference Protocol's bytes: golden ones, and everything that may be wrong with them."""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

import contextlib
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.protocols.oip import codec
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import PIXELS, spec

OPEN = Signature()
TEXT = Signature((spec("t", DType.BYTES, -1),), (spec("t", DType.BYTES, -1),), batched=True)
FLOATS = np.array([[1, 2, 3, 4]], np.float32)


def request(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}
    made |= changes
    return {"inputs": [{k: v for k, v in made.items() if v is not None}]}


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def binary(value: Any, tail: bytes) -> tuple[bytes, bytes]:
    head = as_json(value)
    return str(len(head)).encode(), head + tail


def announced(size: int, **changes: Any) -> dict[str, Any]:
    return request(data=None, parameters={"binary_data_size": size}, **changes)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2, 3, 4]]])
def test_json_flat_or_nested(data: Any) -> None:
    call = codec.decode(None, as_json(request(data=data)), PIXELS)
    np.testing.assert_array_equal(call.tensors["x"], FLOATS)
    assert call.tensors["x"].dtype == np.float32


def test_binary_is_a_view_on_the_body_when_it_is_aligned() -> None:
    for pad in range(4):
        value = announced(16) | {"id": "i" * pad}
        length, body = binary(value, FLOATS.tobytes())
        call = codec.decode(length, body, PIXELS)
        array = call.tensors["x"]
        np.testing.assert_array_equal(array, FLOATS)
        assert array.flags.aligned
        assert call.id == "i" * pad


def test_several_binary_inputs_follow_one_another() -> None:
    value = {
        "inputs": [
            {"name": "a", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}},
            {"name": "j", "shape": [1], "datatype": "INT8", "data": [5]},
            {"name": "t", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": 9}},
        ]
    }
    tail = struct.pack("<2h", -1, 7) + struct.pack("<I", 1) + b"q" + struct.pack("<I", 0)
    call = codec.decode(*binary(value, tail), OPEN)
    assert call.tensors["a"].tolist() == [-1, 7]
    assert call.tensors["j"].tolist() == [5]
    assert call.tensors["t"].tolist() == [b"q", b""]


def test_a_raw_body_is_the_only_input() -> None:
    call = codec.decode(b"0", FLOATS.tobytes() * 3, PIXELS)
    assert call.tensors["x"].shape == (3, 4)
    assert call.binary
    assert codec.decode(b"0", b"words", TEXT).tensors["t"].tolist() == [b"words"]


def test_what_a_request_may_say_about_its_answer() -> None:
    value = request() | {
        "id": "7",
        "parameters": {"binary_data_output": True, "timeout": 1500, "mine": "kept out of the way"},
        "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
    }
    call = codec.decode(None, as_json(value), PIXELS)
    assert (call.id, call.binary, call.time_limit) == ("7", True, 0.0015)
    assert call.outputs == {"y": False}


WRONG_JSON: list[tuple[Any, str]] = [
    ([], "not a JSON object"),
    ({}, '"inputs" is not a list'),
    ({"inputs": []}, "at least one input"),
    ({"inputs": [3]}, r"inputs\[0\] is not an object"),
    ({"inputs": request()["inputs"] * 2}, "'x' is there twice"),
    (request(name="z"), "unexpected input 'z'"),
    (request(datatype="FP64"), "has datatype FP64; expected FP32"),
    (request(datatype="BF16"), "datatype 'BF16' is not supported"),
    (request(datatype=None), "is not supported"),
    (request(datatype=["FP32"]), "is not supported"),
    (request(shape=[1, -4]), "holds -4, which is not a size"),
    (request(shape=[1, 4.0]), "not a size"),
    (request(shape=[True, 4]), "not a size"),
    (request(shape=[2**62, 4]), "not a size"),
    (request(shape="4"), "not a list"),
    (request(shape=None), "not a list"),
    (request(shape=[1] * 40), "not a list of at most 32"),
    (request(data=[1, 2, 3]), r"has 3 values; its shape \[1, 4\] holds 4"),
    (request(data=None), 'has no "data"'),
    (request(data=[1, None, 3, 4]), "null"),
    (request(parameters=3), '"parameters" is not an object'),
    (request(parameters={"shared_memory_region": "r"}, data=None), "shared memory is not"),
    (request(parameters={"binary_data_size": 16}), "both"),
    (request(parameters={"binary_data_size": "16"}, data=None), "not a number of bytes"),
    (request() | {"id": 7}, '"id" is not a text'),
    (request() | {"outputs": {}}, '"outputs" is not a list'),
    (request() | {"outputs": [{}]}, r"outputs\[0\]"),
    (request() | {"outputs": [{"name": "q"}]}, "unexpected output 'q'; the model gives 'y'"),
    (request() | {"outputs": [{"name": "y"}, {"name": "y"}]}, "twice"),
    (request() | {"outputs": [{"name": "y", "parameters": {"classification": 2}}]}, "not supported"),
    (request() | {"parameters": {"timeout": -1}}, "microseconds"),
    (request() | {"parameters": {"binary_data_output": "yes"}}, "neither true nor false"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "words"), WRONG_JSON)
def test_what_is_wrong_in_json(value: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        codec.decode(None, as_json(value), PIXELS)


WRONG_BINARY: list[tuple[bytes, bytes, str]] = [
    (b"x", b"{}", "not a number"),
    (b"-1", b"{}", "not a number"),
    (b"9" * 30, b"{}", "not a number"),
    (b"3", b"{}", "is 3, and the body has 2 bytes"),
    (*binary(announced(16), b"1234"), "announces 16 bytes of binary data, and 4 are there"),
    (*binary(announced(4), b"1234"), "needs 16"),
    (*binary(announced(16), b"1" * 20), "4 bytes of binary data belong to no input"),
    (*binary(request(), b"1"), "1 bytes of binary data belong to no input"),
    (*binary(announced(16, shape=[2**40, 2**40]), b"1" * 16), "larger than any memory"),
    (b"0", b"12345", "no multiple of 16"),
]


@pytest.mark.parametrize(("length", "body", "words"), WRONG_BINARY)
def test_what_is_wrong_in_binary(length: bytes, body: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        codec.decode(length, body, PIXELS)


@pytest.mark.parametrize(
    ("shape", "tail", "words"),
    [
        ([2], struct.pack("<I", 3) + b"abc" + b"d", "ends before its element 1"),
        ([1], struct.pack("<I", 9) + b"a", "ends within its element 0"),
        ([1], struct.pack("<I", 0) + b"a", "1 bytes after"),
        ([2**40], b"", "announces"),
    ],
)
def test_what_is_wrong_in_text(shape: list[int], tail: bytes, words: str) -> None:
    value = {
        "inputs": [
            {
                "name": "t",
                "shape": shape,
                "datatype": "BYTES",
                "parameters": {"binary_data_size": len(tail)},
            }
        ]
    }
    with pytest.raises(BadInput, match=words):
        codec.decode(*binary(value, tail), TEXT)


def test_a_byte_of_bool_is_0_or_1() -> None:
    value = {
        "inputs": [
            {"name": "b", "shape": [2], "datatype": "BOOL", "parameters": {"binary_data_size": 2}}
        ]
    }
    assert codec.decode(*binary(value, b"\x01\x00"), OPEN).tensors["b"].tolist() == [True, False]
    with pytest.raises(BadInput, match="neither 0 nor 1"):
        codec.decode(*binary(value, b"\x01\x02"), OPEN)


def test_golden_answers() -> None:
    outputs: Tensors = {"y": np.array([[1.5, 2]], np.float32), "n": np.array([b"a"], object)}
    answer = codec.encode(codec.Call({}, id="q"), outputs, "m", "1")
    assert answer.body == (
        b'{"model_name":"m","model_version":"1","outputs":['
        b'{"name":"y","datatype":"FP32","shape":[1,2],"data":[1.5,2.0]},'
        b'{"name":"n","datatype":"BYTES","shape":[1],"data":["a"]}],"id":"q"}'
    )
    assert answer.headers == [(b"content-type", b"application/json")]

    answer = codec.encode(codec.Call({}, outputs={"y": True}), outputs, "m", "1")
    head = (
        b'{"model_name":"m","model_version":"1","outputs":[{"name":"y","datatype":"FP32",'
        b'"shape":[1,2],"parameters":{"binary_data_size":8}}]}'
    )
    assert answer.body == head + struct.pack("<2f", 1.5, 2)
    assert dict(answer.headers)[b"inference-header-content-length"] == str(len(head)).encode()


def test_binary_is_the_way_for_what_json_cannot_carry() -> None:
    outputs: Tensors = {"y": np.array([np.nan], np.float32)}
    with pytest.raises(BadInput, match="NaN"):
        codec.encode(codec.Call({}), outputs, "m", "1")
    answer = codec.encode(codec.Call({}, binary=True), outputs, "m", "1")
    assert answer.body.endswith(outputs["y"].tobytes())


@given(
    hnp.arrays(
        st.sampled_from([d.numpy for d in DType if d is not DType.BYTES]),
        hnp.array_shapes(max_dims=3, max_side=4),
    )
)
def test_every_datatype_survives_the_way_there_and_back(array: Any) -> None:
    answer = codec.encode(codec.Call({}, binary=True), {"x": array}, "m", "1")
    size = int(dict(answer.headers)[codec.LENGTH_HEADER])
    value = {"inputs": json.loads(answer.body[:size])["outputs"]}
    back = codec.decode(*binary(value, answer.body[size:]), OPEN).tensors["x"]
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


@given(st.binary(max_size=200), st.one_of(st.none(), st.binary(max_size=4)))
def test_no_bytes_raise_anything_but_a_refusal(body: bytes, length: bytes | None) -> None:
    for signature in (PIXELS, TEXT, OPEN):
        with contextlib.suppress(BadInput):
            codec.decode(length, body, signature)
