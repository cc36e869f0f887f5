"""One deployment behind routers whose steps are judged by a Prometheus as well."""

from typing import Any

from modelfleet_operator.api import labels
from tests.unit.operator.routed.words import (
    ANALYSIS,
    Act,
    Story,
    When,
    ask,
    ask_by_steps,
    both,
    has,
    nothing,
    phase,
    routed,
    runs,
    say,
    serves,
)
from tests.unit.operator.routed.world import RoutedWorld

LOAD = {"name": "load", "query": "load {{revision}}", "max": "0.5", "failures": 2}
STEPS = {"weight": 20}, {"weight": 50}


def ask_judged(model: str, onFailure: str = "Rollback", **more: Any) -> Act:  # noqa: N803
    queries = [LOAD, {"name": "rows", "query": "rows {{stable}}", "min": "1"}]
    analysis = {**ANALYSIS, "queries": queries, **more}
    return ask_by_steps(model, STEPS, onFailure=onFailure, analysis=analysis)


def load(model: str, value: float) -> Act:
    """So it is from now on; of the revision that served before, there are rows."""

    def act(world: RoutedWorld) -> None:
        world.prometheus.values[f"load {world.revision_of(model)}"] = value
        world.prometheus.values[f"rows {world.revision_of('v1')}"] = 7

    return act


def found(query: str, verdict: str, words: str = "") -> When:
    def when(world: RoutedWorld) -> bool:
        checks = world.rollout().get("analysis", {}).get("checks", ())
        return any(
            each["name"] == f"query {query}"
            and each["verdict"] == verdict
            and words in each["message"]
            for each in checks
        )

    return when


def stale(world: RoutedWorld) -> bool:
    return bool(world.rollout().get("analysis", {}).get("verdict") == "Stale")


def was_asked(world: RoutedWorld) -> bool:
    return world.prometheus.asked > 0


def without_prometheus(then: Act) -> Act:
    def act(world: RoutedWorld) -> None:
        world.lose_prometheus()
        then(world)

    return act


STORIES = (
    Story(
        "queries: good answers at each step",
        ask("v1"),
        (
            (serves("v1"), ask_judged("v2")),
            (found("load", "Open", "no series"), load("v2", 0.4)),
            (has("v2", 50), nothing),
        ),
        both(serves("v2"), runs("v1", 0), was_asked),
    ),
    Story(
        "queries: bad answers, after the warm-up",
        ask("v1"),
        (
            (serves("v1"), ask_judged("v2", warmUp="60s")),
            (phase("Holding", step=0), load("v2", 0.6)),
            (found("load", "Open", "after the warm-up"), nothing),
        ),
        both(phase("Failed"), routed("v1", 100), was_asked),
    ),
    Story(
        "queries: bad answers",
        ask("v1"),
        (
            (serves("v1"), ask_judged("v2")),
            (both(phase("Holding", step=0), found("rows", "Open")), load("v2", 0.4)),
            (phase("Holding", step=1), load("v2", 0.6)),
        ),
        both(phase("Failed"), routed("v1", 100), runs("v2", 0), runs("v1", 2)),
    ),
    Story(
        "queries: bad answers, and a person decides",
        ask("v1"),
        (
            (serves("v1"), ask_judged("v2", onFailure="Pause")),
            (phase("Holding", step=0), load("v2", 0.6)),
            (both(phase("Paused"), found("load", "Harmful")), load("v2", 0.4)),
            (both(phase("Paused"), has("v2", 20), found("load", "Harmful")), say(labels.ABORT)),
        ),
        both(phase("Failed"), routed("v1", 100)),
    ),
    Story(
        "queries: no answer, and a person decides",
        ask("v1"),
        (
            (serves("v1"), ask_judged("v2", onNoData="Fail", onFailure="Pause")),
            (both(phase("Paused"), stale), load("v2", 0.4)),
            (both(phase("Paused"), has("v2", 20), stale), say(labels.ABORT)),
        ),
        both(phase("Failed"), routed("v1", 100)),
    ),
    Story(
        "queries: no answer, and it goes on",
        ask("v1"),
        ((serves("v1"), ask_judged("v2", onNoData="Proceed")), (has("v2", 50), nothing)),
        both(serves("v2"), was_asked),
    ),
    Story(
        "queries: no Prometheus, and it holds",
        without_prometheus(ask("v1")),
        (
            (serves("v1"), ask_judged("v2")),
            (both(has("v2", 20), found("load", "Open", "prometheus.url"), stale),
             say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "queries: no Prometheus, and it goes on",
        without_prometheus(ask("v1")),
        ((serves("v1"), ask_judged("v2", onNoData="Proceed")),),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "queries: no Prometheus, and it fails",
        without_prometheus(ask("v1")),
        ((serves("v1"), ask_judged("v2", onNoData="Fail")),),
        both(phase("Failed"), routed("v1", 100)),
    ),
)  # fmt: skip
