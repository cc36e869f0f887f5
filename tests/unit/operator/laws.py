"""What must hold in every story, at every write and after every look."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Status
from modelfleet_operator.children.all_of import all_of
from modelfleet_operator.cluster.routers import RouterApi
from modelfleet_operator.observe.gather import observe
from modelfleet_operator.plan import replicas
from modelfleet_operator.plan.decide import decide
from modelfleet_operator.seen import Observed
from tests.unit.operator.builders import DEFAULTS, NAME, NAMESPACE
from tests.unit.operator.memory_api import Write
from tests.unit.operator.world import World, is_leaving


class Broken(AssertionError):
    """A law that did not hold."""


@dataclass
class Laws:
    """Watches one world. `before_write` sees it as it is when the operator's call arrives."""

    world: World
    answered: bool = False
    weakened: bool = False

    def before_write(self, write: Write) -> None:
        for law in AT_WRITES:
            law(self.world, write)

    def after_step(self) -> None:
        """Whoever moved: what answered goes on answering, unless somebody took it away."""
        world, now = self.world, self.world.answering()
        if self.answered and not now and not world.taken:
            raise Broken("nothing answers any more, and nobody took it away")
        self.answered = now > 0
        if world.taken:  # until what was taken away has come back whole
            asked = replicas.asked(_spec(world)) if world.resource else 0
            # Pods that have lost their Deployment answer still, and are about to go.
            whole = (
                world.selected is not None
                and world.desired(world.selected) is not None
                and 0 < asked <= min(now, world.ready(world.selected))
            )
            world.taken = not (self.weakened and whole)
            self.weakened = not whole

    async def before_look(self) -> None:
        world = self.world
        seen = await observe(world.api, RouterApi(), NAMESPACE, NAME, world.now)
        if seen is not None:
            _one_picture_gives_one_answer(seen)
            _the_status_is_no_memory_of_the_children(seen)


def _spec(world: World) -> Spec:
    assert world.resource is not None
    return Spec.model_validate(world.resource["spec"])


def what_is_behind_the_address_is_not_scaled_below_what_is_asked(w: World, write: Write) -> None:
    if write.verb != "scale" or not w.endpoints_of(write.name):
        return
    number = write.body["spec"]["replicas"]
    if number < min(w.desired(write.name) or 0, replicas.asked(_spec(w))):
        raise Broken(f"{write} to {number} while it is behind the address")


def what_runs_or_serves_is_not_pruned(w: World, write: Write) -> None:
    if write.verb != "delete" or write.kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
        return
    running = [p for p in w.pods(write.name) if not is_leaving(p)]
    if write.name in (NAME, w.selected) or w.endpoints_of(write.name) or running:
        raise Broken(f"{write} while it serves or has pods")


def a_proven_revision_is_left_only_for_one_with_enough_ready_pods(w: World, write: Write) -> None:
    if (write.kind, write.name) != (kinds.SERVICE.kind, NAME) or w.selected is None:
        return
    before, to = w.selected, write.body["spec"]["selector"][labels.REVISION]
    told = [v.get("stable") for v in (w.resource or {}).get("status", {}).get("variants", ())]
    if to == before or not (w.ready(before) or before in told):
        return
    spec = _spec(w)
    need = replicas.asked(spec)
    if spec.autoscaling is not None:
        need = min(max(need, w.desired(before) or 0), spec.autoscaling.max_replicas)
    if w.ready(to) < need:
        raise Broken(f"the address moves to {w.ready(to)} ready pods where {need} are needed")


def the_number_of_pods_is_never_applied(_: World, write: Write) -> None:
    if (write.verb, write.kind) == ("apply", "Deployment") and "replicas" in write.body["spec"]:
        raise Broken(f"{write} with a number of pods")


AT_WRITES: tuple[Callable[[World, Write], None], ...] = (
    what_is_behind_the_address_is_not_scaled_below_what_is_asked,
    what_runs_or_serves_is_not_pruned,
    a_proven_revision_is_left_only_for_one_with_enough_ready_pods,
    the_number_of_pods_is_never_applied,
)


def _one_picture_gives_one_answer(seen: Observed) -> None:
    if decide(seen, DEFAULTS) != decide(seen, DEFAULTS):
        raise Broken("deciding twice on one picture gave two answers")


def _the_status_is_no_memory_of_the_children(seen: Observed) -> None:
    """But for one thing: that a revision whose pods are all away has been ready before."""
    forgetful = replace(seen, resource=replace(seen.resource, status=Status()))
    one, other = decide(seen, DEFAULTS).verdict, decide(forgetful, DEFAULTS).verdict
    assert one is not None
    assert other is not None
    (planned,) = one.variants
    serving = planned.revisions.serving
    if serving is not None and planned.revisions.proven and not seen.ready_pods(serving.name):
        return
    if all_of(seen, one) != all_of(forgetful, other) or one.replicas != other.replicas:
        raise Broken("forgetting the status changed a child")
