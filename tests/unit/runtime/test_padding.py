"""What goes together once it is padded, and that nobody sees the neighbours' lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import Batching
from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.batching.padding import Padding, padding_for, size_class
from modelfleet_runtime.batching.scatter import run_batch
from modelfleet_runtime.signature import DType, Signature, Tensors
from tests.unit.runtime.builders import entry, spec

TEXT = Signature(
    (spec("ids", DType.INT64, -1, -1), spec("mask", DType.INT64, -1, -1)),
    (spec("tokens", DType.FP32, -1, -1), spec("pooled", DType.FP32, -1, 1)),
    batched=True,
)


def padding() -> Padding:
    made = padding_for(
        Batching.model_validate({"padding": [{"input": "ids", "value": 9}, {"input": "mask"}]}),
        TEXT,
    )
    assert made is not None
    return made


def text(rows: int, length: int, value: int) -> Tensors:
    ids = np.full((rows, length), value, np.int64)
    return {"ids": ids, "mask": np.ones_like(ids)}


def encode(batch: Tensors) -> Tensors:
    """Looks only where the mask does."""
    assert ((batch["mask"] == 1) | (batch["ids"] == 9)).all()
    seen = np.where(batch["mask"] == 1, batch["ids"], 0).astype(np.float32)
    return {"tokens": seen * 2, "pooled": seen.sum(1, keepdims=True)}


def run(requests: list[Tensors]) -> list[Tensors]:
    entries = [entry(tensors) for tensors in requests]
    parts: list[Part] = [one.cut(one.rows) for one in entries]
    answers = run_batch(encode, parts, padding()).answers
    assert not any(isinstance(answer, Exception) for answer in answers)
    return answers  # type: ignore[return-value]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=8),
)
def test_an_answer_is_what_it_would_be_alone(shapes: list[tuple[int, int]]) -> None:
    requests = [text(rows, length, n + 1) for n, (rows, length) in enumerate(shapes)]
    for request, answer in zip(requests, run(requests), strict=True):
        alone = encode(request)
        for name in alone:
            np.testing.assert_array_equal(answer[name], alone[name])


@given(st.integers(1, 10_000))
def test_padding_is_bounded(size: int) -> None:
    largest = size_class(size)
    assert largest >= size
    assert size_class(largest) == largest
    assert largest <= 8 or largest - size < max(8, largest / 4)


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_classes_are_in_order(one: int, other: int) -> None:
    if one <= other:
        assert size_class(one) <= size_class(other)


def test_only_what_is_alike_goes_together() -> None:
    kin = padding().kin
    assert kin(text(1, 33, 1)) == kin(text(2, 40, 1))
    assert kin(text(1, 33, 1)) != kin(text(1, 41, 1))
    other = text(1, 33, 1)
    other["mask"] = other["mask"].astype(np.int32)
    assert kin(other) != kin(text(1, 33, 1))


def test_an_output_that_is_as_long_by_chance_is_left_alone() -> None:
    """pooled has one fixed number, whatever the lengths."""
    short, long = run([text(1, 1, 1), text(1, 2, 1)])
    assert short["pooled"].shape == long["pooled"].shape == (1, 1)
    assert short["tokens"].shape == (1, 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([{"input": "idz"}], "names the input 'idz'; the model takes 'ids', 'mask'"),
        ([{"input": "fixed"}], "names the input 'fixed', whose rows have one fixed shape"),
        ([{"input": "words"}], "names the input 'words', which is text"),
    ],
)
def test_padding_that_has_no_effect_is_said(asked: list[dict[str, str]], message: str) -> None:
    signature = TEXT
    if asked[0]["input"] != "idz":
        inputs = (spec("fixed", DType.FP32, -1, 4), spec("words", DType.BYTES, -1, -1))
        signature = Signature(inputs, (), batched=True)
    with pytest.raises(ValueError, match=message):
        padding_for(Batching.model_validate({"padding": asked}), signature)
