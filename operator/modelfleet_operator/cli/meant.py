"""Which rollout is a verb meant for?

Of several variants each may roll out. Where nobody names one, the verb is meant for the only
rollout to which it applies, and where it applies to several it is refused.
"""

from collections.abc import Callable

from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus, VariantStatus
from modelfleet_operator.cli.exits import Refusal
from modelfleet_operator.cli.picture import called, is_stale, variant
from modelfleet_operator.cli.variants import command, listed, named, several, who
from modelfleet_operator.plan.verbs import verbs
from modelfleet_operator.seen import Resource


def goes_on(rollout: RolloutStatus) -> bool:
    return not rollout.failed and rollout.phase is not Phase.ROLLING_BACK


def has_traffic(rollout: RolloutStatus) -> bool:
    return rollout.phase is not Phase.FAILED


def has_failed(rollout: RolloutStatus) -> bool:
    return bool(rollout.failed)


def under_way(
    resource: Resource, verb: str, only: str | None, applies: Callable[[RolloutStatus], bool]
) -> tuple[VariantStatus, RolloutStatus]:
    """The rollout that the verb is about: of several the one to which it `applies`.

    Whether it was said already is not asked: said twice, it would be meant for another the second
    time. Raises `Refusal` and `Missing`.
    """
    _looked_at(resource)
    if only is not None:
        told = named(resource, only)
        if told.rollout is None:
            raise Refusal(_nothing(resource, told, verb))
        return told, told.rollout
    rolling = [(each, each.rollout) for each in resource.status.variants if each.rollout]
    if not rolling:
        first = None if several(resource) else variant(resource)
        raise Refusal(_nothing(resource, first, verb))
    fitting = [(each, rollout) for each, rollout in rolling if applies(rollout)]
    meant = fitting or rolling
    if len(meant) > 1:
        raise Refusal(_several(resource, verb, [each for each, _ in meant]))
    return meant[0]


def _looked_at(resource: Resource) -> None:
    name = resource.name
    if resource.deleting:
        raise Refusal(f"{name} is being deleted")
    if not is_stale(resource):
        return
    observed = resource.status.observed_generation
    if observed is None:
        raise Refusal(
            f"the operator has not looked at {name} yet: say it again when it has, or find "
            f"out why it does not (`modelfleet status {name}`)"
        )
    raise Refusal(
        f"the status of {name} speaks of generation {observed}, and the spec is at "
        f"{resource.generation}: say it again when the operator has looked "
        f"(`modelfleet status {name}`)"
    )


def _several(resource: Resource, verb: str, meant: list[VariantStatus]) -> str:
    ways = [command(verb, resource, each) for each in meant]
    names = listed(each.name for each in meant)
    return (
        f"variants {names} of {resource.name} have a rollout each, so say which to {verb}: "
        f"{' or '.join(ways)}"
    )


def paused(resource: Resource, only: str | None) -> VariantStatus | None:
    if only is not None:
        return named(resource, only)
    if not several(resource):
        return variant(resource)
    variants = resource.status.variants
    said = [each for each in variants if verbs(resource, each.rollout).paused]
    stand = [each for each in variants if each.rollout and each.rollout.phase is Phase.PAUSED]
    meant = said or stand
    if len(meant) > 1:
        raise Refusal(_several(resource, "resume", meant))
    return meant[0] if meant else None


def _nothing(resource: Resource, told: VariantStatus | None, verb: str) -> str:
    """`told` is None where nothing is told of any variant, or where no one of several is meant."""
    name = resource.name
    begin = f"there is nothing to {verb}: no rollout of {who(resource, told)} is on its way"
    undo = command("undo", resource, told)
    instead = {
        "retry": f"`modelfleet restart {name}` starts the same content as a new revision",
        "abort": f"{undo} goes back to the revision before",
    }.get(verb, "a change of spec.model begins one")
    if told is None and several(resource):
        there = listed(each.name for each in resource.status.variants)
        return f"there is nothing to {verb}: no variant of {name} rolls out ({there}); {instead}"
    if told is None or told.stable is None:
        return f"{begin}, for no revision has served yet (`modelfleet status {name}` says why)"
    if told.candidate is not None and _direct(resource):
        return (
            f"there is nothing to {verb}: a plain Service moves from one revision to the next at "
            f"once; {undo} goes back to {called(told, told.stable)}, "
            "and routing.mode: Router with rollout.strategy: Progressive makes steps of it"
        )
    return f"{begin}, and {called(told, told.stable)} serves; {instead}"


def _direct(resource: Resource) -> bool:
    spec = resource.spec
    return isinstance(spec, Spec) and spec.routing.mode is RoutingMode.DIRECT
