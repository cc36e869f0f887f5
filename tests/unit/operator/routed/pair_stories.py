"""Deployments that come to the routers, share them and leave them; and a pair that is hurt."""

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.router import pod as router_pod
from tests.unit.operator.builders import NAME
from tests.unit.operator.routed.kubernetes import SITES
from tests.unit.operator.routed.words import (
    PROMOTED,
    Story,
    ask,
    ask_by_steps,
    ask_direct,
    at_once,
    available,
    both,
    delete,
    delete_deployment,
    direct,
    has,
    kill_routers,
    no_pair,
    nothing,
    pair,
    parting,
    phase,
    routed,
    runs,
    say,
    serves,
)
from tests.unit.operator.routed.world import OTHER

STORIES = (
    Story(
        "to the routers, and away again",
        ask_direct("v1"),
        (
            (both(serves("v1"), direct), ask("v1")),
            (both(serves("v1"), routed("v1", 100)), ask_direct("v1")),
        ),
        both(serves("v1"), direct, runs("v1", 2), no_pair),
    ),
    Story(
        "to the routers and away again, each time with another model",
        ask_direct("v1"),
        (
            (both(serves("v1"), direct), ask("v2")),
            (both(serves("v2"), routed("v2", 100)), ask_direct("v3")),
        ),
        both(serves("v3"), direct, runs("v2", 0), runs("v1", 0)),
    ),
    Story(
        "away from the routers in the middle of a rollout",
        ask_by_steps("v1", PROMOTED, 4),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED, 4)),
            (phase("Holding", step=0), ask("v2", 4, routing={"mode": "Direct"})),
        ),
        both(serves("v2"), direct, runs("v2", 4), runs("v1", 0)),
    ),
    *(
        Story(
            f"away from the routers, and back to them {when}",
            ask("v1"),
            ((serves("v1"), ask_direct("v1")), (due, ask("v1")), (serves("v1"), nothing)),
            both(serves("v1"), routed("v1", 100)),
        )
        for when, due in (("at once", at_once), ("while they still serve it", parting))
    ),
    Story(
        "to routers that others use already",
        ask("other1", name=OTHER),
        (
            (serves("other1", OTHER), ask_direct("v1")),
            (both(serves("v1"), direct), ask("v1")),
            (serves("v1"), nothing),
        ),
        both(serves("v1"), serves("other1", OTHER), routed("v1", 100)),
    ),
    Story(
        "two share the pair, and one is deleted",
        ask("v1"),
        (
            (serves("v1"), ask("other1", name=OTHER)),
            (serves("other1", OTHER), ask_by_steps("v2")),
            (has("v2", 20), ask("other2", name=OTHER)),
            (both(serves("v2"), serves("other2", OTHER)), delete_deployment(OTHER)),
        ),
        both(serves("v2"), pair(2), lambda w: not w.pods(w.revision_of("other2"))),
    ),
    Story(
        "the last one is deleted, and the pair goes",
        ask("v1"),
        ((serves("v1"), delete_deployment()),),
        both(no_pair, pair(0)),
    ),
    Story(
        "deleted, and made again under the same name",
        ask("v1"),
        ((serves("v1"), delete_deployment()), (at_once, ask("v2"))),
        both(serves("v2"), pair(2)),
    ),
    Story(
        "both routers are killed at once",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), kill_routers),
            (both(phase("Holding"), routed("v2", 25)), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), pair(2), available),
    ),
    Story(
        "the pair's ConfigMap is deleted by hand",
        ask("v1"),
        ((serves("v1"), delete(kinds.CONFIG_MAP, SITES)), (at_once, ask("v2"))),
        both(serves("v2"), pair(2)),
    ),
    Story(
        "the pair's Deployment is deleted by hand",
        ask("v1"),
        ((serves("v1"), delete(kinds.DEPLOYMENT, router_pod.SHARED)), (at_once, ask("v2"))),
        both(serves("v2"), pair(2)),
    ),
    Story(
        "what the routers are told is deleted by hand",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), delete(kinds.CONFIG_MAP, f"{NAME}-routes")),
            (both(phase("Holding"), has("v2", 25)), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
)  # fmt: skip
