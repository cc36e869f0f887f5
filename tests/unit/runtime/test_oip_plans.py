"""Texts that come again are read once, and that changes no answer."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime.errors import BadInput, Refusal
from modelfleet_runtime.protocols.oip import codec, plans
from modelfleet_runtime.protocols.oip.plans import Plans
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import spec

TWO = Signature((spec("a", DType.FP32, -1, 3), spec("b", DType.INT8, -1)), (), batched=True)
OPEN = Signature()


def framed(value: dict[str, Any], tail: bytes) -> tuple[bytes, bytes]:
    text = json.dumps(value).encode()
    return str(len(text)).encode(), text + tail


def asking(rows: int, **more: Any) -> dict[str, Any]:
    return {
        "inputs": [
            {"name": "a", "shape": [rows, 3], "datatype": "FP32",
             "parameters": {"binary_data_size": rows * 12}},
            {"name": "b", "shape": [rows], "datatype": "INT8",
             "parameters": {"binary_data_size": rows}},
        ],
        **more,
    }  # fmt: skip


def outcome(decode: Any) -> Any:
    try:
        call = decode()
    except Refusal as refusal:
        return type(refusal), refusal.message
    tensors = {n: (a.dtype, a.shape, a.tobytes(), a.flags.aligned) for n, a in call.tensors.items()}
    return tensors, call.id, call.outputs, call.binary, call.time_limit, call.priority


@given(
    st.lists(
        st.tuples(
            st.integers(1, 3),
            st.integers(-2, 2),
            st.sampled_from(
                [
                    {},
                    {"id": "x"},
                    {"parameters": {"binary_data_output": True, "timeout": 1000}},
                    {"outputs": [{"name": "y"}]},
                    {"parameters": {"priority": 2}},
                    {"outputs": 3},
                ]
            ),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_the_second_time_gives_what_the_codec_gives(
    requests: list[tuple[int, int, dict[str, Any]]],
) -> None:
    """Whatever came before it, and also where bytes are missing or too many."""
    kept = Plans("m", "1")
    for number, (rows, off, more) in enumerate(requests):
        tail = bytes((number + n) % 256 for n in range(rows * 13 + off))
        length, body = framed(asking(rows, **more), tail)
        got = outcome(lambda: kept.decode(length, body, TWO))  # noqa: B023
        assert got == outcome(lambda: codec.decode(length, body, TWO))  # noqa: B023


def test_what_is_kept_is_bounded() -> None:
    kept = Plans("m", "1")
    for number in range(2 * plans.MOST + 10):
        value = asking(1, parameters={"timeout": number + 1})
        length, body = framed(value, bytes(13))
        assert kept.decode(length, body, TWO).time_limit == (number + 1) / 1e6
        kept.encode(codec.Call({}, binary=True), {"y": np.zeros((1, number), np.int8)})
    assert len(kept._plans) <= plans.MOST
    assert len(kept._heads) <= plans.MOST


def test_a_byte_that_is_no_boolean_is_refused_every_time() -> None:
    kept = Plans("m", "1")
    value = {"inputs": [{"name": "t", "shape": [1], "datatype": "BOOL",
                         "parameters": {"binary_data_size": 1}}]}  # fmt: skip
    kept.decode(*framed(value, b"\x01"), OPEN)
    with pytest.raises(BadInput, match="neither 0 nor 1"):
        kept.decode(*framed(value, b"\x02"), OPEN)


def test_texts_of_bytes_are_read_every_time() -> None:
    kept = Plans("m", "1")
    value = {"inputs": [{"name": "t", "shape": [1], "datatype": "BYTES",
                         "parameters": {"binary_data_size": 5}}]}  # fmt: skip
    for letter in (b"a", b"b"):
        call = kept.decode(*framed(value, b"\x01\0\0\0" + letter), OPEN)
        assert call.tensors["t"].tolist() == [letter]


@pytest.mark.parametrize(
    "call",
    [
        codec.Call({}, binary=True),
        codec.Call({}),
        codec.Call({}, outputs={"z": True, "y": None}),
        codec.Call({}, outputs={"z": True, "y": True}),
        codec.Call({}, outputs={"y": False}, binary=True),
        codec.Call({}, id="q", binary=True),
    ],
)
def test_an_answer_is_the_same_every_time(call: codec.Call) -> None:
    kept = Plans("m", "1")
    for value in (1.5, 2.5):
        outputs: Tensors = {
            "y": np.full((2, 2), value, np.float32),
            "z": np.array([int(value)], np.int64),
        }
        assert kept.encode(call, outputs) == codec.encode(call, outputs, "m", "1")


def test_an_output_that_the_model_did_not_give_is_said_every_time() -> None:
    kept = Plans("m", "1")
    outputs: Tensors = {"y": np.zeros(1, np.float32)}
    kept.encode(codec.Call({}, outputs={"y": True}), outputs)
    with pytest.raises(BadInput, match="unexpected output 'z'"):
        kept.encode(codec.Call({}, outputs={"y": True, "z": True}), outputs)


def test_a_large_answer_is_sent_from_where_it_lies() -> None:
    kept = Plans("m", "1")
    outputs: Tensors = {"y": np.arange(50_000, dtype=np.float32)}
    for _ in range(2):
        answer = kept.encode(codec.Call({}, binary=True), outputs)
        assert b"".join(answer.tail) == outputs["y"].tobytes()
        assert answer.length == len(answer.body) + outputs["y"].nbytes
