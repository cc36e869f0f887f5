"""What is counted for an experiment, without a server around it."""

import asyncio
import json
from collections.abc import Iterable
from itertools import count

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_contract import (
    CALLER_BUCKETS,
    LARGEST_VALUE,
    ModelValue,
    Reduce,
    Tallies,
    bucket_of,
)
from modelfleet_contract.values import MOST_FEEDBACK, MOST_VALUES
from modelfleet_operator.statistics import callers
from modelfleet_runtime.errors import BadInput, CannotServe, NotFound
from modelfleet_runtime.experiment.experiment import Experiment
from modelfleet_runtime.experiment.posted import MOST_POSTS, read
from modelfleet_runtime.experiment.remembered import Remembered
from modelfleet_runtime.experiment.returned import check, declared, seen
from modelfleet_runtime.experiment.tallies import BUCKETS, FRESH_S, MOST_SUMS
from modelfleet_runtime.experiment.tallies import Tallies as Kept
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.signature import Array, DType, Signature, TensorSpec

CALLERS = st.none() | st.integers(0, CALLER_BUCKETS - 1)


def kept(experiment: Experiment) -> Tallies:
    return Tallies.from_json(asyncio.run(experiment.tallies.page()))


def small(most: int) -> Kept:
    """With room for so few sums. Each of its pages is made anew."""
    return Kept("m-own", lambda: (0, 0), now=count(step=10 * FRESH_S).__next__, most=most)


def told(tallies: Kept) -> Tallies:
    return Tallies.from_json(asyncio.run(tallies.page()))


def made(feedback: Iterable[str] = ("clicked", "rating"), values: Iterable[str] = ()) -> Experiment:
    taken = [ModelValue(name=name, output=name) for name in values]
    return Experiment("digits", Metrics("digits"), "digits-own", taken, list(feedback))


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.sampled_from([200, 400, 500, 503])))
)
def test_with_callers_the_totals_are_the_sums_over_buckets(
    answers: list[tuple[bytes, int]],
) -> None:
    metrics = Metrics("m")
    experiment = Experiment("m", metrics)
    for caller, status in answers:
        metrics.answered(status, 0.1)
        experiment.answered({b"x-modelfleet-caller": caller}, status, ())
    tally = kept(experiment).revisions["m-local"]
    assert tally.requests == len(answers) == sum(tally.callers.requests.values())
    failed = [caller for caller, status in answers if status >= 500]
    assert tally.errors == len(failed) == sum(tally.callers.errors.values())
    assert tally.callers.requests.keys() == {bucket_of(c) % BUCKETS for c, _ in answers}
    assert tally.callers.errors.keys() == {bucket_of(c) % BUCKETS for c in failed}


@given(st.lists(st.tuples(st.integers(-1000, 1000), CALLERS)))
def test_a_values_totals_are_the_sums_over_buckets_and_what_had_no_caller(
    numbers: list[tuple[int, int | None]],
) -> None:
    experiment = made()
    for number, bucket in numbers:
        experiment.tallies.add("digits-own", "rating", number, bucket)
    found = kept(experiment).revisions["digits-own"].values
    if not numbers:
        assert not found
        return
    value = found["rating"]
    assert value.callers.keys() == {at % BUCKETS for _, at in numbers if at is not None}
    alone = [number for number, bucket in numbers if bucket is None]
    assert value.requests == len(numbers)
    assert value.nonzero == sum(number != 0 for number, _ in numbers)
    assert value.sum == sum(alone) + sum(one.sum for one in value.callers.values())
    assert value.requests == len(alone) + sum(one.requests for one in value.callers.values())
    squares = sum(number**2 for number in alone) + sum(
        one.squares for one in value.callers.values()
    )
    assert value.squares == squares == sum(number**2 for number, _ in numbers)


def test_those_whose_client_left_are_no_answers() -> None:
    metrics = Metrics("m")
    metrics.answered(499, 0.1)
    metrics.answered(418, 0.1)
    metrics.answered(507, 0.1)
    assert metrics.answers() == (2, 1)


