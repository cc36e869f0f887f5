"""Several variants behind routers: how they come, share the traffic, roll out, and leave."""

from collections.abc import Callable
from typing import Any

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.cli import verbs
from modelfleet_operator.cli.verbs import Saying
from modelfleet_operator.observe.kinds import read_resource
from modelfleet_operator.seen import Resource
from tests.unit.operator.builders import NAME
from tests.unit.operator.memory_api import merge_patched
from tests.unit.operator.routed.words import (
    PROMOTED,
    Act,
    Story,
    When,
    ask,
    ask_direct,
    both,
    forget,
    reason,
    routed,
    runs,
    serves,
    sicken,
)
from tests.unit.operator.routed.world import RoutedWorld

BY_STEPS = {"strategy": "Progressive", "steps": list(PROMOTED)}


def arm(name: str, weight: int, model: str, **more: Any) -> dict[str, Any]:
    source = {"uri": f"file:///models/{model}", "version": model}
    return {"name": name, "weight": weight, "model": source, **more}


def ask_arms(*arms: dict[str, Any], **more: Any) -> Act:
    routing = {"mode": "Router", **more.pop("routing", {})}
    return lambda world: world.ask("v1", variants=list(arms), routing=routing, **more)


def ab(control: int, *, a: str = "v1", b: str = "v2", **more: Any) -> Act:
    return ask_arms(arm("control", control, a), arm("challenger", 100 - control, b), **more)


def holds(variant: str, step: int) -> When:
    def when(world: RoutedWorld) -> bool:
        told = world.rollout(variant=variant)
        return (told.get("phase"), told.get("step")) == ("Holding", step)

    return when


def failed(variant: str) -> When:
    return lambda world: world.rollout(variant=variant).get("phase") == "Failed"


def say_of(variant: str, verb: str, more: str = "") -> Act:
    return lambda world: world.say(verb, more, variant=variant)


def phase(variant: str, word: str) -> When:
    return lambda world: world.rollout(variant=variant).get("phase") == word


def typed(*said: tuple[Callable[[Resource, str], Saying], str]) -> Act:
    """As `modelfleet VERB NAME --variant VARIANT` does it, one after the other."""

    def act(world: RoutedWorld) -> None:
        for verb, variant in said:
            found = world.resource(NAME)
            assert found is not None
            written = {"annotations": verb(read_resource(found), variant).annotations}
            world.api.put(kinds.MODEL_DEPLOYMENT, merge_patched(found, {"metadata": written}))

    return act


def matched(model: str) -> When:
    def when(world: RoutedWorld) -> bool:
        site = world.site()
        found = [each for match in site.matches for each in match.to] if site else []
        return {each.revision for each in found} == {world.revision_of(model)}

    return when


def mirrored(model: str, parts: int) -> When:
    def when(world: RoutedWorld) -> bool:
        site = world.site()
        found = {m.revision: m.parts for m in site.mirrors} if site else {}
        return found == {world.revision_of(model): parts}

    return when


def split(**percent: int) -> When:
    """Every router gives them so much; the others nothing."""
    return both(*(routed(model, parts) for model, parts in percent.items()))


def concluded(word: str, ratio: str = "Ok") -> When:
    """So much can be concluded of the variants, and whether they got their shares."""

    def when(world: RoutedWorld) -> bool:
        found = world.status().get("experiment", {})
        told = found.get("sampleRatio", {}).get("verdict")
        return word in found.get("message", "") and told == ratio

    return when


