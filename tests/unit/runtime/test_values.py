"""JSON's values to arrays: what is taken, and what is refused with which words."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from modelfleet_runtime.errors import BadInput, Limit
from modelfleet_runtime.protocols import values
from modelfleet_runtime.signature import DType

TAKEN: list[tuple[Any, DType, Any]] = [
    ([1, 2.5], DType.FP32, np.array([1, 2.5], np.float32)),
    ([[1], [2]], DType.FP16, np.array([[1], [2]], np.float16)),
    (3, DType.INT64, np.array(3, np.int64)),
    ([255], DType.UINT8, np.array([255], np.uint8)),
    ([2**64 - 1], DType.UINT64, np.array([2**64 - 1], np.uint64)),
    ([-128, 127], DType.INT8, np.array([-128, 127], np.int8)),
    ([True, False], DType.BOOL, np.array([True, False])),
    ([0, 1], DType.BOOL, np.array([False, True])),
    ([["a"], ["ü"]], DType.BYTES, np.array([[b"a"], ["ü".encode()]], object)),
]


@pytest.mark.parametrize(("value", "dtype", "expected"), TAKEN)
def test_taken(value: Any, dtype: DType, expected: Any) -> None:
    array = values.to_array(value, dtype, "x")
    assert array.dtype == dtype.numpy
    assert array.shape == expected.shape
    assert array.tolist() == expected.tolist()


REFUSED: list[tuple[Any, DType, str]] = [
    ([256], DType.UINT8, "out of the range of UINT8"),
    ([-129], DType.INT8, "out of the range of INT8"),
    ([-1], DType.UINT64, "out of the range of UINT64"),
    ([2**64], DType.UINT64, "whole numbers are expected"),
    ([1.5], DType.INT32, "a fraction where whole numbers"),
    ([1e39], DType.FP32, "out of the range of FP32"),
    ([70000.0], DType.FP16, "out of the range of FP16"),
    (["1.5"], DType.FP32, "text where numbers"),
    ([None], DType.FP32, "null"),
    ([True], DType.FP32, "true or false where numbers"),
    ([{}], DType.FP32, "an object"),
    ([[1, 2], [3]], DType.FP32, "not of even length"),
    ([2], DType.BOOL, "where true and false"),
    ([1], DType.BYTES, "int where texts"),
    ([["a"], "b"], DType.BYTES, "not of even length"),
    (None, DType.FP32, "null"),
]


@pytest.mark.parametrize(("value", "dtype", "words"), REFUSED)
def test_refused(value: Any, dtype: DType, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        values.to_array(value, dtype, "input 'x'")
    assert caught.value.message.startswith("input 'x'")


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.0], DType.FP32),
        ([1], DType.INT64),
        ([True], DType.BOOL),
        (["a"], DType.BYTES),
        ([2**63], DType.UINT64),
    ],
)
def test_a_datatype_that_is_not_declared_follows_the_values(value: Any, dtype: DType) -> None:
    assert values.to_array(value, None, "x").dtype == dtype.numpy


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"a": Infinity}', b"\xff"])
def test_what_is_no_json(body: bytes) -> None:
    with pytest.raises(BadInput, match=r"empty|not valid JSON"):
        values.parse(body)


def test_json_that_is_too_deep_is_told_apart() -> None:
    with pytest.raises(BadInput, match="more than 1024 deep") as told:
        values.parse(b"[" * 1025 + b"]" * 1025)
    assert told.value.limit is Limit.JSON_DEPTH
    assert values.parse(b"[" * 1024 + b"]" * 1024)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_json_cannot_carry_is_said_and_not_written_as_null(number: float) -> None:
    array = np.array([1, number], np.float32)
    with pytest.raises(BadInput, match="output 'y' holds NaN or infinity"):
        values.dump({"y": array}, [("y", array)])


def test_a_name_with_null_in_it_is_no_nan() -> None:
    array = np.array([1], np.float32)
    assert values.dump({"null": array}, [("null", array)]) == b'{"null":[1.0]}'


def test_bytes_that_are_no_text() -> None:
    array = np.array([b"\xff"], object)
    with pytest.raises(BadInput, match="not UTF-8"):
        values.dump({"y": array}, [("y", array)])


def test_arrays_that_are_not_contiguous() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)[:, 1]
    assert values.dump({"y": array}, ()) == b'{"y":[1,4]}'


def test_one_long_text_among_many_takes_no_memory_for_each() -> None:
    """numpy gives every text the room of the longest: 40 KB of JSON would take 400 MB."""
    mixed = ["x" * 20_000, *"y" * 5_000]
    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="text where numbers"):
            values.to_array(mixed, DType.FP32, "x")
        assert values.to_array(mixed, None, "x").dtype == object
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
