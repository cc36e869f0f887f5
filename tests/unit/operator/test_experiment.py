"""How variants compare: from what routers and pods have counted to what the status says."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from modelfleet_contract import CallerCounts, RevisionTally, Tallies, ValueTally
from modelfleet_contract.tallies import Sums
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import ComparisonStatus, ExperimentStatus, Status
from modelfleet_operator.plan import experiment
from modelfleet_operator.plan.analysis import snapshot
from modelfleet_operator.router.observed import Counters, Histogram
from modelfleet_operator.seen import Observed, Pod, PodTallies, RouterPod, Routing
from modelfleet_operator.statistics.counters import Traffic
from modelfleet_operator.statistics.trial import Design, Trial
from tests.unit.operator.builders import NOW, resource, spec

REVISIONS = {"control": "digits-a", "challenger": "digits-b", "shadow": "digits-s"}
EVEN = {"control": 5000, "challenger": 5000}
BOUNDS = (50.0, 250.0, 1000.0)


def of(variants: str = "control:50 challenger:50", **more: Any) -> Spec:
    routing = more.pop("routing", {})
    arms = [
        dict(zip(("name", "weight"), each.split(":"), strict=True)) for each in variants.split()
    ]
    return spec(
        variants=[{**each, "weight": int(each["weight"])} for each in arms],
        routing={"mode": "Router", **routing},
        **more,
    )


@dataclass
class World:
    """Two routers and a pod of each variant that count, and an operator that looks."""

    spec: Spec
    shares: Mapping[str, int] = field(default_factory=lambda: EVEN)
    seconds: float = 0
    told: ExperimentStatus | None = None
    writes: int = 0
    rng: Random = field(default_factory=lambda: Random(1))
    counts: dict[str, list[int]] = field(default_factory=dict)
    """By revision: answers, errors, slow ones."""
    under_way: dict[str, int] = field(default_factory=dict)
    """By revision: sent, and not yet answered."""
    longest: timedelta = timedelta(0)
    steady: bool = True
    silent: frozenset[str] = frozenset()
    tallies: tuple[PodTallies, ...] | None = None
    revisions: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def send(
        self, variant: str, n: int, errors: float = 0, slow: float = 0, revision: str = ""
    ) -> None:
        counts = self.counts.setdefault(revision or REVISIONS[variant], [0, 0, 0])
        counts[0] += n
        counts[1] += sum(self.rng.random() < errors for _ in range(n))
        counts[2] += sum(self.rng.random() < slow for _ in range(n))

    def look(self, after: float = 30) -> ExperimentStatus | None:
        self.seconds += after
        arms = {v: (r,) for v, r in REVISIONS.items()} | self.revisions
        told = experiment.decide(
            self.seen(),
            self.spec,
            arms,
            self.shares,
            steady=self.steady,
            longest=self.longest,
        )
        self.writes += told != self.told
        self.told = told
        return told

    def seen(self) -> Observed:
        routers = tuple(
            RouterPod(
                name,
                ready=True,
                uid=name,
                started=NOW - timedelta(days=1),
                counters={} if name in self.silent else self.counters(),
                silent="gone quiet" if name in self.silent else "",
            )
            for name in ("one", "two")
        )
        return Observed(
            now=NOW + timedelta(seconds=self.seconds),
            resource=resource(self.spec, status=Status(experiment=self.told)),
            routing=Routing(routers=routers),
            pods=tuple(Pod(f"{name}-1", name, ready=True) for name in REVISIONS.values()),
            tallies=self.tallies,
        )

    def counters(self) -> dict[str, Counters]:
        """Each router has seen half."""
        return {
            name: Counters(
                attempts=(n + self.under_way.get(name, 0)) // 2,
                answers={"2": n // 2 - x // 2, "5": x // 2},
                latency=Histogram(BOUNDS, ((n - s) // 2, (n - s) // 2, n // 2), n // 2),
            )
            for name, (n, x, s) in self.counts.items()
        }

    @property
    def comparison(self) -> ComparisonStatus:
        assert self.told is not None
        (only,) = self.told.comparisons
        return only


def ran(world: World, looks: int = 60, control: float = 0.02, challenger: float = 0.02) -> World:
    for _ in range(looks):
        world.send("control", 100, control)
        world.send("challenger", 100, challenger)
        world.look()
    return world


def test_one_variant_is_no_experiment() -> None:
    assert World(spec(routing={"mode": "Router"})).look() is None
    assert World(of("control:100")).look() is None


def test_a_variant_that_only_headers_reach_is_not_compared() -> None:
    match = {"variant": "tries", "headers": [{"name": "x-try", "value": "1"}]}
    world = World(of("control:100 tries:0", routing={"matches": [match]}))
    assert world.look() is None


def test_without_being_asked_errors_are_compared_with_the_first_variant() -> None:
    world = ran(World(of()), challenger=0.1)
    assert world.told is not None
    assert world.told.control == "control"
    told = world.comparison
    assert (told.variant, told.metric, told.differs) == ("challenger", "ErrorRate", True)
    assert told.message.startswith("challenger has more errors than control: +")
    assert world.told.message == told.message
    assert told.p_value == "<0.0001"
    assert told.difference is not None
    assert 6 < float(told.difference.rstrip("%")) < 10


def test_arms_are_shown_with_what_they_did() -> None:
    world = ran(World(of()), looks=20)
    assert world.told is not None
    control, challenger = world.told.arms
    # The first look is what the others are compared with.
    assert (control.variant, control.weight, control.requests) == ("control", "50%", 1900)
    assert challenger.error_rate == f"{100 * challenger.errors / 1900:.3g}%"
    assert control.p50 == "25ms"
    assert control.p99 is not None
    assert world.told.sample_ratio is not None
    assert world.told.sample_ratio.verdict == "Ok"
    assert "control 50 % for 50 %" in world.told.sample_ratio.message


def test_equal_variants_do_not_differ() -> None:
    told = ran(World(of())).comparison
    assert not told.differs
    assert told.message.startswith("no difference from control is shown: ")


def test_the_control_may_be_another() -> None:
    world = ran(World(of(experiment={"control": "challenger"})), challenger=0.1)
    assert world.comparison.message.startswith("control has fewer errors than challenger: −")


def test_nothing_is_written_while_nothing_comes() -> None:
    world = ran(World(of()), looks=3)
    before = world.writes
    for _ in range(20):
        world.look()
    assert world.writes == before
    world.send("control", 100)
    world.look()
    assert world.writes == before + 1


def test_a_look_that_comes_sooner_is_not_counted() -> None:
    world = ran(World(of()), looks=3)
    world.send("control", 100)
    before = world.told
    assert world.look(after=20) == before
    assert world.look(after=10) != before


def test_other_shares_begin_a_segment_and_the_p_value_stays() -> None:
    world = ran(World(of()), challenger=0.1)
    since, p_value = world.told and world.told.since, world.comparison.p_value
    world.steady, world.shares = False, {"control": 8000, "challenger": 2000}
    world.send("control", 500)
    unsteady = world.look()
    assert unsteady is not None
    assert unsteady.counted == ""
    world.steady = True
    world.look()
    assert world.told is not None
    assert world.told.since != since
    assert [arm.requests for arm in world.told.arms] == [0, 0]
    assert world.comparison.p_value == p_value
    world.send("control", 80)
    world.send("challenger", 20)
    world.look()
    assert [arm.requests for arm in world.told.arms] == [80, 20]
    assert "leaves it open" in world.comparison.message


def test_a_rollout_inside_a_variant_begins_none() -> None:
    world = ran(World(of()), looks=10)
    since = world.told and world.told.since
    world.revisions = {"challenger": ("digits-b", "digits-new")}
    world.steady = False
    assert world.look() == world.told
    world.steady = True
    world.look()
    for _ in range(10):
        world.send("control", 100)
        world.send("challenger", 50)
        world.send("challenger", 50, revision="digits-new")
        world.look()
    assert world.told is not None
    assert world.told.since == since
    assert [arm.requests for arm in world.told.arms] == [1900, 1900]


def test_a_router_that_is_silent_for_a_while_loses_nothing() -> None:
    world = ran(World(of()), looks=5)
    world.silent = frozenset({"two"})
    ran(world, looks=5)
    world.silent = frozenset()
    ran(world, looks=1)
    assert world.told is not None
    assert [arm.requests for arm in world.told.arms] == [1000, 1000]


def test_a_dead_arm_is_a_mismatch_and_nothing_is_concluded() -> None:
    world = World(of())
    world.look()
    for _ in range(5):
        world.send("control", 100, 0.5)
        world.look()
    assert world.told is not None
    assert world.told.sample_ratio is not None
    assert world.told.sample_ratio.verdict == "Mismatch"
    assert world.told.message.startswith("invalid, nothing can be concluded: ")
    assert "challenger 0 % for 50 %" in world.told.message
    ran(world, challenger=0.3)
    assert not world.comparison.differs


def verdict(world: World) -> str:
    assert world.told is not None
    assert world.told.sample_ratio is not None
    return world.told.sample_ratio.verdict


def test_what_slow_arms_have_yet_to_answer_is_no_mismatch() -> None:
    """100 requests/s, each of which takes five seconds."""
    world = World(of(), shares={"control": 8000, "challenger": 2000})
    for control, challenger in ((2400, 600), (2400, 600)):
        world.under_way = {"digits-a": 400, "digits-b": 100}
        world.send("control", control)
        world.send("challenger", challenger)
        world.look()
    world.shares = EVEN
    world.look(after=1)
    # Five seconds of answers to the shares before, and 25 to those of now.
    world.under_way = {"digits-a": 250, "digits-b": 250}
    world.send("control", 1650)
    world.send("challenger", 1350)
    world.look()
    assert verdict(world) == "Ok"
    ran(world, looks=5)
    assert verdict(world) == "Ok"


def test_an_arm_that_answers_after_half_a_minute_is_no_mismatch() -> None:
    world = World(of())
    world.look()
    world.send("control", 1500)
    world.send("challenger", 0)
    world.under_way = {"digits-b": 1500}
    world.look()
    assert verdict(world) == "Ok"


def test_a_request_that_is_sent_again_is_one() -> None:
    assert snapshot_of(Counters(attempts=150, retries=50, answers={"2": 90})).sent == 100
    # Connections that no pod took are tried again, and no pod got the request.
    assert snapshot_of(Counters(retries=300, answers={"5": 100})).sent == 100


def snapshot_of(counters: Counters) -> Traffic:
    router = RouterPod("one", ready=True, uid="one", counters={"digits-a": counters})
    seen = replace(World(of()).seen(), routing=Routing(routers=(router,)))
    return snapshot(seen, "digits-a").pods["one"].arms["digits-a"]


def test_what_pods_count_of_sticky_callers_begins_when_all_is_answered_that_was_sent_before() -> (
    None
):
    world = World(of(routing=STICKY), longest=timedelta(seconds=60))
    world.tallies = of_pods({}, {})
    world.look()
    twenty, forty = (dict.fromkeys(range(200), (n, 0.0)) for n in (20, 40))
    world.tallies = of_pods(twenty, {})
    told = world.look()
    assert (verdict(world), world.writes) == ("Unknown", 1)
    assert told is not None
    assert not told.counted
    # From here on it counts: what control alone has answered so far is left out.
    world.look()
    world.tallies = of_pods(forty, twenty)
    world.look()
    assert verdict(world) == "Ok"


def test_a_shadow_is_compared_and_has_no_share() -> None:
    world = World(
        of("control:100 shadow:0", routing={"mirror": [{"variant": "shadow", "percent": 50}]}),
        shares={"control": 10000},
    )
    for _ in range(40):
        world.send("control", 100)
        world.send("shadow", 50, 0.2)
        world.look()
    assert world.told is not None
    shadow = world.told.arms[1]
    assert (shadow.shadow, shadow.weight) == (True, None)
    assert world.comparison.message.startswith("shadow has more errors than control: ")


def test_latency_is_compared_by_requests_over_the_threshold() -> None:
    metrics = [{"type": "Latency", "threshold": "250ms"}]
    world = World(of(experiment={"metrics": metrics}))
    for _ in range(60):
        world.send("control", 100, slow=0.1)
        world.send("challenger", 100, slow=0.01)
        world.look()
    message = world.comparison.message
    assert message.startswith(
        "challenger is faster than control, fewer requests take longer than 250 ms: −"
    )


@pytest.mark.parametrize("slow", [0.1, 0.0], ids=["a difference", "none"])
def test_a_threshold_between_two_bounds_is_said_as_the_one_that_is_used(slow: float) -> None:
    metrics = [{"type": "Latency", "threshold": "220ms"}]
    world = World(of(experiment={"metrics": metrics}))
    for _ in range(60):
        world.send("control", 100, slow=slow)
        world.send("challenger", 100, slow=slow / 10)
        world.look()
    assert " 250 ms: " in world.comparison.message
    assert "220" not in world.comparison.message


def test_an_evidence_that_cannot_be_read_is_begun_anew() -> None:
    world = ran(World(of()), challenger=0.1)
    assert world.told is not None
    world.told = world.told.model_copy(update={"evidence": "rubbish"})
    world.look()
    assert world.comparison.p_value == "1"
    assert ran(world, challenger=0.1).comparison.differs


@pytest.mark.parametrize("steady", [True, False], ids=["not due", "routers on their way"])
def test_the_evidence_is_read_only_where_something_is_added(
    steady: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = ran(World(of()), looks=3)
    before = world.told

    def read(text: str, design: Design) -> Trial:
        raise AssertionError("it takes half a second")

    monkeypatch.setattr(Trial, "from_text", read)
    world.steady = steady
    world.send("control", 100)
    assert world.look(after=29) is before
    world.steady = True
    with pytest.raises(AssertionError):
        world.look(after=1)


def tallied(revision: str, callers: Mapping[int, tuple[int, float]], boot: str) -> Tallies:
    """`callers`: requests and clicks by bucket."""
    clicks = sum(total for _, total in callers.values())
    requests = sum(n for n, _ in callers.values())
    value = ValueTally(
        requests=requests,
        nonzero=int(clicks),
        sum=clicks,
        squares=clicks,
        callers={b: Sums(n, total, total) for b, (n, total) in callers.items()},
    )
    counted = RevisionTally(
        requests=requests,
        callers=CallerCounts(requests={b: n for b, (n, _) in callers.items()}),
        values={"clicked": value},
    )
    return Tallies(boot=boot, started=0, buckets=1024, revisions={revision: counted})


VALUES = {"metrics": [{"type": "Value", "name": "clicked", "goal": "Higher"}]}
STICKY = {"sticky": {"header": "x-user"}}
GATEWAY = {"mode": "Gateway", "gateway": {"name": "public"}}


def of_pods(control: Mapping[int, tuple[int, float]], other: Mapping[int, tuple[int, float]]) -> (
    tuple[PodTallies, ...]
):  # fmt: skip
    return (
        PodTallies("digits-a-1", tallied("digits-a", control, "a")),
        PodTallies("digits-b-1", tallied("digits-b", other, "b")),
    )


def test_a_value_of_sticky_callers_is_compared_by_bucket() -> None:
    rng, world = Random(2), World(of(experiment=VALUES, routing=STICKY))
    world.tallies = of_pods({}, {})
    world.look()
    world.tallies = of_pods(
        {b: (20, 20.0 * (rng.random() < 0.3)) for b in range(500)},
        {b: (20, 20.0 * (rng.random() < 0.7)) for b in range(500)},
    )
    world.look()
    told = world.comparison
    assert told.metric == "Value/clicked"
    assert told.differs
    assert told.message.startswith(
        "challenger has a higher clicked than control, which is better: +0."
    )
    assert world.told is not None
    assert world.told.sample_ratio is not None
    assert world.told.sample_ratio.verdict == "Ok"


def test_a_pod_that_is_silent_holds_what_pods_have_counted() -> None:
    world = World(of(experiment=VALUES))
    world.tallies = of_pods({}, {})
    world.look()
    pods = of_pods({1: (100, 50.0)}, {1: (100, 50.0)})
    world.tallies = (pods[0], replace(pods[1], counted=None))
    world.send("control", 100)
    world.look()
    assert world.comparison.control is None
    world.tallies = pods
    world.look()
    assert world.comparison.control == "0.5"


def test_what_is_assumed_of_sticky_callers_is_said() -> None:
    world = ran(World(of(routing=STICKY)), looks=20)
    assert "3 of their requests tell as much as one is assumed" in world.comparison.message
    assert world.told is not None
    assert world.told.sample_ratio is not None
    assert world.told.sample_ratio.verdict == "Unknown"


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (of(), False),
        (of(routing=STICKY), True),
        (of(experiment=VALUES), True),
        (of("control:100", routing=STICKY), False),
        (of(routing={**STICKY, **GATEWAY}), False),
    ],
    ids=["errors", "sticky callers", "a value", "one variant", "a gateway that nobody can read"],
)
def test_pods_are_asked_only_where_it_is_needed(wanted: Spec, asked: bool) -> None:
    assert experiment.needs_pods(wanted) is asked


def test_the_status_stays_small() -> None:
    metrics = [{"type": "ErrorRate"}, {"type": "Latency"}, *VALUES["metrics"]]
    names = [f"v{n}:12" for n in range(7)] + ["v7:16"]
    world = World(
        of(" ".join(names), experiment={"metrics": metrics}, routing=STICKY),
        shares={f"v{n}": 1200 + 400 * (n == 7) for n in range(8)},
        revisions={f"v{n}": (f"digits-{n}",) for n in range(8)},
    )
    callers = dict.fromkeys(range(1024), (5, 5 * 0.37))
    for look in range(3):
        world.tallies = tuple(
            PodTallies(f"p{n}", tallied(f"digits-{n}", callers if look else {}, str(n)))
            for n in range(8)
        )
        for n in range(8):
            world.send("", 1000, 0.01, 0.1, revision=f"digits-{n}")
        world.look()
    assert world.told is not None
    assert len(world.told.model_dump_json()) < 100_000
