"""May the rollout go on? The decision table, row by row."""

from dataclasses import replace

import pytest

from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.findings import Shown
from modelfleet_operator.statistics.gate import Action, Judgement, Verdict, judge
from modelfleet_operator.statistics.latency import LADDER, Histogram
from modelfleet_operator.statistics.memory import BASELINE, Look, Memory
from modelfleet_operator.statistics.policy import (
    LatencyLimit,
    OnNoData,
    OnTimeout,
    Policy,
    Stage,
)

STAGE = Stage(1, 3, 0.05, 0.25)
ERRORS_ONLY = Policy(max_error_rate=0.01, compare_latency=False)
POLL = 10.0


def traffic(requests: int, errors: int = 0, slow: int = 0) -> Traffic:
    """Of which `slow` took 600 ms, the others 60."""
    counts = [0] * (len(LADDER) + 1)
    counts[LADDER.index(60)] = requests - slow
    counts[LADDER.index(600)] = slow
    return Traffic(requests, errors, Histogram(LADDER, tuple(counts)))


GOOD = (traffic(50), traffic(950, 2, 5))
NONE = (Traffic(), Traffic())


class Rollout:
    """One stage, look by look."""

    def __init__(self, policy: Policy = ERRORS_ONLY, stage: Stage = STAGE) -> None:
        self.memory = Memory.start(policy, stage)
        self.age = 0.0
        self.last: Judgement | None = None

    def look(self, arms: tuple[Traffic, Traffic] = GOOD, **changes: object) -> Judgement:
        self.age += POLL
        seen = Look(*arms, POLL, self.age, self.age)
        self.memory, self.last = judge(self.memory, replace(seen, **changes))  # type: ignore[arg-type]
        return self.last

    def looks(self, times: int, arms: tuple[Traffic, Traffic] = GOOD) -> Judgement:
        for _ in range(times):
            judged = self.look(arms)
        return judged

    def until_decided(self, arms: tuple[Traffic, Traffic] = GOOD) -> Judgement:
        for _ in range(1000):
            if (judged := self.look(arms)).action is not Action.HOLD:
                return judged
        raise AssertionError("never decided")


def warm(policy: Policy = ERRORS_ONLY, stage: Stage = STAGE) -> Rollout:
    rollout = Rollout(policy, stage)
    rollout.looks(5)
    return rollout


def end(judged: Judgement) -> tuple[Verdict, Action]:
    return judged.verdict, judged.action


def test_arms_that_cannot_be_compared_stop_everything() -> None:
    rollout = warm()
    judged = rollout.look((traffic(50, 50), traffic(950)), suspect="the arms got other shares")
    assert end(judged) == (Verdict.STALE, Action.PAUSE)
    assert judged.says == "the arms got other shares"


@pytest.mark.parametrize(
    ("on_no_data", "action"),
    [
        (OnNoData.HOLD, Action.HOLD),
        (OnNoData.PROCEED, Action.NEXT),
        (OnNoData.FAIL, Action.ROLL_BACK),
    ],
)
def test_routers_that_cannot_be_read_are_no_data_after_three_looks(
    on_no_data: OnNoData, action: Action
) -> None:
    rollout = warm(replace(ERRORS_ONLY, on_no_data=on_no_data))
    rollout.look()
    for missed in (1, 2, 3):
        assert end(rollout.look(NONE, missed=missed)) == (Verdict.WAIT, Action.HOLD)
    judged = rollout.look(NONE, missed=4)
    assert end(judged) == (Verdict.STALE, action)
    assert judged.says == "the routers could not be read at the last 4 looks"


@pytest.mark.parametrize(
    ("on_no_data", "action"),
    [(OnNoData.PROCEED, Action.NEXT), (OnNoData.FAIL, Action.ROLL_BACK)],
)
def test_a_candidate_that_nobody_asks_has_no_data(on_no_data: OnNoData, action: Action) -> None:
    rollout = Rollout(replace(ERRORS_ONLY, on_no_data=on_no_data))
    judged = rollout.until_decided(NONE)
    assert end(judged) == (Verdict.STALE, action)
    assert judged.says == "the candidate has had no request for 5 minutes"


