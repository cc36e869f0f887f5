"""Whole stories: the real operator in a world that moves in any order.

Each is told in a fixed order, with seed 0, and with seeds that differ from run to run and stand in
the test's name. STORY_SEED=n tells all of them with that seed again; STORY_SEEDS=100 tells more.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from modelfleet_operator import kinds
from tests.unit.operator.builders import NAME
from tests.unit.operator.laws import Laws
from tests.unit.operator.world import World

SEEDS = int(os.environ.get("STORY_SEEDS", "6"))
LONGEST = 800
"""Steps. Every story that ends at all ends long before."""

When = Callable[[World], bool]
Act = Callable[[World], None]


@dataclass(frozen=True)
class Story:
    name: str
    begin: Act
    chapters: tuple[tuple[When, Act], ...] = ()
    """When each is due, and what happens then. They come one after the other."""
    goal: When = lambda world: True
    """What is so in the end, beside a resource that is Ready and in which nothing moves."""
    forgetful: bool = False
    """The status is lost, again and again."""


def serves(model: str) -> When:
    """It is Ready, with that model."""

    def when(world: World) -> bool:
        return world.condition("Ready")[0] == "True" and world.status.get("version") == model

    return when


def stuck(world: World) -> bool:
    return world.condition("Ready") == ("False", "ModelNotFound")


def stopped(world: World) -> bool:
    return world.condition("Ready")[1] == "Stopped" and not world.pods()


def started(model: str) -> When:
    """Its first pod is there."""
    return lambda world: bool(world.pods(world.revision_of(model) or "none"))


def selected(model: str) -> When:
    """The address has just moved to it."""
    return lambda world: world.selected == (world.revision_of(model) or "none")


def told_to_shrink(model: str) -> When:
    """Its pods may be there and ready still."""
    return lambda world: world.desired(world.revision_of(model) or "none") == 0


def runs(model: str, pods: int) -> When:
    return lambda world: world.ready(world.revision_of(model) or "none") == pods


def both(*each: When) -> When:
    return lambda world: all(when(world) for when in each)


def at_once(_: World) -> bool:
    return True


def ask(model: str, replicas: int = 2, history: int = 5) -> Act:
    return lambda world: world.ask(model, replicas=replicas, rollout={"historyLimit": history})


def ask_autoscaled(model: str, load: int, least: int = 1) -> Act:
    def act(world: World) -> None:
        world.load = load
        world.ask_autoscaled(model, least)

    return act


def scale(replicas: int) -> Act:
    return lambda world: world.scale(replicas)


def delete(kind: kinds.Kind, model: str) -> Act:
    """The child of that model's revision; of no model, the address."""
    return lambda world: world.delete(kind, world.revision_of(model) or NAME)


def recreate(world: World) -> None:
    world.delete(kinds.MODEL_DEPLOYMENT, NAME)
    world.ask("v1", replicas=2)


def revisions(number: int) -> When:
    return lambda world: len(world.api.all(kinds.CONTROLLER_REVISION)) == number


def _deleted(kind: kinds.Kind, model: str, what: str) -> tuple[Story, Story]:
    """By hand: while nothing else happens, and while a broken change is stuck."""
    return (
        Story(
            f"{what} is deleted",
            ask("v1"),
            ((serves("v1"), delete(kind, model)),),
            both(serves("v1"), runs("v1", 2)),
        ),
        Story(
            f"{what} is deleted during a stuck change",
            ask("v1"),
            (
                (serves("v1"), ask("broken")),
                (stuck, delete(kind, model)),
                (both(runs("v1", 2), selected("v1")), ask("v3")),
            ),
            serves("v3"),
        ),
    )


REQUESTS = {"requests": {"cpu": "1000m"}}

