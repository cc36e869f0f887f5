"""The words in which stories are told: when something is due, and what happens then."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.children import routing
from modelfleet_operator.router import pod as router_pod
from tests.unit.operator.builders import NAME, NAMESPACE
from tests.unit.operator.routed.kubernetes import SITES, is_router
from tests.unit.operator.routed.world import RoutedWorld

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


def available(world: RoutedWorld) -> bool:
    return world.condition("Available")[0] == "True"


def no_pair(world: RoutedWorld) -> bool:
    left = [world.api.find(kind, NAMESPACE, router_pod.SHARED) for kind in _PAIR_KINDS]
    return not any(left) and world.api.find(kinds.CONFIG_MAP, NAMESPACE, SITES) is None


def direct(world: RoutedWorld) -> bool:
    return not world.behind_routers() and world.site() is None


def parting(world: RoutedWorld) -> bool:
    """Its address has left the routers, which still know it."""
    told = world.api.find(kinds.CONFIG_MAP, NAMESPACE, routing.name_of(NAME))
    return told is not None and labels.LEAVING in told["metadata"].get("annotations", {})


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


def ask(model: str, replicas: int = 2, name: str = NAME, **more: Any) -> Act:
    """Rolling."""
    return lambda world: world.ask(model, name, replicas=replicas, **more)


def ask_by_steps(model: str, steps: tuple[object, ...] = STEPS, n: int = 2, **more: Any) -> Act:
    rollout = {"strategy": "Progressive", "steps": list(steps), **more}
    return lambda world: world.ask(model, replicas=n, rollout=rollout)


def ask_blue_green(model: str, **more: Any) -> Act:
    rollout = {"strategy": "BlueGreen", **more}
    return lambda world: world.ask(model, replicas=3, rollout=rollout)


def ask_autoscaled(model: str, load: int, **more: Any) -> Act:
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


def sicken(model: str) -> Act:
    """All of its pods are gone, and others do not become ready."""

    def act(world: RoutedWorld) -> None:
        world.sick.add(model)
        for pod in world.pods(world.revision_of(model)):
            world.kill_pod(pod)

    return act


def kill_routers(world: RoutedWorld) -> None:
    for pod in world.routers():
        world.kill_pod(pod)


def forget(world: RoutedWorld) -> None:
    world.forget_status()


def nothing(_: RoutedWorld) -> None:
    pass
