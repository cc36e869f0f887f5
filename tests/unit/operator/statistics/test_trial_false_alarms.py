"""A short form of the experiments of `make bench-analysis`: whole trials, as the operator runs
them, of two variants that are the same."""

from random import Random

import pytest

from modelfleet_operator.statistics.callers import BUCKETS, Column, Counted, Sums, Values
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.trial import MANY_ALIKE, Design, Measure, Metric, Trial

PAIRS, LOOKS, PER_LOOK, USERS = 60, 25, 300, 400
ERRORS = Metric("ErrorRate", Measure.ERRORS)
CLICKS = Metric("Value/clicked", Measure.VALUE, value="clicked")


def differs(trial: Trial, metric: Metric) -> bool:
    return trial.result("b", metric, 0.05).p_value <= 0.05


@pytest.mark.parametrize("share", [0.5, 0.2], ids=["50/50", "80/20"])
def test_equal_variants_differ_in_at_most_five_percent(share: float) -> None:
    rng, found = Random(21), 0
    shares = {"a": round(10000 * (1 - share)), "b": round(10000 * share)}
    for _ in range(PAIRS):
        trial = Trial.start(Design("a", ("a", "b"), (ERRORS,)), shares)
        for _ in range(LOOKS):
            n = sum(rng.random() < share for _ in range(PER_LOOK))
            x = sum(rng.random() < 0.03 for _ in range(n))
            y = sum(rng.random() < 0.03 for _ in range(PER_LOOK - n))
            period = {
                "a": Traffic(PER_LOOK - n, y, sent=PER_LOOK - n),
                "b": Traffic(n, x, sent=n),
            }
            trial = trial.add(period, 30)
        found += differs(trial, ERRORS)
        assert not trial.mismatched
    assert found <= 0.05 * PAIRS


class Crowd:
    """Callers who stick to a variant, some of them very busy; each fails, and clicks, always or
    never."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._zeal = [rng.lognormvariate(0, 1.5) for _ in range(USERS)]
        self._arm = [rng.choice("ab") for _ in range(USERS)]
        self._fails = [rng.random() < 0.05 for _ in range(USERS)]
        self._clicks = [rng.random() < 0.4 for _ in range(USERS)]
        self._counts = [0] * USERS

    def look(self) -> dict[str, Traffic]:
        """What came, by variant."""
        came = {"a": Traffic(), "b": Traffic()}
        for user in self._rng.choices(range(USERS), self._zeal, k=PER_LOOK):
            self._counts[user] += 1
            came[self._arm[user]] += Traffic(1, int(self._fails[user]))
        return came

    def counted(self, at: float) -> Counted:
        return Counted(at, {"pod": 0.0}, {arm: self._sums(arm) for arm in "ab"})

    def _sums(self, arm: str) -> Sums:
        columns = [self._column(arm, only) for only in ([True] * USERS, self._fails, self._clicks)]
        clicks = columns[2].whole
        return Sums(
            columns[0], columns[1], {"clicked": Values(columns[0], columns[2], clicks, clicks)}
        )

    def _column(self, arm: str, only: list[bool]) -> Column:
        buckets: dict[int, float] = {}
        for user, count in enumerate(self._counts):
            if self._arm[user] == arm and only[user] and count:
                buckets[user % BUCKETS] = buckets.get(user % BUCKETS, 0) + count
        return Column.of(sum(buckets.values()), buckets)


def test_equal_variants_with_sticky_callers_differ_in_at_most_five_percent() -> None:
    found = {ERRORS: 0, CLICKS: 0}
    for seed in range(PAIRS):
        crowd = Crowd(Random(seed))
        design = Design("a", ("a", "b"), (ERRORS, CLICKS), sticky=True)
        trial = Trial.start(design, {"a": 5000, "b": 5000}).add({}, 0, crowd.counted(1))
        for look in range(LOOKS):
            trial = trial.add(crowd.look(), 30, crowd.counted(30.0 * (look + 1)))
        assert not trial.mismatched
        for metric in found:
            found[metric] += differs(trial, metric)
    assert max(found.values()) <= 0.05 * PAIRS


def test_more_errors_of_ordinary_sticky_callers_are_found() -> None:
    """3,000 callers, whose requests fail each by itself, or those of some callers more often."""
    effects: list[float] = []
    for spread in (0.0, 2.0, 8.0):
        rng = Random(31)
        rate = {"a": 0.03, "b": 0.1}
        arm = [rng.choice("ab") for _ in range(3000)]
        zeal = [rng.lognormvariate(0, 1) for _ in arm]
        # On average 1, whatever the spread.
        prone = [rng.gammavariate(1 / spread, spread) if spread else 1.0 for _ in arm]
        requests = {"a": [0] * BUCKETS, "b": [0] * BUCKETS}
        errors = {"a": [0] * BUCKETS, "b": [0] * BUCKETS}
        trial = Trial.start(Design("a", ("a", "b"), (ERRORS,), sticky=True), EVEN)
        trial = trial.add({}, 0, _pods(1, requests, errors))
        for look in range(40):
            came = {"a": Traffic(), "b": Traffic()}
            for user in rng.choices(range(len(arm)), zeal, k=250):
                its = arm[user]
                failed = int(rng.random() < min(1.0, rate[its] * prone[user]))
                came[its] += Traffic(1, failed)
                requests[its][user % BUCKETS] += 1
                errors[its][user % BUCKETS] += failed
            trial = trial.add(came, 30, _pods(30.0 * (look + 1), requests, errors))
        found = trial.result("b", ERRORS, 0.05)
        effects.append(trial.effect("b", ERRORS))
        assert found.p_value < 0.05
        assert 0 < found.low < 0.07 < found.high
    # The last is compared bucket by bucket as well.
    assert effects[0] < effects[1] < MANY_ALIKE < effects[2]


def test_a_dead_arm_of_sticky_callers_is_found_at_once() -> None:
    trial = Trial.start(Design("a", ("a", "b"), (ERRORS,), sticky=True), EVEN)
    none = [0] * BUCKETS
    trial = trial.add({}, 0, _pods(1, {"a": none, "b": none}, {"a": none, "b": none}))
    some = [2] * BUCKETS
    pods = _pods(31, {"a": some, "b": some}, {"a": none, "b": some})
    trial = trial.add({"a": Traffic(256, 0), "b": Traffic(256, 256)}, 30, pods)
    assert trial.result("b", ERRORS, 0.05).p_value < 0.0001


EVEN = {"a": 5000, "b": 5000}


def _pods(at: float, requests: dict[str, list[int]], errors: dict[str, list[int]]) -> Counted:
    def column(counts: list[int]) -> Column:
        return Column.of(float(sum(counts)), dict(enumerate(map(float, counts))))

    sums = {arm: Sums(column(requests[arm]), column(errors[arm])) for arm in requests}
    return Counted(at, {"pod": 0.0}, sums)
