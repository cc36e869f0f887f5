"""What an experiment remembers, and how a look adds to it."""

from random import Random

import pytest

from modelfleet_operator.statistics.callers import Column, Counted, Sums, Values
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.encoding import BrokenText
from modelfleet_operator.statistics.experiment import Result
from modelfleet_operator.statistics.latency import LADDER, Histogram
from modelfleet_operator.statistics.trial import Design, Measure, Metric, Trial

ERRORS = Metric("ErrorRate", Measure.ERRORS)
SLOW = Metric("Latency", Measure.SLOW, 250)
CLICKS = Metric("Value/clicked", Measure.VALUE, value="clicked")
EVEN = {"control": 5000, "b": 5000}


def design(*metrics: Metric, sticky: bool = False, arms: str = "control b") -> Design:
    names = tuple(arms.split())
    shadows = tuple(name for name in names if name == "shadow")
    return Design("control", names, metrics or (ERRORS,), sticky, shadows)


def traffic(rng: Random, n: int, errors: float, slow: float = 0.0) -> Traffic:
    failed = sum(rng.random() < errors for _ in range(n))
    late = sum(rng.random() < slow for _ in range(n))
    counts = [0] * (len(LADDER) + 1)
    counts[LADDER.index(60)], counts[LADDER.index(400)] = n - late, late
    return Traffic(n, failed, Histogram(LADDER, tuple(counts)), sent=n)


def run(
    trial: Trial, looks: int, b: float, control: float = 0.02, seed: int = 1, n: int = 100
) -> Trial:
    rng = Random(seed)
    for _ in range(looks):
        trial = trial.add({"control": traffic(rng, n, control), "b": traffic(rng, n, b)}, 30)
    return trial


def result(trial: Trial, metric: Metric = ERRORS, arm: str = "b") -> Result:
    return trial.result(arm, metric, 0.05)


def test_an_arm_with_more_errors_is_found() -> None:
    found = result(run(Trial.start(design(), EVEN), 60, b=0.08))
    assert found.p_value < 0.001
    assert 0 < found.low < 0.06 < found.high


def test_other_shares_begin_a_segment_and_the_same_do_not() -> None:
    before = run(Trial.start(design(), EVEN), 60, b=0.08)
    assert before.with_shares({"control": 5000, "b": 5000}) is before
    after = before.with_shares({"control": 8000, "b": 2000})
    assert after.traffic == {}
    assert result(after).arm is None
    assert result(after).p_value == pytest.approx(result(before).p_value)
    assert after.ratio.counts == (0, 0)


def test_slow_requests_are_those_beyond_the_threshold() -> None:
    rng, trial = Random(3), Trial.start(design(SLOW), EVEN)
    for _ in range(40):
        period = {"control": traffic(rng, 100, 0, slow=0.01), "b": traffic(rng, 100, 0, slow=0.1)}
        trial = trial.add(period, 30)
    found = result(trial, SLOW)
    assert found.control == pytest.approx(0.01, abs=0.01)
    assert found.p_value < 0.001


def test_without_a_threshold_the_controls_p95_is_read_once_and_judges_what_comes_after() -> None:
    slow = Metric("Latency", Measure.SLOW)
    rng, trial = Random(3), Trial.start(design(slow), EVEN)
    for _ in range(9):
        period = {"control": traffic(rng, 100, 0, slow=0.1), "b": traffic(rng, 100, 0, slow=0.1)}
        trial = trial.add(period, 30)
    assert "1,000 requests of control" in result(trial, slow).waits_for
    trial = trial.add(period, 30)
    assert trial.limits == {"Latency": 400}
    assert result(trial, slow).arm is None
    assert trial.add(period, 30).limits == trial.limits


def test_a_shadow_is_compared_on_errors_and_latency_and_has_no_share() -> None:
    made = design(ERRORS, SLOW, CLICKS, arms="control b shadow")
    compared = {(arm, metric.name) for arm, metric in made.pairs()}
    assert ("shadow", "ErrorRate") in compared
    assert ("shadow", "Latency") in compared
    assert ("shadow", "Value/clicked") not in compared
    rng, trial = Random(4), Trial.start(made, EVEN)
    for _ in range(40):
        period = {"control": traffic(rng, 100, 0), "b": traffic(rng, 100, 0)}
        trial = trial.add(period | {"shadow": traffic(rng, 20, 0.3)}, 30)
    assert result(trial, ERRORS, "shadow").p_value < 0.001
    assert not trial.mismatched


def test_a_dead_arm_is_a_mismatch() -> None:
    rng, trial = Random(5), Trial.start(design(), {"control": 8000, "b": 2000})
    assert not trial.ratio_known
    trial = trial.add({"control": traffic(rng, 100, 0), "b": Traffic()}, 30)
    assert trial.ratio_known
    assert trial.mismatched
    assert trial.add({"control": traffic(rng, 80, 0), "b": traffic(rng, 20, 0)}, 30).mismatched


def pods(at: float, arms: dict[str, Sums]) -> Counted:
    return Counted(at, {"pod": 0.0}, arms)