def test_with_no_data_the_rollout_waits_by_itself_and_goes_on_when_they_come() -> None:
    rollout = Rollout()
    assert end(rollout.looks(100, NONE)) == (Verdict.STALE, Action.HOLD)
    assert rollout.until_decided().action is Action.NEXT


def test_few_requests_far_apart_are_data() -> None:
    rollout = Rollout(replace(ERRORS_ONLY, on_no_data=OnNoData.FAIL, max_wait=1e9))
    for _ in range(20):
        assert rollout.look((traffic(1), traffic(19))).action is Action.HOLD
        assert rollout.looks(40, NONE).action is Action.HOLD


def test_what_comes_in_warm_up_is_not_judged() -> None:
    rollout = Rollout()
    bad = (traffic(50, 6), traffic(950, 2))
    for _ in range(5):
        judged = rollout.look(bad)
        assert end(judged) == (Verdict.WARMUP, Action.HOLD)
    assert judged.requests == 0
    assert rollout.until_decided().action is Action.NEXT


def test_warm_up_lasts_for_its_requests_as_well_but_not_for_ever() -> None:
    rollout = Rollout()
    slow = (traffic(1), traffic(19))
    assert rollout.looks(49, slow).verdict is Verdict.WARMUP
    assert rollout.looks(2, slow).verdict is not Verdict.WARMUP
    rare = Rollout()
    assert rare.looks(59, (traffic(1), traffic(0))).verdict is not Verdict.WARMUP


def test_scaling_up_warms_up_again_and_keeps_what_is_known() -> None:
    rollout = warm()
    known = rollout.looks(3).requests
    judged = rollout.look(ready_for=10.0)
    assert judged.verdict is Verdict.WARMUP
    assert judged.requests == known


def test_what_comes_while_the_weights_move_is_not_judged() -> None:
    rollout = warm()
    judged = rollout.look((traffic(50, 9), traffic(950)), steady=False)
    assert end(judged) == (Verdict.WARMUP, Action.HOLD)
    assert "weights are moving" in judged.says


@pytest.mark.parametrize("share", [1, 19])
def test_a_candidate_that_fails_altogether_is_found_within_five_requests_in_warm_up(
    share: int,
) -> None:
    rollout = Rollout()
    for _number in range(5):
        judged = rollout.look((traffic(1, 1), traffic(share)))
        if judged.action is Action.ROLL_BACK:
            break
    assert end(judged) == (Verdict.FAIL, Action.ROLL_BACK)
    assert judged.says.startswith("failing: ")


def test_where_both_fail_it_is_not_the_candidate() -> None:
    rollout = Rollout(Policy(compare_latency=False))
    judged = rollout.look((traffic(50, 50), traffic(950, 950)))
    assert judged.action is Action.HOLD
    assert judged.findings[0].says.endswith("both are failing")


@pytest.mark.parametrize(
    ("arms", "check"),
    [
        ((traffic(50, 5), traffic(950, 2)), "errors"),
        ((traffic(50, 5), traffic(950, 90)), "errors"),
        ((traffic(50, 0, 10), traffic(950, 2, 2)), "p99"),
    ],
)
def test_harm_rolls_back_without_a_least_number(arms: tuple[Traffic, Traffic], check: str) -> None:
    policy = Policy(max_error_rate=0.01, max_latency=(LatencyLimit(0.99, 250),))
    rollout = warm(policy)
    judged = rollout.until_decided(arms)
    assert end(judged) == (Verdict.FAIL, Action.ROLL_BACK)
    assert judged.says.startswith(check)
    assert judged.says.endswith("it is worse")


def test_a_candidate_as_bad_as_the_stable_arm_is_held_by_the_limit_alone() -> None:
    """5 % of both fail: over the limit, and no worse than what is there."""
    both = (traffic(100, 5), traffic(900, 45))
    assert warm(Policy(compare_latency=False)).until_decided(both).action is Action.NEXT
    limited = warm(Policy(max_error_rate=0.01, compare_latency=False)).until_decided(both)
    assert end(limited) == (Verdict.FAIL, Action.ROLL_BACK)
    assert limited.says.startswith("errors: ")