STORIES = (
    Story("the first deployment", ask("v1"), (), both(serves("v1"), runs("v1", 2))),
    Story(
        "a change of model",
        ask("v1"),
        ((serves("v1"), ask("v2")),),
        both(serves("v2"), runs("v1", 0)),
    ),
    Story(
        "a change while the status is lost again and again",
        ask("v1"),
        ((serves("v1"), ask("v2")), (serves("v2"), ask("v1"))),
        both(serves("v1"), runs("v2", 0)),
        forgetful=True,
    ),
    Story(
        "a broken change, then a good one",
        ask("v1"),
        ((serves("v1"), ask("broken")), (both(stuck, selected("v1")), ask("v3"))),
        both(serves("v3"), revisions(3)),
    ),
    Story(
        "a broken first one, then a good one", ask("broken"), ((stuck, ask("v2")),), serves("v2")
    ),
    Story(
        "a change during a change",
        ask("v1"),
        ((serves("v1"), ask("v2")), (started("v2"), ask("v3"))),
        both(serves("v3"), runs("v2", 0)),
    ),
    Story(
        "a change just when the address has moved",
        ask("v1"),
        ((serves("v1"), ask("v2")), (selected("v2"), ask("v3"))),
        serves("v3"),
    ),
    Story(
        "going back",
        ask("v1"),
        ((serves("v1"), ask("v2")), (serves("v2"), ask("v1"))),
        both(serves("v1"), revisions(2)),
    ),
    Story(
        "going back just when the address has moved",
        ask("v1"),
        ((serves("v1"), ask("v2")), (selected("v2"), ask("v1"))),
        serves("v1"),
    ),
    Story(
        "going back just when the earlier one was told to shrink",
        ask("v1"),
        ((serves("v1"), ask("v2")), (told_to_shrink("v1"), ask("v1"))),
        serves("v1"),
    ),
    Story(
        "going back from a broken change",
        ask("v1"),
        ((serves("v1"), ask("broken")), (stuck, ask("v1"))),
        both(serves("v1"), runs("broken", 0)),
    ),
    Story(
        "more pods during a stuck change",
        ask("v1"),
        ((serves("v1"), ask("broken")), (stuck, scale(4)), (runs("v1", 4), ask("v3", 4))),
        both(serves("v3"), runs("v3", 4)),
    ),
    Story(
        "fewer pods during a change",
        ask("v1", 4),
        ((serves("v1"), ask("v2", 4)), (started("v2"), scale(1))),
        both(serves("v2"), runs("v2", 1)),
    ),
    Story(
        "no pods, and back",
        ask("v1"),
        ((serves("v1"), scale(0)), (stopped, scale(3))),
        both(serves("v1"), runs("v1", 3)),
    ),
    Story(
        "another model while there are no pods",
        ask("v1", 0),
        ((stopped, ask("v2", 0)), (stopped, scale(2))),
        serves("v2"),
    ),
    Story(
        "a change under load, autoscaled",
        ask_autoscaled("v1", load=5),
        ((both(serves("v1"), runs("v1", 5)), ask_autoscaled("v2", load=5)),),
        both(serves("v2"), runs("v2", 5), runs("v1", 0)),
    ),
    Story(
        "going back, autoscaled",
        ask_autoscaled("v1", load=3),
        (
            (both(serves("v1"), runs("v1", 3)), ask_autoscaled("v2", load=3)),
            (both(serves("v2"), runs("v1", 0)), ask_autoscaled("v1", load=3)),
        ),
        both(serves("v1"), runs("v1", 3), runs("v2", 0)),
    ),
    Story(
        "from a number to an autoscaler and back",
        ask_autoscaled("v1", load=2),
        (
            (runs("v1", 2), lambda w: w.ask("v1", replicas=3, resources=REQUESTS)),
            (runs("v1", 3), ask_autoscaled("v1", load=4)),
            (runs("v1", 4), lambda w: w.ask("v1", replicas=2, resources=REQUESTS)),
        ),
        both(serves("v1"), runs("v1", 2), lambda w: not w.api.all(kinds.AUTOSCALER)),
    ),
    Story(
        "from no pods to an autoscaler",
        lambda w: w.ask("v1", replicas=0, resources=REQUESTS),
        ((stopped, ask_autoscaled("v1", load=3)),),
        both(serves("v1"), runs("v1", 3)),
    ),
    Story(
        "a history of one",
        ask("v1", history=1),
        tuple((serves(f"v{n}"), ask(f"v{n + 1}", history=1)) for n in range(1, 5)),
        both(serves("v5"), revisions(2)),
    ),
    Story(
        "no history",
        ask("v1", history=0),
        ((serves("v1"), ask("v2", history=0)), (started("v2"), ask("v3", history=0))),
        both(serves("v3"), revisions(1)),
    ),
    Story(
        "deleted, and made again under the same name",
        ask("v1"),
        ((serves("v1"), recreate),),
        both(serves("v1"), runs("v1", 2)),
    ),
    *_deleted(kinds.SERVICE, "none", "the address"),
    *_deleted(kinds.DEPLOYMENT, "v1", "a Deployment"),
    *_deleted(kinds.CONTROLLER_REVISION, "v1", "a revision"),
    *_deleted(kinds.DISRUPTION_BUDGET, "v1", "a disruption budget"),
)


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
    world = World(chance)
    laws = Laws(world)
    world.api.watched.append(laws.before_write)
    if chance is not None:
        world.api.watched.append(lambda _: _meanwhile(world, chance))
    story.begin(world)
    due = list(story.chapters)
    for step in range(LONGEST):
        if due and due[0][0](world):
            due.pop(0)[1](world)
        await _step(world, laws, step)
        if story.forgetful and step % 5 == 0:
            world.forget_status()
        if not due and story.goal(world) and world.condition("Ready")[0] == "True":
            break
    else:
        pytest.fail(f"never arrives; {len(due)} chapters left; {world.status}")
    await _comes_to_rest(world, laws, story)


async def _step(world: World, laws: Laws, step: int) -> None:
    if world.chance is None:
        await _look(world, laws)
        for move in world.others:
            move()
            laws.after_step()
        return
    if step % 2:
        await _look(world, laws)
    else:
        for move in world.chance.sample(world.others, 3):
            move()
            laws.after_step()


async def _look(world: World, laws: Laws) -> None:
    """As the loop does it: not before something has changed."""
    if not world.woken:
        return
    if world.chance is None or world.chance.random() < 0.2:
        await laws.before_look()
    await world.look()
    laws.after_step()


def _meanwhile(world: World, chance: random.Random) -> None:
    """Between two calls of one look somebody else moves: the picture is old at once."""
    if chance.random() < 0.2:
        chance.choice((world.deployments, world.kubelets, world.endpoints))()


async def _comes_to_rest(world: World, laws: Laws, story: Story) -> None:
    world.chance = None
    world.api.watched = [laws.before_write]
    for _ in range(12):
        await _step(world, laws, 0)
    world.api.writes.clear()
    await laws.before_look()
    await world.look()
    assert world.api.writes == [], "a look at a healthy resource writes nothing"
    assert story.goal(world), "what was reached is lost again"
