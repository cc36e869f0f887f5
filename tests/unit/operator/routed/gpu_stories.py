"""One deployment behind routers whose pods need accelerators, of which there are few."""

from typing import Any

from modelfleet_operator.api import labels
from tests.unit.operator.routed.gpus import put_node
from tests.unit.operator.routed.variant_stories import ab
from tests.unit.operator.routed.words import (
    PROMOTED,
    STEPS,
    Act,
    Story,
    When,
    ask,
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


def on(gpus: int, then: Act) -> Act:
    """On one node with so many."""

    def act(world: RoutedWorld) -> None:
        put_node(world.api, "gpu-node", gpus)
        then(world)

    return act


def ask_gpus(model: str, n: int, steps: tuple[object, ...] = (), **more: Any) -> Act:
    strategy = {"strategy": "Progressive", "steps": list(steps)} if steps else {}
    return ask(model, n, accelerator={}, rollout={**strategy, **more})


def left(gpus: int) -> Act:
    """Others have taken the rest."""
    return lambda world: put_node(world.api, "gpu-node", gpus)


def way(word: str) -> When:
    return lambda world: world.rollout().get("surge") == word


STORIES = (
    Story(
        "gpus: enough for both",
        on(4, ask_gpus("v1", 2)),
        ((serves("v1"), ask_gpus("v2", 2)), (way("Surge"), nothing)),
        both(serves("v2"), runs("v2", 2), runs("v1", 0)),
    ),
    Story(
        "gpus: in place, where all are in use",
        on(3, ask_gpus("v1", 3)),
        ((serves("v1"), ask_gpus("v2", 3)), (way("InPlace"), nothing)),
        both(serves("v2"), runs("v2", 3), runs("v1", 0), routed("v2", 100)),
    ),
    Story(
        "gpus: in place with one that is free",
        on(4, ask_gpus("v1", 3)),
        ((serves("v1"), ask_gpus("v2", 3)), (way("InPlace"), nothing)),
        both(serves("v2"), runs("v2", 3), runs("v1", 0)),
    ),
    Story(
        "gpus: in place by steps",
        on(4, ask_gpus("v1", 4)),
        (
            (serves("v1"), ask_gpus("v2", 4, STEPS)),
            (has("v2", 20), nothing),
            (has("v2", 50), nothing),
        ),
        both(serves("v2"), runs("v2", 4), runs("v1", 0)),
    ),
    Story(
        "gpus: in place, and aborted on the way",
        on(4, ask_gpus("v1", 4)),
        (
            (serves("v1"), ask_gpus("v2", 4, PROMOTED)),
            (phase("Holding", step=0), say(labels.PROMOTE)),
            (phase("Holding", step=1), say(labels.ABORT)),
        ),
        both(phase("Failed"), routed("v1", 100), runs("v1", 4), runs("v2", 0)),
    ),
    Story(
        "gpus: in place, and back to the earlier model on the way",
        on(3, ask_gpus("v1", 3)),
        (
            (serves("v1"), ask_gpus("v2", 3, PROMOTED)),
            (phase("Holding", step=0), say(labels.PROMOTE)),
            (has("v2", 75), ask_gpus("v1", 3)),
        ),
        both(serves("v1"), runs("v1", 3), runs("v2", 0)),
    ),
    Story(
        "gpus: in place, and broken",
        on(2, ask_gpus("v1", 2)),
        ((serves("v1"), ask_gpus("broken", 2, progressDeadline="60s")),),
        both(phase("Failed"), routed("v1", 100), runs("v1", 2), runs("broken", 0)),
    ),
    Story(
        "gpus: the only one is handed over",
        on(1, ask_gpus("v1", 1)),
        ((serves("v1"), ask_gpus("v2", 1)), (way("Recreate"), nothing)),
        both(serves("v2"), runs("v2", 1), runs("v1", 0)),
    ),
    Story(
        "gpus: the only one is handed over, and back from a broken one",
        on(1, ask_gpus("v1", 1)),
        ((serves("v1"), ask_gpus("broken", 1, progressDeadline="60s")),),
        both(phase("Failed"), routed("v1", 100), runs("v1", 1), runs("broken", 0)),
    ),
    Story(
        "gpus: a variant hands over its only one",
        on(2, ab(50, replicas=1, accelerator={})),
        ((serves("v1, v2"), ab(50, b="v3", replicas=1, accelerator={})),),
        both(runs("v1", 1), runs("v3", 1), runs("v2", 0), routed("v1", 50), routed("v3", 50)),
    ),
    Story(
        "gpus: others take what was free",
        on(4, ask_gpus("v1", 2)),
        (
            (serves("v1"), ask_gpus("v2", 2, PROMOTED)),
            (both(way("Surge"), phase("Holding", step=0)), left(3)),
            (phase("Holding", step=0), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v2", 2), runs("v1", 0)),
    ),
)
