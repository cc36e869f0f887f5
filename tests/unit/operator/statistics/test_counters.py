"""Counters of several router pods become what was added, and nothing is invented."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_operator.statistics.counters import Added, Pod, Snapshot, Traffic, added
from modelfleet_operator.statistics.latency import Histogram

ARMS = ("v1", "v2")


def traffic(requests: int, errors: int = 0, slow: int | None = None) -> Traffic:
    if slow is None:
        return Traffic(requests, errors)
    return Traffic(requests, errors, Histogram((100.0,), (requests - slow, slow)))


def pod(v1: Traffic, v2: Traffic, started: float = 0) -> Pod:
    return Pod(started, {"v1": v1, "v2": v2})


def between(before: dict[str, Pod], now: dict[str, Pod]) -> Added:
    return added(Snapshot(100, before), Snapshot(110, now), ARMS)


def test_the_pods_are_added_up() -> None:
    got = between(
        {"a": pod(traffic(90, 1, 5), traffic(10, 0, 0)), "b": pod(traffic(5), traffic(5))},
        {"a": pod(traffic(190, 3, 9), traffic(14, 1, 2)), "b": pod(traffic(15), traffic(6))},
    )
    assert got.arms["v1"] == Traffic(110, 2, Histogram((100.0,), (96, 4)))
    assert got.arms["v2"] == Traffic(5, 1, Histogram((100.0,), (2, 2)))
    assert not got.discarded


def test_what_is_sent_again_just_now_costs_nothing() -> None:
    """Sent requests are a difference of two counters, and may seem to be fewer than before."""
    before, now = Traffic(100, 5, sent=120), Traffic(105, 5, sent=119)
    got = between({"a": pod(before, before)}, {"a": pod(now, Traffic(105, 5, sent=130))})
    assert got.arms == {"v1": Traffic(5), "v2": Traffic(5, sent=10)}


OLD = pod(traffic(100, 5, 3), traffic(10, 1, 1))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (pod(traffic(99, 5, 3), traffic(20, 1, 1)), "counters of v1 fell"),
        (pod(traffic(200, 4, 3), traffic(20, 1, 1)), "counters of v1 fell"),
        (pod(traffic(200, 5, 3), traffic(20, 1, 0)), "counters of v2 fell"),
        (pod(traffic(200, 110, 3), traffic(20, 1, 1)), "counters of v1 fell"),
        (
            Pod(0, {"v1": traffic(200, 5, 3), "v2": Traffic(20, 1, Histogram((9.0,), (9, 1)))}),
            "other bounds",
        ),
        (Pod(0, {"v1": traffic(200, 5, 3)}), "counters of v2 are gone"),
        (pod(traffic(3), traffic(1), started=99), "started again at about the last look"),
    ],
)
def test_what_does_not_fit_costs_the_pods_interval_for_both_arms(now: Pod, why: str) -> None:
    other = {"b": pod(traffic(5), traffic(5))}
    grown = {"b": pod(traffic(15), traffic(6))}
    got = between({"a": OLD, **other}, {"a": now, **grown})
    assert why in got.discarded["a"]
    assert got.arms == {"v1": traffic(10), "v2": traffic(1)}


def test_an_arm_that_is_seen_for_the_first_time_is_a_baseline() -> None:
    got = between({"a": Pod(0, {"v1": traffic(1)})}, {"a": pod(traffic(9), traffic(7))})
    assert "v2 are seen for the first time" in got.discarded["a"]
    assert got.arms == {}


def test_arms_that_are_not_compared_neither_count_nor_spoil() -> None:
    before = Pod(0, {"v1": traffic(1), "v2": traffic(1), "v0": traffic(500)})
    got = between({"a": before}, {"a": pod(traffic(3), traffic(2))})
    assert got.arms == {"v1": traffic(2), "v2": traffic(1)}


def test_a_pod_that_started_since_the_last_look_counts_whole() -> None:
    new = pod(traffic(7, 1, 1), traffic(2, 0, 0), started=104)
    for before in ({"a": OLD}, {}):
        got = between(before, {"a": new})
        assert got.arms == dict(new.arms)
        assert not got.discarded


def test_a_pod_of_which_that_is_not_known_is_a_baseline() -> None:
    got = between({}, {"a": OLD})
    assert got.arms == {}
    assert got.discarded == {"a": "it is seen for the first time"}


def test_a_pod_that_is_gone_takes_its_last_interval_along() -> None:
    got = between({"a": OLD, "b": pod(traffic(5), traffic(5))}, {"b": pod(traffic(6), traffic(5))})
    assert got.discarded == {"a": "it is gone"}
    assert got.arms == {"v1": traffic(1), "v2": traffic(0)}


def test_routers_with_bounds_of_their_own_are_not_mixed() -> None:
    def with_bound(bound: float, n: int) -> Pod:
        made = Traffic(n, 0, Histogram((bound,), (n, 0)))
        return pod(made, made)

    got = between(
        {"a": with_bound(9, 1), "b": with_bound(10, 1)},
        {"a": with_bound(9, 4), "b": with_bound(10, 5)},
    )
    assert set(got.discarded) == {"b"}
    assert got.arms["v1"].requests == 3


def test_more_errors_than_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="2 errors of 1 requests"):
        Traffic(1, 2)


@dataclass
class Router:
    """A pod as it really is."""

    started: float
    counts: dict[str, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(ARMS, (0, 0)))

    def seen(self) -> Pod:
        return Pod(self.started, {arm: Traffic(*c) for arm, c in self.counts.items()})


requests = st.tuples(st.sampled_from(ARMS), st.sampled_from("ab"), st.integers(0, 9))
events = st.lists(
    st.one_of(requests, st.sampled_from(["look", "restart a", "restart b"])), max_size=60
)


@given(events)
def test_over_any_history_nothing_is_invented_and_only_restarts_lose(
    history: list[tuple[str, str, int] | str],
) -> None:
    """Ten seconds between two events. All that a restart may cost is what came to that pod since
    the last look."""
    now = 0.0
    routers = {"a": Router(now), "b": Router(now)}
    sent = dict.fromkeys(ARMS, 0)
    lost = dict.fromkeys(ARMS, 0)
    open_since = {name: dict.fromkeys(ARMS, 0) for name in routers}
    counted = dict.fromkeys(ARMS, 0)
    last = Snapshot(now, {name: r.seen() for name, r in routers.items()})
    for event in [*history, "look"]:
        now += 10
        if event == "look":
            snapshot = Snapshot(now, {name: r.seen() for name, r in routers.items()})
            for arm, came in added(last, snapshot, ARMS).arms.items():
                assert came.errors <= came.requests
                counted[arm] += came.requests
            last = snapshot
            open_since = {name: dict.fromkeys(ARMS, 0) for name in routers}
        elif isinstance(event, str):
            name = event[-1]
            routers[name] = Router(now)
            for arm, n in open_since[name].items():
                lost[arm] += n
            open_since[name] = dict.fromkeys(ARMS, 0)
        else:
            arm, name, n = event
            had, failed = routers[name].counts[arm]
            routers[name].counts[arm] = (had + n, failed + n // 3)
            sent[arm] += n
            open_since[name][arm] += n
    for arm in ARMS:
        assert counted[arm] == sent[arm] - lost[arm]


def test_the_first_requests_of_an_arm_have_their_latency() -> None:
    """Before them the router has no histogram of it."""
    slow = Histogram((1.0, 5.0), (2, 1, 0))
    before = Snapshot(0.0, {"r": Pod(-9.0, {"a": Traffic()})})
    now = Snapshot(5.0, {"r": Pod(-9.0, {"a": Traffic(3, 1, slow, 3)})})
    assert added(before, now, "a").arms == {"a": Traffic(3, 1, slow, 3)}
