"""Bars are judged by the medians of the rounds' ratios, and never where nothing was seen."""

import pytest

from benchmarks.runtime import bars
from benchmarks.runtime.load import Load
from benchmarks.runtime.results import Key, Results


def results(**rates: list[float]) -> Results:
    """Requests/s round by round at 64 connections of the linear model."""
    protocols = {"modelfleet": "binary", "mosec": "raw", "triton": "binary", "litserve": "json"}
    made = Results()
    for server, rounds in rates.items():
        key = Key(server, "linear", protocols[server], 64)
        made.loads[key] += [Load(rps, 1000 / rps, 2000 / rps, 0, 0.1) for rps in rounds]
    return made


def verdict(of: Results, what: str) -> bars.Verdict:
    return next(v for v in bars.judge(of) if v.what == what)


@pytest.mark.parametrize(
    ("ours", "theirs", "met"),
    [
        ([15.0, 15.0, 15.0], [10.0, 10.0, 10.0], True),
        ([14.9, 14.9, 14.9], [10.0, 10.0, 10.0], False),
        # A round in which the machine was busy for both says what the others say.
        ([16.0, 1.6, 16.0], [10.0, 1.0, 10.0], True),
        # The median of the ratios, not the ratio of sums.
        ([100.0, 10.0, 10.0], [10.0, 10.0, 10.0], False),
    ],
)
def test_a_bar_is_met_by_the_median_of_the_rounds(
    ours: list[float], theirs: list[float], met: bool
) -> None:
    got = verdict(
        results(modelfleet=ours, mosec=theirs), "linear, 64 connections: requests/s against mosec"
    )
    assert got.met is met


def test_lower_is_better_for_latency() -> None:
    what = "linear, 64 connections: p99 against mosec"
    assert verdict(results(modelfleet=[20.0], mosec=[10.0]), what).met is True
    assert verdict(results(modelfleet=[10.0], mosec=[20.0]), what).met is False


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {v.met for v in bars.judge(results(modelfleet=[20.0]))} == {None}


def test_a_runtime_that_failed_has_no_latency_to_be_proud_of() -> None:
    failed = results(mosec=[10.0])
    failed.loads[Key("modelfleet", "linear", "binary", 64)].append(Load(0, 0, 0, 1, 0))
    assert verdict(failed, "linear, 64 connections: requests/s against mosec").met is False
    assert verdict(failed, "linear, 64 connections: p99 against mosec").met is False


def test_a_peer_that_failed_in_every_round_does_not_count_as_beaten() -> None:
    failed = results(modelfleet=[20.0])
    failed.loads[Key("mosec", "linear", "raw", 64)].append(Load(0, 0, 0, 1, 0))
    assert verdict(failed, "linear, 64 connections: requests/s against mosec").met is None
