"""How long will a stage take?"""

import math
from dataclasses import replace

import pytest

from modelfleet_operator.statistics.admission import rollout_needs, stage_needs
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.gate import Action, judge
from modelfleet_operator.statistics.memory import Look, Memory
from modelfleet_operator.statistics.policy import LatencyLimit, Margins, Policy, Stage

STAGES = (Stage(1, 3, 0.05, 0.25), Stage(2, 3, 0.25, 0.5), Stage(3, 3, 0.5, 1.0))
POLICY = Policy(max_error_rate=0.01, max_latency=(LatencyLimit(0.99, 250),))


def test_the_later_the_stage_the_more_has_to_be_shown() -> None:
    requests = [need.requests for need in rollout_needs(POLICY, STAGES, 100)]
    assert requests == sorted(requests)
    assert requests[0] < requests[-1]


def test_twice_the_traffic_needs_half_the_time_and_as_many_requests() -> None:
    policy = replace(POLICY, warmup_seconds=0, warmup_requests=0, min_duration=0)
    slow, fast = (stage_needs(policy, STAGES[0], rate) for rate in (100, 200))
    assert slow.requests == fast.requests
    assert slow.seconds == pytest.approx(2 * fast.seconds)


def test_what_does_not_fit_is_said_with_what_to_do() -> None:
    fits = stage_needs(POLICY, STAGES[0], 1000)
    assert fits.fits
    assert fits.says.startswith("stage 1 of 3: at 1000 requests/s, 5 % of them the candidate's")
    late = stage_needs(POLICY, STAGES[0], 1)
    assert not late.fits
    assert late.says.endswith(
        "which is more than the 30 min that it has: give it more time or a larger share, "
        "or allow more harm"
    )


def test_more_harm_allowed_is_less_time() -> None:
    generous = replace(POLICY, errors=Margins(harm=0.01), latency=Margins(floor=0.005, harm=0.02))
    strict, loose = (stage_needs(p, STAGES[1], 50) for p in (POLICY, generous))
    assert loose.requests < strict.requests


def test_without_traffic_it_never_ends() -> None:
    need = stage_needs(POLICY, STAGES[0], 0)
    assert math.isinf(need.seconds)
    assert "without end" in need.says
    assert not need.fits


def test_a_stage_of_all_traffic_has_nobody_to_compare_with() -> None:
    assert stage_needs(POLICY, Stage(3, 3, 1.0), 100).fits
    assert stage_needs(Policy(), Stage(3, 3, 1.0), 100).requests == Policy().min_requests


@pytest.mark.parametrize("stage", STAGES)
def test_the_least_is_what_a_faultless_candidate_needs(stage: Stage) -> None:
    policy = Policy(
        max_error_rate=0.01,
        compare_latency=False,
        warmup_seconds=0,
        warmup_requests=0,
        min_duration=0,
        max_wait=1e9,
    )
    memory, at = Memory.start(policy, stage), 0.0
    each = round(200 * stage.share)
    while True:
        at += 1
        memory, judged = judge(memory, Look(Traffic(each), Traffic(200 - each), 1, at, at))
        if judged.action is not Action.HOLD:
            break
    assert judged.requests == pytest.approx(stage_needs(policy, stage, 200).requests, abs=2 * each)