def test_slower_than_the_stable_arm_is_harm_also_without_a_limit() -> None:
    rollout = warm(Policy())
    rollout.looks(3, (traffic(50), traffic(950, 2, 5)))
    judged = rollout.until_decided((traffic(50, 0, 5), traffic(950, 2, 5)))
    assert end(judged) == (Verdict.FAIL, Action.ROLL_BACK)
    assert judged.says.startswith("p99 against stable: ")


def test_a_stage_waits_for_its_least_number_of_requests() -> None:
    rollout = warm(replace(ERRORS_ONLY, min_requests=400))
    judged = rollout.looks(7)
    assert end(judged) == (Verdict.WAIT, Action.HOLD)
    assert judged.says == "350 of 400 requests"
    assert rollout.look().verdict is not Verdict.WAIT


def test_a_stage_waits_for_its_least_time() -> None:
    rollout = warm(replace(ERRORS_ONLY, min_duration=200))
    judged = rollout.look((traffic(5000), traffic(95000, 20)))
    assert end(judged) == (Verdict.WAIT, Action.HOLD)
    assert judged.says == "a stage lasts at least 200 s"


def test_a_stage_waits_for_the_baseline_of_latencies() -> None:
    rollout = Rollout(Policy(warmup_seconds=0, warmup_requests=0))
    judged = rollout.looks(8, (traffic(50), traffic(100)))
    assert end(judged) == (Verdict.WAIT, Action.HOLD)
    assert judged.says.startswith(f"800 of the {BASELINE:,} requests of the stable revision")
    assert rollout.memory.tail_ms is None
    rollout.looks(2, (traffic(50), traffic(100)))
    assert rollout.memory.tail_ms == 60
    rollout.looks(5, (traffic(50, slow=1), traffic(100, slow=10)))
    assert rollout.memory.tail_ms == 60, "it does not follow what it judges"


def test_a_good_candidate_passes_when_every_check_has_shown_it() -> None:
    policy = Policy(max_error_rate=0.01, max_latency=(LatencyLimit(0.99, 250),))
    rollout = warm(policy)
    while (judged := rollout.look()).action is Action.HOLD:
        assert any(f.shown is Shown.OPEN and f.harmless is not None for f in judged.findings) or (
            judged.verdict is Verdict.WAIT
        )
    assert end(judged) == (Verdict.PASS, Action.NEXT)
    assert judged.more == 0


def test_an_early_stage_needs_less_than_a_late_one() -> None:
    """Before a quarter of the traffic there is less harm to be feared than before all of it."""
    early = warm(stage=Stage(1, 3, 0.05, 0.25)).until_decided().requests
    late = warm(stage=Stage(2, 3, 0.05, 1.0)).until_decided().requests
    assert early < late


def test_in_the_last_stage_the_limit_itself_has_to_be_shown() -> None:
    close = (traffic(500, 4), traffic(500, 4))
    policy = Policy(max_error_rate=0.01, compare_errors=False, compare_latency=False, max_wait=1e9)
    assert warm(policy, Stage(1, 2, 0.5, 0.1)).until_decided(close).requests < (
        warm(policy, Stage(2, 2, 0.5, 1.0)).until_decided(close).requests
    )


def test_a_stage_of_all_traffic_is_judged_by_its_limits_alone() -> None:
    policy = Policy(max_error_rate=0.01, max_latency=(LatencyLimit(0.99, 250),))
    everything = Stage(3, 3, 1.0)
    good = warm(policy, everything).until_decided((traffic(500, 1), Traffic()))
    assert end(good) == (Verdict.PASS, Action.NEXT)
    assert [f.check for f in good.findings] == ["failing", "errors", "p99"]
    bad = warm(policy, everything).until_decided((traffic(500, 20), Traffic()))
    assert end(bad) == (Verdict.FAIL, Action.ROLL_BACK)


