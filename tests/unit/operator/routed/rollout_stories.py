"""One deployment behind routers: how a new revision takes over, or does not."""

from modelfleet_operator.api import labels
from tests.unit.operator.routed.words import (
    ANALYSIS,
    PROMOTED,
    STEPS,
    Story,
    ask,
    ask_autoscaled,
    ask_blue_green,
    ask_by_steps,
    at_once,
    both,
    forget,
    has,
    nothing,
    phase,
    reason,
    routed,
    runs,
    say,
    scale,
    serves,
    sicken,
    started,
    unpause,
)

STORIES = (
    Story(
        "the first deployment", ask("v1"), (), both(serves("v1"), runs("v1", 2), routed("v1", 100))
    ),
    Story(
        "a rolling change",
        ask("v1"),
        ((serves("v1"), ask("v2")),),
        both(serves("v2"), runs("v1", 0), routed("v2", 100)),
    ),
    Story(
        "a rolling change while pods and routers die",
        ask("v1"),
        ((serves("v1"), ask("v2")), (serves("v2"), ask("v3"))),
        both(serves("v3"), runs("v2", 0)),
        trouble=0.05,
    ),
    Story(
        "a rolling change while the status is lost again and again",
        ask("v1"),
        ((serves("v1"), ask("v2")), (serves("v2"), ask("v1"))),
        both(serves("v1"), runs("v2", 0)),
        forgetful=True,
    ),
    Story(
        "by steps, to the end",
        ask_by_steps("v1"),
        (
            (serves("v1"), ask_by_steps("v2")),
            (has("v2", 20), nothing),
            (has("v2", 50), nothing),
        ),
        both(serves("v2"), runs("v1", 0), routed("v2", 100)),
    ),
    Story(
        "by steps, each promoted",
        ask_by_steps("v1", PROMOTED, 4),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED, 4)),
            (both(phase("Holding", step=0), runs("v2", 1)), say(labels.PROMOTE)),
            (both(phase("Holding", step=1), runs("v2", 3)), say(labels.PROMOTE)),
        ),
        both(serves("v2"), runs("v2", 4), runs("v1", 0)),
    ),
    Story(
        "by steps, promoted past all of them",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "by steps, while pods and routers die",
        ask_by_steps("v1", n=3),
        ((serves("v1"), ask_by_steps("v2", n=3)), (has("v2", 20), nothing)),
        both(serves("v2"), runs("v1", 0)),
        trouble=0.05,
    ),
    Story(
        "by steps, and the status is lost on the way",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), say(labels.PROMOTE)),
            (phase("Holding", step=1), forget),
            (phase("Holding", step=1), say(labels.PROMOTE)),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "paused, and resumed",
        ask_by_steps("v1"),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), say(labels.PAUSE)),
            (phase("Paused"), say(labels.PROMOTE)),
            (both(phase("Paused"), has("v2", 25)), unpause),
            (phase("Holding", step=1), say(labels.PROMOTE)),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "paused before anything is ready",
        ask("v1"),
        (
            (serves("v1"), ask_by_steps("v2")),
            (started("v2"), say(labels.PAUSE)),
            (phase("Paused"), unpause),
        ),
        serves("v2"),
    ),
    *(
        Story(
            f"aborted at step {step}",
            ask_by_steps("v1", PROMOTED, 4),
            (
                (serves("v1"), ask_by_steps("v2", PROMOTED, 4)),
                *((phase("Holding", step=n), say(labels.PROMOTE)) for n in range(step)),
                (phase("Holding", step=step), say(labels.ABORT)),
            ),
            both(phase("Failed"), routed("v1", 100), runs("v1", 4), runs("v2", 0)),
        )
        for step in (0, 1)
    ),
    Story(
        "aborted before it has a share",
        ask("v1"),
        (
            (serves("v1"), ask_by_steps("broken")),
            (both(started("broken"), phase("Starting")), say(labels.ABORT)),
        ),
        both(phase("Failed"), routed("v1", 100), runs("broken", 0)),
    ),
    Story(
        "aborted, and tried again",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), say(labels.ABORT)),
            (phase("Failed"), say(labels.RETRY)),
            (phase("Failed"), lambda world: world.unsay(labels.ABORT)),
            (phase("Holding", step=0), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "aborted, and then another",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), say(labels.ABORT)),
            (phase("RollingBack", "Failed"), ask("v3")),
        ),
        both(serves("v3"), runs("v1", 0), runs("v2", 0)),
    ),
    Story(
        "a broken candidate is rolled back at its deadline",
        ask("v1"),
        (
            (serves("v1"), ask("broken", rollout={"progressDeadline": "60s"})),
            (both(phase("Failed"), routed("v1", 100), runs("v1", 2)), ask("v3")),
        ),
        both(serves("v3"), runs("broken", 0)),
    ),
    Story(
        "a sick stable one, and a fix goes forward",
        ask("v1"),
        (
            (serves("v1"), sicken("v1")),
            (at_once, ask_by_steps("v2", PROMOTED)),
            # It has lent its share; whether the new one stays is still for somebody to say.
            (phase("Holding", step=0), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story("a broken first one, then a good one", ask("broken"), (
        (reason("ModelNotFound"), ask("v2")),
    ), both(serves("v2"), runs("broken", 0))),
    Story(
        "a change during a change",
        ask("v1"),
        ((serves("v1"), ask_by_steps("v2", PROMOTED)), (has("v2", 25), ask_by_steps("v3"))),
        both(serves("v3"), runs("v2", 0), runs("v1", 0)),
    ),
    Story(
        "going back during a change",
        ask("v1", 4),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED, 4)),
            (phase("Holding", step=0), say(labels.PROMOTE)),
            (has("v2", 75), ask("v1", 4)),
        ),
        both(serves("v1"), runs("v1", 4), runs("v2", 0)),
    ),
    Story(
        "ten changes in a row",
        ask("v1"),
        (
            (serves("v1"), ask("v2")),
            *((started(f"v{n}"), ask_by_steps(f"v{n + 1}")) for n in range(2, 10)),
        ),
        both(serves("v10"), *(runs(f"v{n}", 0) for n in range(1, 10))),
    ),
    Story(
        "more pods during a rollout",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), scale(5)),
            (both(phase("Holding"), runs("v1", 5)), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v2", 5), runs("v1", 0)),
    ),
    Story(
        "fewer pods during a rollout",
        ask_by_steps("v1", PROMOTED, 4),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED, 4)),
            (phase("Holding", step=0), scale(1)),
            (both(phase("Holding"), runs("v1", 1)), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v2", 1), runs("v1", 0)),
    ),
    Story(
        "no pods, and back",
        ask("v1"),
        ((serves("v1"), scale(0)), (both(reason("Stopped"), runs("v1", 0)), scale(3))),
        both(serves("v1"), runs("v1", 3)),
    ),
    Story(
        "no pods during a rollout, and back",
        ask_by_steps("v1", PROMOTED),
        (
            (serves("v1"), ask_by_steps("v2", PROMOTED)),
            (phase("Holding", step=0), scale(0)),
            (both(reason("Stopped"), runs("v1", 0), runs("v2", 0)), scale(2)),
            (both(phase("Holding", step=0), runs("v1", 2)), say(labels.PROMOTE, "all")),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "under load, autoscaled",
        ask_autoscaled("v1", load=5),
        (
            (both(serves("v1"), runs("v1", 5)), ask_autoscaled("v2", 5, rollout={
                "strategy": "Progressive", "steps": [*STEPS]})),
            (has("v2", 50), nothing),
        ),
        both(serves("v2"), runs("v2", 5), runs("v1", 0)),
    ),
    Story(
        "blue-green, with a preview",
        ask("v1", 3),
        (
            (serves("v1"), ask_blue_green("v2", preview={"untilPromoted": True})),
            (both(phase("Holding", step=0), runs("v2", 3), has("v2", 0)), say(labels.PROMOTE)),
        ),
        both(serves("v2"), runs("v1", 0), routed("v2", 100)),
    ),
    Story(
        "blue-green, aborted while it bakes",
        ask("v1", 3),
        (
            (serves("v1"), ask_blue_green("v2", bake="24h")),
            (both(phase("Holding", step=1), routed("v2", 100), runs("v1", 3)), say(labels.ABORT)),
        ),
        both(phase("Failed"), routed("v1", 100), runs("v1", 3), runs("v2", 0)),
    ),
    Story(
        "by steps, and then it bakes",
        ask("v1"),
        (
            (serves("v1"), ask_by_steps("v2", bake="60s")),
            (both(phase("Holding", step=2), routed("v2", 100), runs("v1", 2)), nothing),
        ),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "an analysis that passes",
        ask("v1"),
        ((serves("v1"), ask_by_steps("v2", analysis=ANALYSIS)), (has("v2", 50), nothing)),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "an analysis that fails",
        ask("v1"),
        ((serves("v1"), ask_by_steps("failing", analysis=ANALYSIS)), (has("failing", 20), nothing)),
        both(phase("Failed"), routed("v1", 100), runs("failing", 0), runs("v1", 2)),
    ),
)  # fmt: skip
