"""The quick way of reading JSON's numbers gives what the ordinary one gives, or leaves it alone."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.protocols import values
from modelfleet_runtime.protocols.numbers import Numbers, Parser
from modelfleet_runtime.signature import DType

scalars = st.one_of(
    st.integers(-(2**64), 2**65),
    st.integers(-300, 300),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
    st.sampled_from(["1", "", "true"]),
)
lists = st.recursive(st.lists(scalars, max_size=8), lambda inner: st.lists(inner, max_size=3))
NUMERIC = [dtype for dtype in DType if dtype is not DType.BYTES]


def read(value: Any, dtype: DType) -> Any:
    try:
        array = values.to_array(value, dtype, "x")
    except BadInput:
        return "refused"
    return array.dtype, array.size, array.tobytes()


@given(lists, st.sampled_from(NUMERIC))
def test_numbers_are_read_as_the_ordinary_parser_reads_them(data: Any, dtype: DType) -> None:
    text = json.dumps({"inputs": [{"data": data}]}).encode()
    parsed = Parser().parse(text)
    if parsed is None:
        return
    quick = parsed["inputs"][0]["data"]
    assert isinstance(quick, Numbers)
    ordinary = read(orjson.loads(text)["inputs"][0]["data"], dtype)
    got = read(quick, dtype)
    if got != ordinary:
        # The quick way is the stricter one: lists of uneven length are told apart by their count,
        # and truth among numbers is refused.
        assert ordinary == "refused" or _holds_truth(data)


def _holds_truth(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_truth, value))
    return isinstance(value, bool)


@given(
    st.recursive(
        st.one_of(scalars, st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_whatever_else_stands_there_is_read_the_same(value: Any) -> None:
    text = json.dumps({"inputs": [{"name": value}, value], "id": value}).encode()
    parsed = Parser().parse(text)
    if parsed is None:
        return
    assert parsed == orjson.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        b'\xef\xbb\xbf{"inputs": []}',
        b'{"inputs": [], "inputs": [1]}',
        b'{"inputs": [{"data": [1], "data": [2]}]}',
        b'{"inputs": [1',
        b"[1]",
        b"",
        b'{"inputs": []} x',
        b'{"x": "\xff"}',
    ],
)
def test_what_it_would_take_otherwise_is_left_to_the_ordinary_parser(text: bytes) -> None:
    assert Parser().parse(text) is None


def test_a_text_that_is_still_referred_to_does_not_stop_the_next() -> None:
    parser = Parser()
    text = b'{"inputs": [{"data": [1.5]}]}'
    held = parser.parse(text)
    assert held is not None
    for _ in range(2):
        parser.parse(text)
    again = parser.parse(text)
    assert again is not None
    flat = again["inputs"][0]["data"].flat(DType.FP32)
    np.testing.assert_array_equal(flat, [1.5])