def suspicious() -> tuple[Traffic, Traffic]:
    """About twice the errors, at a traffic that cannot show it in time."""
    return traffic(10, 0), traffic(190, 0)


@pytest.mark.parametrize(
    ("on_timeout", "action"),
    [
        (OnTimeout.PAUSE, Action.PAUSE),
        (OnTimeout.PROCEED_IF_CLEAN, Action.NEXT),
        (OnTimeout.ROLLBACK, Action.ROLL_BACK),
    ],
)
def test_a_stage_that_has_had_its_time(on_timeout: OnTimeout, action: Action) -> None:
    rollout = Rollout(replace(ERRORS_ONLY, on_timeout=on_timeout, max_wait=300))
    judged = rollout.until_decided(suspicious())
    assert end(judged) == (Verdict.TIMEOUT, action)
    assert judged.says.startswith("not decided within 300 s. ")


@pytest.mark.parametrize(
    ("arms", "least"),
    [
        ((traffic(10, 0), traffic(190, 0)), 1000),  # too few
        ((traffic(50, 1), traffic(950, 2)), 100),  # more errors than the margin allows
    ],
)
def test_what_is_not_clean_does_not_proceed(arms: tuple[Traffic, Traffic], least: int) -> None:
    policy = Policy(
        compare_latency=False,
        on_timeout=OnTimeout.PROCEED_IF_CLEAN,
        max_wait=200,
        min_requests=least,
    )
    judged = Rollout(policy).until_decided(arms)
    assert judged.action is not Action.NEXT


def test_a_stage_without_its_least_number_times_out_as_well() -> None:
    rollout = Rollout(replace(ERRORS_ONLY, max_wait=300, min_requests=10_000))
    judged = rollout.until_decided()
    assert end(judged) == (Verdict.TIMEOUT, Action.PAUSE)


def test_undecided_says_how_much_is_missing() -> None:
    rollout = warm()
    judged = rollout.looks(4)
    assert end(judged) == (Verdict.UNDECIDED, Action.HOLD)
    assert judged.more is not None
    assert f"about {judged.findings[2].more:,} more requests like these" in judged.says
    promised = judged.requests + judged.more
    passed = rollout.until_decided().requests
    assert passed == pytest.approx(promised, rel=0.15)


def test_what_would_never_pass_is_said() -> None:
    rollout = warm(Policy(compare_latency=False, max_wait=1e9))
    judged = rollout.looks(2, (traffic(200, 3), traffic(800, 2)))
    assert judged.more is None
    assert "are not going to show that it is good" in judged.findings[-1].says


def test_the_numbers_that_people_need() -> None:
    rollout = warm()
    errors = rollout.looks(10, (traffic(50, 1), traffic(950, 19))).findings[2]
    assert errors.check == "errors against stable"
    assert (errors.candidate.requests, errors.candidate.failures) == (500, 10)
    assert errors.stable is not None
    assert (errors.stable.requests, errors.stable.failures) == (9500, 190)
    assert errors.candidate.low < 0.02 < errors.candidate.high
    assert errors.difference is not None
    assert errors.difference.low < errors.difference.point == 0 < errors.difference.high


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Policy(max_error_rate=0), "write a share between 0 and 1"),
        (lambda: Policy(max_error_rate=1.0), "write a share between 0 and 1"),
        (lambda: Policy(alpha_rollback=0), "alpha of rollback is 0"),
        (lambda: Policy(design_effect=0.5), "it is 1 or more"),
        (lambda: LatencyLimit(99, 250), "as 0.99 for p99"),
        (lambda: LatencyLimit(0.99, 0), "the limit of p99 is 0 ms"),
        (lambda: Stage(0, 3, 0.1), "stages are counted from 1"),
        (lambda: Stage(1, 3, 0.1, 0), "write 0.2 for 20 %"),
    ],
)
def test_settings_that_are_none_say_what_to_write(make: object, why: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=why):
        make()
