"""How large is what an experiment keeps in the resource, which everybody who watches it gets?"""

from random import Random

import pytest

from modelfleet_operator.statistics.callers import Column, Counted, Sums, Values
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.latency import LADDER, Histogram
from modelfleet_operator.statistics.trial import Design, Measure, Metric, Trial

ERRORS, SLOW = Metric("ErrorRate", Measure.ERRORS), Metric("Latency", Measure.SLOW, 250)
VALUES = tuple(Metric(f"Value/v{n}", Measure.VALUE, value=f"v{n}") for n in range(4))
DECLARED = 24
BILLION = 10**9


def grown(
    metrics: tuple[Metric, ...], arms: int, requests: int, declared: int = 0, sticky: bool = True
) -> Trial:
    """After three looks: pods had counted as many `requests` before, and one of them is gone, so
    that all sums are there twice."""
    rng, names = Random(4), tuple(f"v{n}" for n in range(arms))
    design = Design("v0", names, metrics, sticky)
    trial = Trial.start(design, dict.fromkeys(names, 10_000 // arms))
    sums = dict.fromkeys(names, Sums())
    period = {
        name: Traffic(
            requests, requests // 50, Histogram(LADDER, (requests // 41,) * 41), sent=requests
        )
        for name in names
    }
    for look, pods in enumerate((("a", "b"), ("a", "b"), ("a",))):
        sums = {name: each + counted(rng, requests, declared) for name, each in sums.items()}
        trial = trial.add(period, 30, Counted(30.0 * look + 1, dict.fromkeys(pods, 0.0), sums))
    return trial


def counted(rng: Random, requests: int, declared: int) -> Sums:
    def column(most: float) -> Column:
        buckets = {b: most / 128 * rng.uniform(0.5, 1.5) for b in range(128)}
        return Column.of(sum(buckets.values()), buckets)

    def whole(most: float) -> Column:
        buckets = {b: float(int(v)) for b, v in enumerate(column(most).buckets)}
        return Column.of(sum(buckets.values()), buckets)

    count = whole(requests)
    return Sums(
        count,
        whole(requests / 50),
        {f"v{n}": Values(count, column(requests * 0.37), 7.7, 99.0) for n in range(declared)},
    )


@pytest.mark.parametrize("metrics", [VALUES, (ERRORS, SLOW, *VALUES[:2])], ids=["values", "mixed"])
def test_the_largest_spec_fits(metrics: tuple[Metric, ...]) -> None:
    trial = grown(metrics, arms=8, requests=BILLION, declared=DECLARED)
    assert len(trial.callers.beside) == 8
    assert set(trial.callers.of("v1").values) <= {"v0", "v1", "v2", "v3"}
    assert len(trial.to_text()) < 200_000


def test_a_usual_one_is_small() -> None:
    trial = grown((ERRORS, SLOW), arms=2, requests=20_000, declared=DECLARED)
    assert trial.callers.of("v1").values == {}
    assert len(trial.to_text()) < 8_000


def test_where_requests_are_drawn_each_on_its_own_no_buckets_are_kept() -> None:
    trial = grown(VALUES, arms=8, requests=BILLION, declared=DECLARED, sticky=False)
    assert len(trial.to_text()) < 16_000


def test_what_pods_have_counted_from_the_start_needs_nothing_beside() -> None:
    """They have just come: their own sums are all there is."""
    design = Design("a", ("a", "b"), VALUES, sticky=True)
    trial = Trial.start(design, {"a": 1, "b": 1})
    none = Sums(values={"v0": Values()})
    trial = trial.add({}, 0, Counted(1, {"pod": 0.0}, {"a": none, "b": none}))
    assert trial.callers.beside == {}
    came = counted(Random(1), 500, 1)
    trial = trial.add({}, 30, Counted(31, {"pod": 0.0}, {"a": came, "b": came}))
    assert trial.callers.of("b") == came
