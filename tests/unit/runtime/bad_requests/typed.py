"""Wrong values for inputs of other datatypes, as tables; `GOOD` is what they differ from.

A row: a name, the inputs that are changed, and what the answer has to say. None drops the input.
"""

import struct
from typing import Any

from modelfleet_runtime.signature import DType, Signature, TensorSpec

SIGNATURE = Signature(
    (
        TensorSpec("i", DType.INT8, (-1, 2)),
        TensorSpec("u", DType.UINT64, (-1, 1)),
        TensorSpec("h", DType.FP16, (-1, 1)),
        TensorSpec("b", DType.BOOL, (-1,)),
        TensorSpec("t", DType.BYTES, (-1, 1)),
    ),
    (TensorSpec("y", DType.FP32, (-1, 2)),),
    batched=True,
)
GOOD: dict[str, Any] = {"i": [-128, 127], "u": [2**64 - 1], "h": [-0.0], "b": True, "t": ["é"]}
"""One item of the simple protocol."""

VALUES: list[tuple[str, dict[str, Any], str]] = [
    ("one more than INT8 holds", {"i": [0, 128]}, "out of the range of INT8"),
    ("one less than INT8 holds", {"i": [-129, 0]}, "out of the range of INT8"),
    ("one more than 64 bits hold", {"i": [2**64, 0]}, "where whole numbers are expected"),
    ("a number of a thousand digits", {"i": [10**999, 0]}, "not valid JSON"),
    ("a fraction for a whole number", {"i": [0.5, 0]}, "a fraction where whole numbers"),
    ("a whole fraction for a whole number", {"i": [1.0, 0]}, "a fraction where whole numbers"),
    ("true for a whole number", {"i": [True, False]}, "true or false where whole numbers"),
    ("a text for a whole number", {"i": ["1", "2"]}, "text where numbers"),
    ("null for a whole number", {"i": [None, 0]}, "null"),
    ("a scalar for a list", {"i": 5}, "'i' has shape [1]; expected [-1,2]"),
    ("below zero for UINT64", {"u": [-1]}, "out of the range of UINT64"),
    ("one more than UINT64 holds", {"u": [2**64]}, "where whole numbers are expected"),
    ("one more than FP16 holds", {"h": [65520]}, "out of the range of FP16"),
    ("far less than FP16 holds", {"h": [-1e300]}, "out of the range of FP16"),
    ("true for a number", {"h": [True]}, "true or false where numbers"),
    ("two for true", {"b": 2}, "a number where true and false"),
    ("below zero for true", {"b": -1}, "a number where true and false"),
    ("half of true", {"b": 0.5}, "a fraction where true and false"),
    ("a text for true", {"b": "true"}, "text where true and false"),
    ("a number for a text", {"t": [1]}, "a int where texts"),
    ("null for a text", {"t": [None]}, "where texts are expected"),
    ("an object for a text", {"t": [{}]}, "where texts are expected"),
    ("texts of uneven depth", {"t": ["a", ["b"]]}, "not of even length"),
    ("an input left out", {"i": None}, "missing 'i'"),
    ("two left out", {"i": None, "u": None}, "missing 'i', 'u'"),
    ("one that is not the model's", {"v": 1}, "unexpected input 'v'"),
]


def elements(*lengths_and_bytes: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<I", length) + data for length, data in lengths_and_bytes)


TEXTS: list[tuple[str, list[int], bytes, str]] = [
    ("no element", [1, 1], b"", "announces 1 elements in 0 bytes"),
    ("half a length", [1, 1], b"\1\0", "announces 1 elements in 2 bytes"),
    ("a length beyond the end", [1, 1], elements((9, b"abc")), "ends within its element 0"),
    ("the longest length", [1, 1], elements((2**32 - 1, b"abc")), "ends within its element 0"),
    ("a length too short", [1, 1], elements((1, b"abc")), "2 bytes after its last element"),
    ("one element more", [1, 1], elements((1, b"a"), (1, b"b")), "after its last element"),
    ("the last one missing", [3, 1], elements((8, b"abcdefgh")), "ends before its element 1"),
    ("a million announced", [1_000_000, 1], elements((1, b"a")), "announces 1000000 elements"),
    ("more than memory", [1 << 40, 1 << 8], elements((1, b"a")), "announces"),
]
"""Binary data of the input `t`: its shape and its bytes."""
