"""The simple protocol's JSON: bytes in, tensors out, and back."""

import numpy as np
import pytest

from modelfleet_runtime.errors import BadInput
from modelfleet_runtime.protocols.simple import codec
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import PIXELS, spec

TWO = Signature(
    (spec("a", DType.FP32, -1), spec("b", DType.INT64, -1, 2)),
    (spec("y", DType.FP32, -1),),
    batched=True,
)
WHOLE = Signature((spec("x", DType.FP32, 2, 2),), (spec("y", DType.FP32, 1),))
HEAD = codec.answer_head("m", "3")


def one(body: bytes, signature: Signature = PIXELS) -> Tensors:
    return codec.decode_item(codec.inputs_of(body), signature)


def many(body: bytes, signature: Signature = PIXELS) -> Tensors:
    return codec.decode_items(codec.items_of(body), signature)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [1, 2, 3, 4]}',
        b'{"inputs": {"x": [1, 2, 3, 4]}}',
        b'{"inputs": [[1, 2, 3, 4]]}',
    ],
)
def test_one_item_becomes_one_row(body: bytes) -> None:
    assert one(body)["x"].tolist() == [[1, 2, 3, 4]]


def test_an_item_has_a_value_for_each_input() -> None:
    tensors = one(b'{"inputs": {"a": 1.5, "b": [1, 2]}}', TWO)
    assert {name: array.tolist() for name, array in tensors.items()} == {"a": [1.5], "b": [[1, 2]]}


def test_a_model_without_rows_takes_the_whole_tensor() -> None:
    assert one(b'{"inputs": [[1, 2], [3, 4]]}', WHOLE)["x"].shape == (2, 2)


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [[1, 1, 1, 1], [2, 2, 2, 2]]}',
        b'{"inputs": [{"x": [1, 1, 1, 1]}, {"x": [2, 2, 2, 2]}]}',
        b'{"inputs": [[1, 1, 1, 1], {"x": [2, 2, 2, 2]}]}',
    ],
)
def test_a_list_of_items_becomes_rows(body: bytes) -> None:
    assert many(body)["x"].tolist() == [[1] * 4, [2] * 4]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", 'no "inputs"'),
        (b"{}", 'no "inputs"'),
        (b'{"instances": [1]}', 'no "inputs"'),
        (b'{"inputs": [1], "x": 2}', "unexpected 'x'"),
        (b'{"inputs": {"z": [1]}}', "unexpected input 'z'; the model takes 'x'"),
        (b'{"inputs": [[1, 2, 3, 4], [1, 2, 3, 4]]}', "send several items to /predict/batch"),
        (b'{"inputs": ["a", 2, 3, 4]}', "input 'x': text where numbers"),
    ],
)
def test_what_is_wrong_with_one_item(body: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        one(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"inputs": {"x": 1}}', "not a list"),
        (b'{"inputs": []}', "empty list"),
        (b'{"inputs": [[1, 2, 3, 4], [1, "b", 3, 4]]}', r"inputs\[1\]: input 'x': text"),
        (b'{"inputs": [[1, 2, 3, 4], [1, 2]]}', r"inputs\[1\]: input 'x' has shape \[2\]"),
        (b'{"inputs": [{"x": [1]}, {}]}', r"inputs\[1\] has other inputs"),
    ],
)
def test_what_is_wrong_with_a_list(body: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        many(body)


def test_answers() -> None:
    outputs: Tensors = {
        "digit": np.array([7, 1]),
        "p": np.array([[0.5, 0.25], [1, 0]], np.float32),
        "name": np.array([b"seven", b"one"], object),
    }
    assert codec.encode_item(outputs, PIXELS, HEAD) == (
        b'{"model":"m","version":"3","outputs":{"digit":7,"p":[0.5,0.25],"name":"seven"}}'
    )
    assert codec.encode_items(outputs, 2, HEAD) == (
        b'{"model":"m","version":"3","outputs":[{"digit":7,"p":[0.5,0.25],"name":"seven"},'
        b'{"digit":1,"p":[1.0,0.0],"name":"one"}]}'
    )
    assert codec.encode_item({"y": np.array([3.0])}, WHOLE, HEAD) == (
        b'{"model":"m","version":"3","outputs":{"y":[3.0]}}'
    )
    assert codec.encode_error('a "b"') == b'{"error":"a \\"b\\""}'
