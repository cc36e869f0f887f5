"""Whole stories of deployments behind routers: the operator's real looks, at each deployment and at
the pair, in a world that moves in any order.

Each is told in a fixed order, with seed 0, and with seeds that differ from run to run and stand in
the test's name. STORY_SEED=n tells all of them with that seed again; STORY_SEEDS=100 tells more.
In the orders of chance the operator is killed between its calls, too.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.router import pod as router_pod
from tests.unit.operator.builders import NAME, NAMESPACE
from tests.unit.operator.routed.kubernetes import SITES, is_router
from tests.unit.operator.routed.laws import Laws
from tests.unit.operator.routed.world import OTHER, RoutedWorld, killing

SEEDS = int(os.environ.get("STORY_SEEDS", "2"))
LONGEST = 900
"""Steps. Every story that ends at all ends long before."""

When = Callable[[RoutedWorld], bool]
Act = Callable[[RoutedWorld], None]


@dataclass(frozen=True)
class Story:
    name: str
    begin: Act
    chapters: tuple[tuple[When, Act], ...] = ()
    """When each is due, and what happens then. They come one after the other."""
    goal: When = lambda world: True
    """What is so in the end, and stays so when everything has come to rest."""
    trouble: float = 0.0
    """How often, at a step of chance, a pod or a router is killed."""
    forgetful: bool = False
    """The status is lost, again and again."""


# -- when


def serves(model: str, name: str = NAME) -> When:
    """It is Ready, with that model."""

    def when(world: RoutedWorld) -> bool:
        ready = world.condition("Ready", name)[0] == "True"
        return ready and world.status(name).get("version") == model

    return when


def phase(*phases: str, step: int | None = None) -> When:
    """The rollout stands there."""

    def when(world: RoutedWorld) -> bool:
        told = world.rollout()
        return told.get("phase") in phases and step in (None, told.get("step"))

    return when


def told(word: str) -> When:
    return lambda world: word in world.rollout().get("message", "")


def has(model: str, percent: int) -> When:
    """So much is written for it."""
    return lambda world: world.written().get(world.revision_of(model), 0) == percent * 100


def routed(model: str, percent: int) -> When:
    """Every router gives it so much."""
    return lambda world: (
        bool(world.routers())
        and all(
            world.envoy(pod).split.get(NAME, {}).get(world.revision_of(model), 0) == percent * 100
            for pod in world.routers()
        )
    )


def started(model: str) -> When:
    """Its first pod is there."""
    return lambda world: bool(world.pods(world.revision_of(model)))


def runs(model: str, pods: int) -> When:
    return lambda world: world.passing(world.revision_of(model)) == pods


def reason(word: str) -> When:
    return lambda world: world.condition("Ready")[1] == word


def pair(pods: int) -> When:
    return lambda world: sum(map(is_router, world.api.all(kinds.POD))) == pods


def no_pair(world: RoutedWorld) -> bool:
    left = [world.api.find(kind, NAMESPACE, router_pod.SHARED) for kind in _PAIR_KINDS]
    return not any(left) and world.api.find(kinds.CONFIG_MAP, NAMESPACE, SITES) is None


def direct(world: RoutedWorld) -> bool:
    return not world.behind_routers() and world.site() is None


def both(*each: When) -> When:
    return lambda world: all(when(world) for when in each)


def at_once(_: RoutedWorld) -> bool:
    return True


_PAIR_KINDS = (kinds.DEPLOYMENT, kinds.SERVICE, kinds.DISRUPTION_BUDGET)


# -- what happens

STEPS = ({"weight": 20}, {"weight": 50, "pause": "30s"})
PROMOTED = ({"weight": 25, "untilPromoted": True}, {"weight": 75, "untilPromoted": True})
REQUESTS = {"requests": {"cpu": "1000m"}}
ANALYSIS = {"maxErrorRate": "5%", "minRequests": 50, "warmUp": "0s", "timeout": "24h"}


def ask(model: str, replicas: int = 2, name: str = NAME, **more: object) -> Act:
    """Rolling."""
    return lambda world: world.ask(model, name, replicas=replicas, **more)


def ask_by_steps(model: str, steps: tuple[object, ...] = STEPS, n: int = 2, **more: object) -> Act:
    rollout = {"strategy": "Progressive", "steps": list(steps), **more}
    return lambda world: world.ask(model, replicas=n, rollout=rollout)


def ask_autoscaled(model: str, load: int, **more: object) -> Act:
    def act(world: RoutedWorld) -> None:
        world.load[NAME] = load
        bounds = {"minReplicas": 1, "maxReplicas": 8}
        world.ask(model, autoscaling=bounds, resources=REQUESTS, **more)

    return act


def ask_direct(model: str) -> Act:
    return ask(model, routing={"mode": "Direct"})


def say(verb: str, more: str = "") -> Act:
    return lambda world: world.say(verb, more)


def unpause(world: RoutedWorld) -> None:
    world.unsay(labels.PAUSE)


def scale(replicas: int) -> Act:
    return lambda world: world.scale(replicas)


def delete(kind: kinds.Kind, name: str) -> Act:
    return lambda world: world.delete(kind, name)


def delete_deployment(name: str = NAME) -> Act:
    return lambda world: world.delete_deployment(name)


def kill_stable(model: str) -> Act:
    """All of its pods, and they do not become ready again."""

    def act(world: RoutedWorld) -> None:
        for pod in world.pods(world.revision_of(model)):
            world.kill_pod(pod)

    return act


def forget(world: RoutedWorld) -> None:
    world.forget_status()


def nothing(_: RoutedWorld) -> None:
    pass


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
            (serves("v1"), kill_stable("v1")),
            (at_once, ask_by_steps("v2", PROMOTED)),
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
            # Nobody has promoted it meanwhile.
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
    Story(
        "away from the routers and at once back to them",
        ask("v1"),
        ((serves("v1"), ask_direct("v1")), (lambda w: not w.status() or True, ask("v1"))),
        both(serves("v1"), routed("v1", 100)),
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


def _orders() -> list[int | None]:
    again = os.environ.get("STORY_SEED")
    if again is not None:
        return [int(again)]
    return [None, 0, *(random.SystemRandom().randrange(1, 10**6) for _ in range(SEEDS))]


@pytest.mark.parametrize("seed", [pytest.param(s, id=f"seed {s}") for s in _orders()])
@pytest.mark.parametrize("story", [pytest.param(s, id=s.name) for s in STORIES])
async def test_story(story: Story, seed: int | None) -> None:
    await tell(story, None if seed is None else random.Random(f"{story.name} {seed}"))


async def tell(story: Story, chance: random.Random | None) -> None:
    world = RoutedWorld(chance)
    laws = Laws(world)
    world.api.watched.append(laws.before_write)
    if chance is not None:
        world.api.watched.append(lambda _: _meanwhile(world, chance))
        world.api.watched.append(killing(chance, 0.02))
    story.begin(world)
    due = list(story.chapters)
    for step in range(LONGEST):
        if due and due[0][0](world):
            due.pop(0)[1](world)
        await _step(world, laws, step)
        _trouble(world, story)
        if story.forgetful and step % 5 == 0:
            world.forget_status()
        if not due and story.goal(world):
            break
    else:
        pytest.fail(f"never arrives; {len(due)} chapters left; {world.status()}")
    await _comes_to_rest(world, laws, story)


async def _step(world: RoutedWorld, laws: Laws, step: int) -> None:
    if world.chance is None:
        for key in world.awake:
            await world.look(key)
            laws.after_step()
        for move in world.others:
            move()
            laws.after_step()
    elif step % 2:
        awake = world.awake
        for key in world.chance.sample(awake, world.chance.randint(0, len(awake))):
            await world.look(key)
            laws.after_step()
    else:
        for move in world.chance.sample(world.others, 4):
            move()
            laws.after_step()


def _meanwhile(world: RoutedWorld, chance: random.Random) -> None:
    """Between two calls of one look somebody else moves: the picture is old at once."""
    if chance.random() < 0.2:
        moves = (world.deployments, world.kubelets, world.endpoints, world.syncs, world.checks)
        chance.choice(moves)()


def _trouble(world: RoutedWorld, story: Story) -> None:
    if world.chance is None or world.chance.random() >= story.trouble:
        return
    pods = [pod for pod in world.api.all(kinds.POD) if pod["status"].get("conditions")]
    if pods:
        world.kill_pod(world.chance.choice(pods))


async def _comes_to_rest(world: RoutedWorld, laws: Laws, story: Story) -> None:
    world.chance = None
    world.api.watched = [laws.before_write]
    for _ in range(40):
        await _step(world, laws, 0)
    world.api.writes.clear()
    for key in world.keys:
        await world.look(key)
    assert world.api.writes == [], "a look at what is at rest writes nothing"
    assert story.goal(world), "what was reached is lost again"