async def test_a_page_is_made_once_in_a_second() -> None:
    clock = [0.0]
    tallies = Kept("m-1", lambda: (0, 0), now=lambda: clock[0])
    pages = []
    for clock[0] in (0.0, FRESH_S / 2, FRESH_S):
        tallies.add("m-1", "clicked", 1.0, None)
        pages.append(Tallies.from_json(await tallies.page()).revisions["m-1"].values["clicked"])
    assert [page.requests for page in pages] == [1, 1, 3]


def test_each_process_says_which_it_is() -> None:
    assert len({kept(made()).boot for _ in range(3)}) == 3


# -- posted


def test_what_is_posted_counts_for_the_revision_and_the_caller_that_the_id_names() -> None:
    experiment = made()
    feedback = experiment.feedback
    own = feedback.id_for(b"request.1", 17).decode()
    assert own == "own:17.request.1"
    posts = (
        b'[{"id": "own:17.request.1", "values": {"clicked": true, "rating": -2.5}},'
        b'{"id": "own.b", "values": {"clicked": 0}}, {"id": "old.c", "values": {"clicked": 1}}]'
    )
    counted = feedback.take(posts, 5)
    assert (counted.counted, counted.repeated) == (4, 0)
    revisions = kept(experiment).revisions
    clicked = revisions["digits-own"].values["clicked"]
    assert (clicked.requests, clicked.nonzero, clicked.sum) == (2, 1, 1.0)
    assert clicked.callers == {17: (1, 1.0, 1.0), 5: (1, 0.0, 0.0)}
    assert revisions["digits-own"].values["rating"].callers == {17: (1, -2.5, 6.25)}
    assert revisions["digits-old"].values["clicked"].callers == {5: (1, 1.0, 1.0)}
    assert revisions["digits-old"].requests == 0


def test_callers_are_told_by_as_many_buckets_as_the_operator_has() -> None:
    experiment = made()
    for bucket in (5, 5 + BUCKETS, CALLER_BUCKETS - 1):
        experiment.tallies.add("digits-own", "rating", 2.0, bucket)
    page = kept(experiment)
    assert page.buckets == BUCKETS
    assert page.buckets % callers.BUCKETS == CALLER_BUCKETS % BUCKETS == 0
    found = page.revisions["digits-own"].values["rating"].callers
    assert found == {5: (2, 4.0, 8.0), BUCKETS - 1: (1, 2.0, 4.0)}


def test_the_fullest_page_is_below_one_mebibyte() -> None:
    deployment = "d" * 63
    tallies = Kept(f"{deployment}-{'o' * 63}", lambda: (2**64 - 1, 2**64 - 1))
    number = -1.2345678901234567e-100  # sums and squares are written as long as any
    posted = [f"n{n:02d}{'n' * 60}" for n in range(MOST_FEEDBACK)]
    own = [*posted, *(f"v{n:02d}{'v' * 60}" for n in range(MOST_VALUES))]
    others = [f"{deployment}-{n:02d}{'r' * 61}" for n in range(MOST_SUMS)]
    for bucket in range(CALLER_BUCKETS):
        tallies.answered(bucket, failed=True)
        for name in own:
            tallies.add(tallies.revision, name, number, bucket)
    for revision in others[: MOST_SUMS - len(own)]:
        for bucket in range(BUCKETS):
            tallies.add(revision, posted[0], number, bucket)
    page = asyncio.run(tallies.page())
    read = Tallies.from_json(page)
    sums = [value for one in read.revisions.values() for value in one.values.values()]
    assert len(sums) == MOST_SUMS
    assert all(len(value.callers) == BUCKETS for value in sums)
    longer = len(str(2**64 - 1)) - 1  # counts of one digit may become as long as that
    assert len(page) + longer * (MOST_SUMS * (BUCKETS + 2) + 2 * BUCKETS) < 1024 * 1024