def of_users(rng: Random, users: range, n: int, rate: float = 0.0) -> Sums:
    """`n` requests of each user; each user clicks always or never, so that they are alike."""
    requests = {user % 1024: float(n) for user in users}
    clicks = {user % 1024: float(n * (rng.random() < rate)) for user in users}
    count, clicked = float(sum(requests.values())), sum(clicks.values())
    value = Values(Column.of(count, requests), Column.of(clicked, clicks), clicked, clicked)
    return Sums(Column.of(count, requests), Column(), {"clicked": value})


def test_sticky_callers_are_compared_by_buckets() -> None:
    rng, trial = Random(6), Trial.start(design(CLICKS, sticky=True), EVEN)
    trial = trial.add({}, 0, pods(10, {"control": Sums(), "b": Sums()}))
    arms = {"control": of_users(rng, range(500), 20, 0.3),
            "b": of_users(rng, range(500, 1000), 20, 0.8)}  # fmt: skip
    trial = trial.add({}, 30, pods(40, arms))
    found = result(trial, CLICKS)
    assert found.waits_for == ""
    assert found.p_value < 0.001
    assert 0.3 < found.low < 0.5 < found.high
    assert not trial.mismatched


def test_without_callers_a_value_of_sticky_ones_has_a_mean_and_no_p_value() -> None:
    value = Values(Column(5000.0), Column(2000.0), 2000.0, 2000.0)
    arms = {"control": Sums(Column(5000.0), values={"clicked": value}),
            "b": Sums(Column(5000.0), values={"clicked": value})}  # fmt: skip
    trial = Trial.start(design(CLICKS, sticky=True), EVEN)
    trial = trial.add({}, 0, pods(10, {"control": Sums(), "b": Sums()})).add({}, 30, pods(40, arms))
    found = result(trial, CLICKS)
    assert found.control == 0.4
    assert found.p_value == 1
    assert "no pod has seen who they are" in found.waits_for


def test_a_sticky_arm_that_is_dead_is_a_mismatch_and_busy_users_are_none() -> None:
    rng = Random(8)
    sticky = Trial.start(design(sticky=True), EVEN)
    sticky = sticky.add({}, 0, pods(10, {"control": Sums(), "b": Sums()}))
    dead = sticky.add({}, 30, pods(40, {"control": of_users(rng, range(200), 5), "b": Sums()}))
    assert dead.mismatched
    busy = {"control": of_users(rng, range(100), 5) + of_users(rng, range(7, 8), 2000),
            "b": of_users(rng, range(100, 200), 5)}  # fmt: skip
    assert not sticky.add({}, 30, pods(40, busy)).mismatched


def test_failures_of_sticky_callers_count_by_the_design_effect_or_by_one_that_is_assumed() -> None:
    trial = Trial.start(design(ERRORS, SLOW, sticky=True), EVEN)
    assert trial.effect("b", ERRORS) == 3
    assert not trial.measured(ERRORS)
    control = Sums(
        Column.of(20_480, dict.fromkeys(range(1024), 20)),
        Column.of(2_000, {b: 20 * (b % 10 == 0) for b in range(1024)}),
    )
    trial = trial.add({}, 0, pods(10, {"control": Sums(), "b": Sums()}))
    trial = trial.add({}, 30, pods(40, {"control": control, "b": control}))
    assert trial.measured(ERRORS)
    assert trial.effect("b", ERRORS) > 1
    assert trial.effect("b", SLOW) == 3
    assert not trial.measured(SLOW)


def test_a_request_without_the_value_counts_as_zero_where_that_is_asked() -> None:
    value = Values(Column(100.0), Column(100.0), 100.0, 100.0)
    arms = {"control": Sums(Column(5000.0), values={"clicked": value}),
            "b": Sums(Column(5000.0), values={"clicked": value})}  # fmt: skip
    zero = Metric("Value/clicked", Measure.VALUE, value="clicked", missing_is_zero=True)
    for metric, mean in ((zero, 0.02), (CLICKS, 1.0)):
        trial = Trial.start(design(metric), EVEN)
        trial = trial.add({}, 0, pods(10, {"control": Sums(), "b": Sums()}))
        assert result(trial.add({}, 30, pods(40, arms)), metric).arm == mean


def test_all_of_it_comes_back_from_its_text_and_of_another_design_nothing() -> None:
    made = design(ERRORS, SLOW, CLICKS, sticky=True)
    trial = Trial.start(made, EVEN)
    rng = Random(9)
    trial = trial.add({}, 0, pods(10, {"control": Sums(), "b": Sums()}))
    arms = {"control": of_users(rng, range(300), 3, 0.4), "b": of_users(rng, range(400, 700), 3)}
    period = {"control": traffic(rng, 900, 0.1, 0.1), "b": traffic(rng, 900, 0.1)}
    trial = trial.add(period, 30, pods(40, arms))
    back = Trial.from_text(trial.to_text(), made)
    assert back.traffic == trial.traffic
    assert back.callers == trial.callers
    assert back.limits == trial.limits
    for metric in (ERRORS, SLOW, CLICKS):
        assert result(back, metric).p_value == pytest.approx(
            result(trial, metric).p_value, rel=1e-5
        )
    assert len(trial.to_text()) < 12_000
    for text in (trial.to_text()[:-9], "", "[]", '{"design": 1}'):
        with pytest.raises(BrokenText):
            Trial.from_text(text, made)
    with pytest.raises(BrokenText):
        Trial.from_text(trial.to_text(), design(ERRORS))
