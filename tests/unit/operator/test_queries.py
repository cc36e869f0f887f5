"""What the answers of a Prometheus come to, alone and beside what the counters show."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.api.analysis import PLACEHOLDERS, Query
from modelfleet_operator.api.status import CheckStatus
from modelfleet_operator.plan import queries
from modelfleet_operator.plan.queries import Asked
from modelfleet_operator.seen import Answer
from modelfleet_operator.statistics.gate import MISSED, Action, Judgement, Verdict
from modelfleet_operator.statistics.policy import OnNoData, OnTimeout, Policy

NAMES = {each: f"the-{each}" for each in PLACEHOLDERS}


def asked(**fields: Any) -> Asked:
    query = Query.model_validate({"name": "load", "query": "load", "max": "0.5", **fields})
    (one,) = queries.asked([query], NAMES)
    return one


def after(each: Asked, *values: float | None) -> CheckStatus:
    """The check after these looks, the state going through the status each time."""
    told: list[CheckStatus] = [queries.unasked(each, (), unset=False)]
    for value in values:
        answer = Answer(value, "" if value is not None else "no series")
        told = [queries.looked(each, told, answer)]
        told = [CheckStatus.model_validate_json(told[0].model_dump_json())]
    return told[0]


def test_names_stand_for_the_placeholders_and_for_nothing_else() -> None:
    text = "a{{{revision}}} b{{stable}} {{namespace}} {{name}} {{variant}} {x='{{'} {{revision}}"
    assert asked(query=text).expression == (
        "a{the-revision} bthe-stable the-namespace the-name the-variant {x='{{'} the-revision"
    )


@pytest.mark.parametrize(
    ("limits", "value", "good"),
    [
        ({"max": "0.5"}, 0.5, True),
        ({"max": "0.5"}, 0.500001, False),
        ({"max": "0.5"}, float("inf"), False),
        ({"max": "0.5"}, float("-inf"), True),
        ({"max": None, "min": "-2"}, -2.0, True),
        ({"max": None, "min": "-2"}, -2.1, False),
        ({"max": None, "min": "-2"}, float("inf"), True),
        ({"max": "1e3", "min": "1e-3"}, 1000.0, True),
        ({"max": "1e3", "min": "1e-3"}, 0.0, False),
        ({"max": "7", "min": "7"}, 7.0, True),
    ],
)
def test_limits_may_be_reached(limits: dict[str, str | None], value: float, good: bool) -> None:
    check = after(asked(**limits), value)
    assert (check.verdict, check.beyond) == (("Harmless", 0) if good else ("Open", 1))


@pytest.mark.parametrize(
    ("looks", "verdict", "beyond", "missed"),
    [
        pytest.param((), "Open", 0, 0, id="nobody was asked so far"),
        pytest.param((0.1,), "Harmless", 0, 0, id="one is good"),
        pytest.param((9, 9), "Open", 2, 0, id="two are bad"),
        pytest.param((9, 9, 9), "Harmful", 3, 0, id="three in a row"),
        pytest.param((9, 9, 0.1, 9, 9), "Open", 2, 0, id="a good one between them"),
        pytest.param((9, 9, None, 9), "Harmful", 3, 0, id="none between them changes nothing"),
        pytest.param((9, 9, 9, 0.1), "Harmless", 0, 0, id="a good one, were one still asked"),
        pytest.param((0.1, None), "Open", 0, 1, id="none any more"),
        pytest.param((None, None, 0.1), "Harmless", 0, 0, id="at last"),
        pytest.param((9, 9, 9, None), "Harmful", 3, 1, id="bad, and then none"),
    ],
)
def test_looks_in_a_row(
    looks: tuple[float | None, ...], verdict: str, beyond: int, missed: int
) -> None:
    check = after(asked(failures=3), *looks)
    assert (check.verdict, check.beyond, check.missed) == (verdict, beyond, missed)


@given(st.lists(st.sampled_from([0.1, 9.0, None])), st.integers(1, 4))
def test_only_bad_looks_since_the_last_good_one_count(
    looks: list[float | None], failures: int
) -> None:
    check = after(asked(failures=failures), *looks)
    since = looks[len(looks) - looks[::-1].index(0.1) :] if 0.1 in looks else looks
    bad = since.count(9.0)
    assert check.beyond == bad
    assert (check.verdict == "Harmful") == (bad >= failures)
    assert (check.verdict == "Harmless") == (looks[-1:] == [0.1])


def test_a_query_or_a_limit_that_is_changed_is_counted_anew() -> None:
    told = after(asked(), 9, 9)
    for other in (asked(max="0.6"), asked(query="other"), asked(failures=2), asked(min="0")):
        assert queries.looked(other, [told], Answer(9)).beyond == 1
    assert queries.looked(asked(), [told], Answer(9)).verdict == "Harmful"


def test_people_read_the_value_the_limit_and_the_looks() -> None:
    check = after(asked(failures=3), 0.1234567, 0.7)
    assert (check.name, check.value, check.limit) == ("query load", "0.7", "at most 0.5")
    assert check.message == "0.7, at most 0.5 is good: 1 of 3 looks in a row"
    assert after(asked(), 0.1234567).message == "0.123457, at most 0.5 is good"
    assert after(asked(min="-1"), 0.1).limit == "-1 to 0.5"
    assert after(asked(min="1", max=None), 1).limit == "at least 1"
    assert after(asked(), None, None).message == "no answer at the last 2 looks: no series"
    assert after(asked()).message == queries.NOT_YET


# -- with what the counters show

GOOD, BAD, WORSE = (0.1,), (9.0,), (9.0, 9.0, 9.0)
ONCE, NEVER, LATER = (None,), (None,) * (MISSED + 1), ()

HOLDS = Verdict.UNDECIDED, Action.HOLD
PASSES = Verdict.PASS, Action.NEXT
FAILS = Verdict.FAIL, Action.ROLL_BACK
WARMS = Verdict.WARMUP, Action.HOLD
STALE = Verdict.STALE, Action.HOLD
STALE_NEXT = Verdict.STALE, Action.NEXT
LATE_PAUSE = Verdict.TIMEOUT, Action.PAUSE
LATE_NEXT = Verdict.TIMEOUT, Action.NEXT

Looks = tuple[float | None, ...]


def joined(
    counters: tuple[Verdict, Action], *looks: Looks, late: bool = False, **policy: Any
) -> Judgement:
    judged = Judgement(*counters, "the counters say so", (), 100)
    checks = tuple(after(asked(name=f"q{n}"), *each) for n, each in enumerate(looks))
    return queries.joined(judged, checks, Policy(**policy), late=late)


NO_DATA = {each.value: {"on_no_data": each} for each in OnNoData}


@pytest.mark.parametrize(
    ("counters", "looks", "more", "expected"),
    [
        pytest.param(PASSES, (), {}, PASSES, id="no query"),
        pytest.param(PASSES, (GOOD, GOOD), {}, PASSES, id="all must pass, and do"),
        pytest.param(PASSES, (GOOD, WORSE), {}, FAILS, id="any harm fails"),
        pytest.param(HOLDS, (WORSE,), {}, FAILS, id="whatever the counters wait for"),
        pytest.param(WARMS, (WORSE,), {}, FAILS, id="found before weights moved again"),
        pytest.param(STALE, (WORSE,), {}, FAILS, id="though the routers are silent"),
        pytest.param(FAILS, (GOOD,), {}, FAILS, id="the counters' harm"),
        pytest.param(FAILS, (NEVER,), {}, FAILS, id="the counters' harm, and no data"),
        pytest.param(WARMS, (LATER,), {}, WARMS, id="a warm-up"),
        pytest.param(WARMS, (NEVER,), NO_DATA["Hold"], STALE, id="no data is said in it, too"),
        pytest.param(
            WARMS,
            (NEVER,),
            NO_DATA["Fail"],
            (Verdict.STALE, Action.ROLL_BACK),
            id="no data failed it before weights moved again",
        ),
        pytest.param(HOLDS, (GOOD,), {}, HOLDS, id="the counters need more"),
        pytest.param(HOLDS, (BAD,), {}, HOLDS, id="the counters need more, and so does it"),
        pytest.param(LATE_PAUSE, (GOOD,), {}, LATE_PAUSE, id="the counters were too late"),
        pytest.param(PASSES, (BAD, GOOD), {}, HOLDS, id="one bad look holds"),
        pytest.param(PASSES, (ONCE,), {}, (Verdict.WAIT, Action.HOLD), id="no answer once"),
        pytest.param(PASSES, (LATER,), {}, (Verdict.WAIT, Action.HOLD), id="not asked so far"),
        pytest.param(STALE_NEXT, (GOOD,), {}, STALE_NEXT, id="on without requests"),
        pytest.param(STALE_NEXT, (BAD,), {}, HOLDS, id="not on without requests"),
        pytest.param(PASSES, (NEVER,), NO_DATA["Hold"], STALE, id="no data holds"),
        pytest.param(HOLDS, (NEVER,), NO_DATA["Hold"], STALE, id="no data is said first"),
        pytest.param(PASSES, (NEVER,), NO_DATA["Proceed"], PASSES, id="no data does not count"),
        pytest.param(HOLDS, (NEVER,), NO_DATA["Proceed"], HOLDS, id="but the counters do"),
        pytest.param(PASSES, (NEVER, BAD), NO_DATA["Proceed"], HOLDS, id="and other queries do"),
        pytest.param(
            PASSES, (NEVER,), NO_DATA["Fail"], (Verdict.STALE, Action.ROLL_BACK), id="it fails"
        ),
    ],
)
def test_what_follows(
    counters: tuple[Verdict, Action],
    looks: tuple[Looks, ...],
    more: dict[str, Any],
    expected: tuple[Verdict, Action],
) -> None:
    found = joined(counters, *looks, **more)
    assert (found.verdict, found.action) == expected
    if counters == expected:
        assert found.says == "the counters say so" or expected[1] is Action.ROLL_BACK
    else:
        assert found.says.startswith("query q")


@pytest.mark.parametrize(
    ("on_timeout", "action"),
    [
        (OnTimeout.PAUSE, Action.PAUSE),
        (OnTimeout.ROLLBACK, Action.ROLL_BACK),
        # A bad answer speaks against it.
        (OnTimeout.PROCEED_IF_CLEAN, Action.PAUSE),
    ],
)
@pytest.mark.parametrize("counters", [PASSES, LATE_NEXT])
def test_a_step_that_is_late(
    counters: tuple[Verdict, Action], on_timeout: OnTimeout, action: Action
) -> None:
    found = joined(counters, BAD, late=True, on_timeout=on_timeout)
    assert (found.verdict, found.action) == (Verdict.TIMEOUT, action)
    assert found.says.startswith("not decided within 1800 s. query q0: 9, at most 0.5 is good")
    assert joined(counters, GOOD, late=True, on_timeout=on_timeout).action is Action.NEXT
    waits = joined(counters, ONCE, late=True, on_timeout=on_timeout)
    assert waits.action is Action.HOLD, "one look without an answer decides nothing"


def test_without_a_prometheus_it_is_said_at_once() -> None:
    check = queries.unasked(asked(), (), unset=True)
    assert check.message == queries.UNSET
    judged = Judgement(*PASSES, "good", (), 100)
    held = queries.joined(judged, (check,), Policy(), late=False)
    assert (held.verdict, held.action) == STALE
    assert held.says == f"query load: {queries.UNSET}"
    on = replace(Policy(), on_no_data=OnNoData.PROCEED)
    assert queries.joined(judged, (check,), on, late=False) == judged
    # The day that there is one, it is asked as any other.
    assert queries.looked(asked(), [check], Answer(0.1)).verdict == "Harmless"