STORIES = (
    Story("two variants from the beginning", ab(80), (), both(
        serves("v1, v2"), split(v1=80, v2=20), runs("v1", 2), runs("v2", 2)
    )),
    Story(
        "a challenger comes beside what serves",
        ask("v1"),
        ((serves("v1"), ask_arms(arm("default", 90, "v1"), arm("challenger", 10, "v2"))),),
        both(serves("v1, v2"), split(v1=90, v2=10)),
    ),
    Story(
        "other names: the one without a name leaves",
        ask("v0"),
        ((serves("v0"), ab(50)),),
        both(serves("v1, v2"), split(v1=50, v2=50), runs("v0", 0)),
    ),
    Story(
        "from a plain Service at once",
        ask_direct("v0"),
        ((serves("v0"), ab(50)),),
        both(serves("v1, v2"), split(v1=50, v2=50), runs("v0", 0)),
    ),
    Story(
        "the winner becomes the only one",
        ab(50),
        ((serves("v1, v2"), ask("v2")),),
        both(serves("v2"), split(v2=100), runs("v1", 0)),
    ),
    Story(
        "back to a plain Service at once",
        ab(50),
        ((serves("v1, v2"), ask_direct("v3")),),
        both(serves("v3"), runs("v1", 0), runs("v2", 0)),
    ),
    Story(
        "the weights change, and change back",
        ab(80),
        ((serves("v1, v2"), ab(20)), (split(v1=20, v2=80), ab(80))),
        both(serves("v1, v2"), split(v1=80, v2=20)),
    ),
    Story(
        "a challenger that never starts",
        ab(50, b="broken"),
        (),
        both(split(v1=100), runs("v1", 2), reason("ModelNotFound")),
    ),
    Story(
        "a challenger that dies lends its share",
        ab(50),
        ((serves("v1, v2"), sicken("v2")),),
        split(v1=100),
    ),
    Story(
        "one rolls out, the other's share stands",
        ab(80, rollout=BY_STEPS),
        (
            (serves("v1, v2"), ab(80, b="v3", rollout=BY_STEPS)),
            (both(holds("challenger", 0), split(v1=80, v2=15, v3=5)),
             say_of("challenger", labels.PROMOTE)),
            (both(holds("challenger", 1), split(v1=80, v2=5, v3=15)),
             say_of("challenger", labels.PROMOTE)),
        ),
        both(serves("v1, v3"), split(v1=80, v3=20), runs("v2", 0)),
    ),
    Story(
        "a challenger that fails is told, also when it has rolled out to another that does",
        ab(50, b="failing2"),
        (
            (concluded("challenger has more errors than control"), ab(50, b="failing3")),
            (both(serves("v1, failing3"), concluded("challenger has more errors than control")),
             ab(80, b="failing3")),
        ),
        both(
            split(v1=80, failing3=20),
            concluded("challenger has more errors than control"),
        ),
    ),
    Story(
        "both roll out, one is aborted",
        ab(80, rollout=BY_STEPS),
        (
            (serves("v1, v2"), ab(80, a="v3", b="v4", rollout=BY_STEPS)),
            (both(holds("control", 0), holds("challenger", 0)),
             say_of("challenger", labels.ABORT)),
            (failed("challenger"), say_of("control", labels.PROMOTE, "all")),
        ),
        both(split(v3=80, v2=20), runs("v4", 0), runs("v1", 0)),
    ),
    Story(
        "both are paused, one goes on and one is aborted",
        ab(80, rollout=BY_STEPS),
        (
            (serves("v1, v2"), ab(80, a="v3", b="v4", rollout=BY_STEPS)),
            (both(holds("control", 0), holds("challenger", 0)),
             typed((verbs.pause, "control"), (verbs.pause, "challenger"))),
            (both(phase("control", "Paused"), phase("challenger", "Paused")),
             typed((verbs.resume, "challenger"))),
            (both(phase("control", "Paused"), holds("challenger", 0)),
             typed((verbs.promote, "challenger"), (verbs.abort, "control"))),
            (both(failed("control"), holds("challenger", 1)),
             typed((verbs.promote, "challenger"), (verbs.retry, "control"))),
            # The pause was of the attempt before.
            (both(holds("control", 0), split(v4=20)),
             typed((verbs.promote, "control"))),
            (holds("control", 1), typed((verbs.abort, "control"))),
        ),
        both(split(v1=80, v4=20), runs("v2", 0), runs("v3", 0)),
    ),
    Story(
        "both roll out while pods and routers die",
        ab(50),
        ((serves("v1, v2"), ab(50, a="v3", b="v4")), (serves("v3, v4"), ab(20, a="v3", b="v4"))),
        both(serves("v3, v4"), split(v3=20, v4=80), runs("v1", 0), runs("v2", 0)),
        trouble=0.05,
    ),
    Story(
        "both roll out while the status is lost again and again",
        ab(50),
        ((serves("v1, v2"), ab(50, a="v3", b="v4")),),
        both(serves("v3, v4"), split(v3=50, v4=50), runs("v1", 0), runs("v2", 0)),
        forgetful=True,
    ),
    Story(
        "the weights change in the middle of a rollout",
        ab(80, rollout=BY_STEPS),
        (
            (serves("v1, v2"), ab(80, b="v3", rollout=BY_STEPS)),
            (holds("challenger", 0), ab(40, b="v3", rollout=BY_STEPS)),
            (split(v1=40, v2=45, v3=15), forget),
            (holds("challenger", 0), say_of("challenger", labels.PROMOTE, "all")),
        ),
        both(serves("v1, v3"), split(v1=40, v3=60), runs("v2", 0)),
    ),
    Story(
        "three, and one is taken out",
        ask_arms(arm("a", 50, "v1"), arm("b", 30, "v2"), arm("c", 20, "v3")),
        ((serves("v1, v2, v3"), ask_arms(arm("a", 60, "v1"), arm("c", 40, "v3"))),),
        both(serves("v1, v3"), split(v1=60, v3=40), runs("v2", 0)),
    ),
    Story(
        "a shadow that gets copies, and one that is asked for by name",
        ask_arms(
            arm("control", 100, "v1"),
            arm("named", 0, "v2", replicas=1),
            arm("shadow", 0, "v3", replicas=1),
            routing={
                "matches": [
                    {"headers": [{"name": "X-Variant", "value": "named"}], "variant": "named"}
                ],
                "mirror": [{"variant": "shadow", "percent": 10}],
            },
        ),
        (),
        both(serves("v1, v2, v3"), split(v1=100), matched("v2"), mirrored("v3", 1000),
             runs("v2", 1), runs("v3", 1)),
    ),
    Story(
        "a shadow dies, and nobody notices",
        ask_arms(
            arm("control", 100, "v1"),
            arm("shadow", 0, "v2"),
            routing={"mirror": [{"variant": "shadow"}]},
        ),
        ((serves("v1, v2"), sicken("v2")),),
        both(split(v1=100), runs("v2", 0)),
    ),
)  # fmt: skip