def test_the_same_id_and_name_count_once() -> None:
    experiment = made()
    take = experiment.feedback.take
    assert take(b'{"id": "own.a", "values": {"clicked": 1}}', None).counted == 1
    again = take(
        b'[{"id": "own.a", "values": {"clicked": 0, "rating": 3}},'
        b'{"id": "own.b", "values": {"clicked": 1}}, {"id": "own.b", "values": {"clicked": 1}}]',
        None,
    )
    assert (again.counted, again.repeated) == (2, 2)
    assert take(b'{"id": "own:17.a", "values": {"clicked": 1}}', None).repeated == 1
    values = kept(experiment).revisions["digits-own"].values
    assert {name: value.sum for name, value in values.items()} == {"clicked": 2.0, "rating": 3.0}


def test_what_is_remembered_is_bounded_and_begins_with_the_last() -> None:
    remembered = Remembered(most=10)
    for number in range(1000):
        remembered.add(number)
        assert all(one in remembered for one in range(max(0, number - 9), number + 1))
    assert sum(number in remembered for number in range(1000)) <= 20


GOOD_ID = '"id": "own.a"'
BAD: list[tuple[str, str]] = [
    ("", "the body is not valid JSON"),
    ("{", "the body is not valid JSON"),
    ('{"id": "own.a", "values": {"clicked": NaN}}', "not valid JSON"),
    ('{"id": "own.a", "values": {"clicked": 1e999}}', "not valid JSON"),
    ("1", "this is no post"),
    ("[[]]", "[0]: this is no post"),
    ("{}", "id is missing"),
    ('{"id": 5, "values": {"clicked": 1}}', "id is 5; send what the answer had"),
    ('{"id": "", "values": {"clicked": 1}}', 'id is ""'),
    ('{"id": "own", "values": {"clicked": 1}}', 'id is "own";'),
    ('{"id": "own.", "values": {"clicked": 1}}', 'id is "own.";'),
    ('{"id": "own:1024.a", "values": {"clicked": 1}}', 'id is "own:1024.a"'),
    ('{"id": "OWN.a", "values": {"clicked": 1}}', 'id is "OWN.a"'),
    ('{"id": "own.a b", "values": {"clicked": 1}}', 'id is "own.a b"'),
    (f'{{"id": "own.{"a" * 129}", "values": {{"clicked": 1}}}}', 'id is "own.aaaa'),
    (f"{{{GOOD_ID}}}", "values is no object"),
    (f'{{{GOOD_ID}, "values": {{}}}}', "values is no object"),
    (f'{{{GOOD_ID}, "values": {{"clikced": 1}}}}', "'clikced' is not taken here; this model takes"),
    (f'{{{GOOD_ID}, "values": {{"clicked": "1"}}}}', 'values.clicked is "1"; send a number'),
    (f'{{{GOOD_ID}, "values": {{"clicked": null}}}}', "values.clicked is null; send a number"),
    (f'{{{GOOD_ID}, "values": {{"clicked": 1e13}}}}', "clicked is 1e+13; send a number from"),
    (f'{{{GOOD_ID}, "values": {{"clicked": 1}}, "at": 1}}', "unexpected 'at'"),
    (f'[{{{GOOD_ID}, "values": {{"clicked": 1}}}}, {{"id": 1}}]', "[1].id is 1"),
    (f'{{"id": {"[" * 900}{"]" * 900}, "values": {{"clicked": 1}}}}', "id is a list; send"),
    (f'{{{GOOD_ID}, "values": {{"clicked": {"[" * 900}{"]" * 900}}}}}', "clicked is a list; send"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "words"), BAD)
