"""What goes together once it is padded, and that nobody sees the neighbours' lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import Batching
from modelfleet_runtime.batching.axes import padding_for
from modelfleet_runtime.batching.entry import Part
from modelfleet_runtime.batching.padding import Padding, size_class
from modelfleet_runtime.batching.scatter import run_batch
from modelfleet_runtime.signature import DType, Signature, Tensors, TensorSpec
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
        ([{"input": "fixed"}], "names the input 'fixed', whose rows have one shape"),
        ([{"input": "words"}], "names the input 'words', which is text"),
        ([{"input": "small", "value": 300}], "adds 300 to the input 'small', which is UINT8"),
    ],
)
def test_padding_that_has_no_effect_is_said(asked: list[dict[str, object]], message: str) -> None:
    signature = TEXT
    if asked[0]["input"] != "idz":
        inputs = (spec("fixed", DType.FP32, -1, 4), spec("words", DType.BYTES, -1, -1))
        small = spec("small", DType.UINT8, -1, -1)
        signature = Signature((*inputs, small), (), batched=True)
    with pytest.raises(ValueError, match=message):
        padding_for(Batching.model_validate({"padding": asked}), signature)


def named(name: str, dtype: DType, *dims: str | int) -> TensorSpec:
    shape = tuple(-1 if isinstance(size, str) else size for size in dims)
    return TensorSpec(name, dtype, shape, tuple(d if isinstance(d, str) else None for d in dims))


def asked_for(signature: Signature, *names: str) -> Padding | None:
    wanted = [{"input": name} for name in names]
    return padding_for(Batching.model_validate({"padding": wanted}), signature)


PAIR = Signature(
    (
        named("question", DType.FP32, "batch", "short"),
        named("passage", DType.FP32, "batch", "long"),
    ),
    (
        named("marks", DType.FP32, "batch", "long"),
        named("table", DType.FP32, "batch", "long", "short"),
        named("score", DType.FP32, "batch", 1),
    ),
    batched=True,
)
"""Two axes with names."""


def compare(batch: Tensors) -> Tensors:
    question, passage = (batch[name].astype(np.float32) for name in ("question", "passage"))
    return {
        "marks": passage * 2,
        "table": passage[:, :, None] * question[:, None, :],
        "score": (question.sum(1) + passage.sum(1))[:, None],
    }


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8)), min_size=2, max_size=6),
)
def test_axes_with_names_are_told_apart_though_they_are_equally_long(
    lengths: list[tuple[int, int]],
) -> None:
    padding = asked_for(PAIR, "question", "passage")
    assert padding is not None
    requests: list[Tensors] = [
        {
            "question": np.full((1, short), n + 1, np.float32),
            "passage": np.full((1, long), n + 2, np.float32),
        }
        for n, (short, long) in enumerate(lengths)
    ]
    assert len({padding.kin(request) for request in requests}) == 1
    parts = [one.cut(one.rows) for one in map(entry, requests)]
    answers = run_batch(compare, parts, padding).answers
    for request, answer in zip(requests, answers, strict=True):
        assert not isinstance(answer, Exception)
        for name, alone in compare(request).items():
            np.testing.assert_array_equal(answer[name], alone)


def test_axes_that_an_output_could_both_follow_are_one() -> None:
    """Which of the two it follows would be a guess: they are not padded where they differ."""
    some = Signature(PAIR.inputs, (*PAIR.outputs, named("z", DType.FP32, "batch", "dim_1")), True)
    padding = asked_for(some, "question", "passage")
    assert padding is not None
    assert padding.outputs["table"] == ((1, "long"), (2, "long"))

    def request(short: int, long: int) -> Tensors:
        made: Tensors = {"question": np.ones((1, short), np.float32)}
        return made | {"passage": np.ones((1, long), np.float32)}

    assert padding.kin(request(3, 3)) == padding.kin(request(5, 5))
    assert padding.kin(request(3, 4)) != padding.kin(request(5, 5))


def test_without_names_inputs_of_different_lengths_are_not_padded() -> None:
    """Which output follows which would be a guess."""
    kin = padding().kin
    odd: Tensors = {"ids": np.ones((1, 5), np.int64), "mask": np.ones((1, 7), np.int64)}
    even = text(1, 7, 1)
    assert kin(odd) != kin(even)
    assert kin(odd) == kin(odd)


def test_an_axis_grows_in_all_of_its_inputs_or_in_none() -> None:
    signature = Signature(
        (named("ids", DType.INT64, "batch", "length"), named("mask", DType.INT64, "b", "length")),
        batched=True,
    )
    with pytest.raises(ValueError, match="'mask' has the same dimension 'length': name it too"):
        asked_for(signature, "ids")
    assert asked_for(signature, "ids", "mask") is not None


def test_an_output_named_after_something_else_is_not_cut() -> None:
    signature = Signature(
        (named("ids", DType.INT64, "batch", "length"), named("top", DType.INT64, "batch", "k")),
        (named("best", DType.INT64, "batch", "k"), named("made", DType.INT64, "batch", "new")),
        batched=True,
    )
    made = asked_for(signature, "ids")
    assert made is not None
    assert made.outputs == {"best": (), "made": ((1, "length"),)}


@pytest.mark.parametrize("dtype", [np.uint8, np.dtype(object)])
def test_where_the_package_says_nothing_what_cannot_hold_the_value_is_not_padded(
    dtype: np.dtype[np.generic],
) -> None:
    wanted = Batching.model_validate({"padding": [{"input": "x", "value": 300}]})
    made = padding_for(wanted, Signature(batched=True))
    assert made is not None

    def kins(of: "np.dtype[np.generic] | type[np.generic]") -> int:
        return len({made.kin({"x": np.ones((1, n), of)}) for n in (3, 4)})

    assert kins(dtype) == 2
    assert kins(np.float32) == 1
