"""Nearly right bodies by the thousand, given to the codecs: tensors that fit, or a sentence.

Nothing else may come out: another exception would be answered 500, and tensors that do not fit
would fail the others of their batch.
"""

import json
import struct
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.protocols.oip import codec as oip
from modelfleet_runtime.protocols.oip.plans import Plans
from modelfleet_runtime.protocols.simple import codec as simple
from modelfleet_runtime.signature import DType, Signature, Tensors, TensorSpec, fits
from tests.unit.runtime.mutations import broken, changed

SIGNATURE = Signature(
    (
        TensorSpec("f", DType.FP32, (-1, 2)),
        TensorSpec("i", DType.INT8, (-1, 2)),
        TensorSpec("b", DType.BOOL, (-1,)),
        TensorSpec("t", DType.BYTES, (-1, 1)),
    ),
    (TensorSpec("y", DType.FP32, (-1, 2)),),
    batched=True,
)
VALUES: dict[str, Any] = {"f": [0.5, -1], "i": [-128, 127], "b": True, "t": ["é"]}
JSON: dict[str, Any] = {
    "id": "a",
    "parameters": {"timeout": 10**6, "binary_data_output": False, "priority": 1},
    "inputs": [
        {"name": "f", "datatype": "FP32", "shape": [1, 2], "data": [0.5, -1]},
        {"name": "i", "datatype": "INT8", "shape": [1, 2], "data": [[-128, 127]]},
        {"name": "b", "datatype": "BOOL", "shape": [1], "data": [True]},
        {"name": "t", "datatype": "BYTES", "shape": [1, 1], "data": ["é"]},
    ],
    "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
}
TAIL = b"".join(
    [
        np.array([0.5, -1], "<f4").tobytes(),
        np.array([-128, 127], "i1").tobytes(),
        b"\1",
        struct.pack("<I", 2) + "é".encode(),
    ]
)
SIZES = (8, 2, 1, 6)
SIZED: dict[str, Any] = {
    "inputs": [
        {key: value for key, value in tensor.items() if key != "data"}
        | {"parameters": {"binary_data_size": size}}
        for tensor, size in zip(JSON["inputs"], SIZES, strict=True)
    ]
}


def check(tensors: Tensors) -> None:
    """What the signature lets through is what it says."""
    try:
        rows = SIGNATURE.rows(tensors)
    except BadInput as error:
        say(error)
        return
    assert rows >= 1
    for spec in SIGNATURE.inputs:
        array = tensors[spec.name]
        assert spec.dtype is not None
        assert spec.shape is not None
        assert array.dtype == spec.dtype.numpy
        assert fits(array.shape, spec.shape)
        assert array.shape[0] == rows


def say(error: BadInput) -> None:
    assert 0 < len(error.message) < 700
    assert "\n" not in error.message
    json.dumps({"error": error.message}).encode()


@settings(max_examples=800, deadline=None, derandomize=True)
@given(body=st.one_of(changed(JSON), broken(json.dumps(JSON).encode())))
@example(json.dumps(JSON).encode())
def test_the_protocols_json(body: bytes) -> None:
    try:
        call = oip.decode(None, body, SIGNATURE)
    except BadInput as error:
        say(error)
    else:
        check(call.tensors)


@settings(max_examples=800, deadline=None, derandomize=True)
@given(
    text=st.one_of(st.just(json.dumps(SIZED).encode()), changed(SIZED)),
    tail=st.one_of(st.just(TAIL), broken(TAIL)),
    lies=st.sampled_from([0, 0, 0, 0, 1, -1, 4, 10**6]),
)
@example(json.dumps(SIZED).encode(), TAIL, 0)
def test_the_protocols_binary_tensors(text: bytes, tail: bytes, lies: int) -> None:
    """Read once by the codec, and twice by plans that keep what they read: always the same."""
    length = b"%d" % max(0, len(text) + lies)
    plans = Plans("m", "1")
    read = [
        _outcome(lambda: oip.decode(length, text + tail, SIGNATURE)),
        *[_outcome(lambda: plans.decode(length, text + tail, SIGNATURE)) for _ in range(2)],
    ]
    assert read[0] == read[1] == read[2]


def _outcome(decode: Any) -> Any:
    try:
        call = decode()
    except BadInput as error:
        say(error)
        return error.message
    check(call.tensors)
    return [
        (name, str(array.dtype), array.shape, array.tolist())
        for name, array in call.tensors.items()
    ].__repr__()  # NaN is not equal to itself


@settings(max_examples=500, deadline=None, derandomize=True)
@given(body=st.one_of(changed({"inputs": VALUES}), broken(json.dumps({"inputs": VALUES}).encode())))
@example(json.dumps({"inputs": VALUES}).encode())
def test_one_item_of_the_simple_protocol(body: bytes) -> None:
    try:
        tensors = simple.decode_item(simple.inputs_of(body), SIGNATURE)
    except BadInput as error:
        say(error)
    else:
        check(tensors)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(body=changed({"inputs": [VALUES, VALUES, VALUES]}))
@example(json.dumps({"inputs": [VALUES] * 3}).encode())
def test_items_of_the_simple_protocol(body: bytes) -> None:
    try:
        tensors = simple.decode_items(simple.items_of(body), SIGNATURE)
    except BadInput as error:
        say(error)
    else:
        check(tensors)


def test_what_the_mutations_begin_with_is_right() -> None:
    """Else they would all be refused for the same reason."""
    read = [
        oip.decode(None, json.dumps(JSON).encode(), SIGNATURE).tensors,
        oip.decode(
            b"%d" % len(json.dumps(SIZED)), json.dumps(SIZED).encode() + TAIL, SIGNATURE
        ).tensors,
        simple.decode_item(VALUES, SIGNATURE),
    ]
    for tensors in read:
        assert SIGNATURE.rows(tensors) == 1
        assert {name: array.tolist() for name, array in tensors.items()} == {
            "f": [[0.5, -1]], "i": [[-128, 127]], "b": [True], "t": [["é".encode()]]
        }  # fmt: skip