def test_what_cannot_be_a_post_is_refused_with_its_place_and_nothing_is_counted(
    body: str, words: str
) -> None:
    experiment = made()
    with pytest.raises(BadInput) as caught:
        experiment.feedback.take(body.encode(), None)
    assert words in caught.value.message
    assert not kept(experiment).revisions["digits-own"].values


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["own.a", "old:3.b", "own:1024.a"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["id", "values", "clicked", "x"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_posted_is_counted_or_refused(body: bytes) -> None:
    experiment = made()
    try:
        counted = experiment.feedback.take(body, None).counted
    except BadInput:
        counted = 0
    revisions = kept(experiment).revisions.values()
    assert counted == sum(v.requests for one in revisions for v in one.values.values())


def test_bounds_of_what_is_posted() -> None:
    one = '{"id": "own.a", "values": {"clicked": 1}}'
    with pytest.raises(BadInput, match=f"at most {MOST_POSTS}"):
        read(f"[{','.join([one] * (MOST_POSTS + 1))}]".encode(), ["clicked"])
    most = f'{{"id": "own.a", "values": {{"clicked": {-LARGEST_VALUE}}}}}'
    assert read(most.encode(), ["clicked"])[0].values == {"clicked": -LARGEST_VALUE}
    with pytest.raises(NotFound, match=r"spec\.runtime\.feedback"):
        made(feedback=()).feedback.take(one.encode(), None)


def test_ids_of_revisions_that_never_were_do_not_silence_one_that_is() -> None:
    experiment = made()
    take = experiment.feedback.take
    take(b'{"id": "own.a", "values": {"clicked": 1}}', None)
    forged = [{"id": f"r{n}.a", "values": {"clicked": 1}} for n in range(MOST_POSTS)]
    assert take(json.dumps(forged).encode(), None).counted == MOST_POSTS
    assert take(b'{"id": "real.a", "values": {"clicked": 1}}', None).counted == 1
    assert take(b'{"id": "own.b", "values": {"clicked": 1}}', None).counted == 1
    revisions = kept(experiment).revisions
    assert revisions["digits-real"].values["clicked"].sum == 1
    assert revisions["digits-own"].values["clicked"].sum == 2
    assert len(revisions) == MOST_SUMS


def test_the_other_revision_that_was_posted_to_least_recently_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tallies = small(most=5)
    for revision in ("m-own", "m-a", "m-b", "m-c", "m-a", "m-d"):
        tallies.add(revision, "clicked", 1.0, None)
    before = told(tallies)
    assert before.revisions.keys() == {"m-own", "m-a", "m-b", "m-c", "m-d"}
    tallies.add("m-b", "rating", 1.0, None)
    after = told(tallies)
    assert after.revisions.keys() == {"m-own", "m-a", "m-b", "m-d"}
    assert after.revisions["m-b"].values.keys() == {"clicked", "rating"}
    tallies.add("m-own", "rating", 1.0, None)
    assert told(tallies).revisions.keys() == {"m-own", "m-b", "m-d"}
    assert caplog.text.count("what was posted for revision m-c is not counted here") == 1
    assert "m-a" not in caplog.text


NAMES = ("clicked", "stars")
POSTED = st.tuples(
    st.sampled_from(["m-own", *(f"m-{n}" for n in range(6))]), st.sampled_from(NAMES)
)


@given(st.lists(POSTED, max_size=40))
def test_a_count_falls_only_where_the_page_has_another_boot(posted: list[tuple[str, str]]) -> None:
    tallies = small(most=5)
    boot, before = told(tallies).boot, dict[tuple[str, str], int]()
    for key in posted:
        tallies.add(*key, 1.0, None)
        page = told(tallies)
        now = {
            (revision, name): value.requests
            for revision, tally in page.revisions.items()
            for name, value in tally.values.items()
        }
        assert len(now) <= 5
        assert now[key] == before.get(key, 0) + 1
        kept_all = all(now.get(each, 0) >= requests for each, requests in before.items())
        assert kept_all == (page.boot == boot)
        boot, before = page.boot, now
    for name in NAMES:
        assert before.get(("m-own", name), 0) == posted.count(("m-own", name))


async def test_what_is_dropped_while_a_page_is_made_is_in_it_under_the_earlier_boot() -> None:
    """Else the next page had less, under the same boot."""
    tallies = small(most=3)
    for revision in ("m-own", "m-a", "m-b"):
        tallies.add(revision, "clicked", 1.0, None)
    making = asyncio.create_task(tallies.page())
    await asyncio.sleep(0)
    tallies.add("m-c", "clicked", 1.0, None)
    assert not making.done()
    begun, after = (Tallies.from_json(page) for page in (await making, await tallies.page()))
    assert begun.revisions.keys() == {"m-own", "m-a", "m-b"}
    assert after.revisions.keys() == {"m-own", "m-b", "m-c"}
    assert begun.boot != after.boot


# -- returned

ROWS = np.array([[1, 2, 6], [0, -4, 1]], np.float32)


@pytest.mark.parametrize(
    ("array", "rows", "reduce", "expected"),
    [
        (ROWS, 2, Reduce.MEAN, 1.0),
        (ROWS, 2, Reduce.MAX, 3.5),
        (ROWS, 2, Reduce.MIN, -1.5),
        (ROWS, 2, Reduce.FIRST, 0.5),
        (ROWS, 1, Reduce.MAX, 6.0),  # not by rows
        (ROWS[:, :, None], 2, Reduce.MAX, 3.5),
        (np.array([3, 4]), 2, Reduce.MAX, 3.5),
        (np.array(7.5), 1, Reduce.FIRST, 7.5),
        (np.array([True, False]), 2, Reduce.MEAN, 0.5),
        (np.array([60000, 60000], np.float16), 2, Reduce.MEAN, 60000.0),
        (np.array([1 << 63], np.uint64), 1, Reduce.MEAN, None),  # more than is counted
        (np.zeros((2, 0)), 2, Reduce.MAX, None),
        (np.array([np.nan, 1]), 2, Reduce.MEAN, None),
        (np.array([np.inf]), 1, Reduce.MEAN, None),
        (np.array([b"1"], object), 1, Reduce.MEAN, None),
        (np.array([1j]), 1, Reduce.MEAN, None),
    ],
)
def test_a_rows_elements_become_one_number(
    array: Array, rows: int, reduce: Reduce, expected: float | None
) -> None:
    metrics = Metrics("m")
    value = ModelValue(name="v", output="y", reduce=reduce)
    returned = Experiment("m", metrics, values=[value]).returned
    assert returned is not None
    found = returned.of({"y": array}, rows)
    assert found == ([] if expected is None else [("v", expected)])
    missed = f'inference_values_missed_total{{model_name="m",name="v"}} {expected is None:.1f}'
    assert missed in metrics.exposition()[1].decode()


def test_an_output_that_an_answer_does_not_have_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    returned = made(values=["score"]).returned
    assert returned is not None
    assert [returned.of({"y": ROWS}, 2) for _ in range(3)] == [[], [], []]
    assert caplog.text.count("the value score cannot be taken") == 1


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("z", "the model gives 'y', 'label'"),
        ("label", "that output is BYTES, not numbers"),
    ],
)
def test_a_value_that_the_model_cannot_give_is_refused(output: str, words: str) -> None:
    signature = Signature(
        outputs=(TensorSpec("y", DType.FP32, (-1,)), TensorSpec("label", DType.BYTES, (-1,)))
    )
    values = [ModelValue(name="v", output=output)]
    for outputs in (declared(signature), seen({"y": ROWS, "label": np.array([b"a"], object)})):
        assert outputs is not None
        check([ModelValue(name="v", output="y")], outputs)
        with pytest.raises(CannotServe) as caught:
            check(values, outputs)
        assert caught.value.failure.message == (
            f"runtime.values: 'v' is taken from output '{output}', and {words}"
        )


def test_outputs_that_are_not_declared_in_full_are_not_checked_against() -> None:
    assert declared(Signature()) is None
    assert declared(Signature(outputs=(TensorSpec("y"),))) is None
