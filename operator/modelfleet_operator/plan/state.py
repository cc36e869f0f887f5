"""How far has the wanted revision of a variant come, and how far have all of them?

Messages state the fact and the numbers. They hold nothing that ticks (no ages, no names of pods),
so that a status that says the same is the same, and is not written again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.plan.rollout import said
from modelfleet_operator.plan.rollout.progress import percent
from modelfleet_operator.plan.types import VariantPlan, Verdict
from modelfleet_operator.seen import Observed

ON_ITS_WAY = frozenset(
    {
        Reason.STARTING,
        Reason.SWITCHING,
        Reason.HOLDING,
        Reason.DRAINING,
        Reason.SCALING,
        Reason.ROLLING_BACK,
        Reason.PAUSED,
    }
)


@dataclass(frozen=True, slots=True)
class State:
    """How far it has come; a trouble's reason when it does not come further."""

    reason: Reason
    message: str

    @property
    def moving(self) -> bool:
        return self.reason in ON_ITS_WAY


def of_all(seen: Observed, verdict: Verdict) -> State:
    """Of several variants, the one that needs a look most: the first in trouble, then the first
    that is on its way, then whether each has its share."""
    states = [(plan, of_variant(seen, plan, verdict)) for plan in verdict.variants]
    if len(states) == 1:
        return states[0][1]
    for wanted in (_in_trouble, _moving):
        for plan, state in states:
            if wanted(state):
                return replace(state, message=f"variant {plan.name}: {state.message}")
    return _of_shares(verdict.variants) or State(Reason.SERVING, _together(verdict.variants))


def of_variant(seen: Observed, plan: VariantPlan, verdict: Verdict) -> State:
    if plan.leaving:
        return State(Reason.DRAINING, "it is in the spec no more, and leaves")
    if verdict.routed is not None:
        return State(*said.state(seen, plan, verdict.routed))
    return _direct(seen, plan, verdict)


def _in_trouble(state: State) -> bool:
    # One that is stopped is so on purpose.
    return state.reason not in (*ON_ITS_WAY, Reason.SERVING, Reason.STOPPED)


def _moving(state: State) -> bool:
    return state.moving


def _of_shares(plans: Sequence[VariantPlan]) -> State | None:
    """None: each has what it is asked to have."""
    for plan in plans:
        if plan.share != plan.standing.asked:
            has, asked = percent(plan.share), percent(plan.standing.asked)
            message = f"variant {plan.name} has {has} of the traffic, and is to have {asked}"
            return State(Reason.SWITCHING, message)
    return None


def _together(plans: Sequence[VariantPlan]) -> str:
    shares = [f"{plan.name} {percent(plan.share)}" for plan in plans]
    return f"{len(plans)} variants serve: {', '.join(shares)}"


def _direct(seen: Observed, plan: VariantPlan, verdict: Verdict) -> State:
    parts, switch = plan.revisions, verdict.switch
    wanted, count = parts.wanted, plan.replicas[parts.wanted.name]
    ready, least = seen.ready_pods(wanted.name), count.least
    behind = seen.address.ready.get(wanted.name, 0) if seen.address else 0
    others = sum(seen.address.present.values()) if seen.address else 0
    others -= seen.address.present.get(wanted.name, 0) if seen.address else 0
    name = said.called(wanted)
    if count.pods == 0:
        return State(Reason.STOPPED, "replicas is 0, nothing is served")
    trouble = seen.trouble(wanted.name)
    if ready < least and trouble is not None:
        return State(trouble.reason, f"{name}: {trouble.message}{_meanwhile(plan, verdict)}")
    if ready < least and switch.to == wanted.name and ready > 0 and parts.proven:
        return State(Reason.SCALING, f"{name}: {ready} of {least} pods are ready")
    if ready < least:
        return State(
            Reason.STARTING, f"{name}: {ready} of {least} pods are ready{_meanwhile(plan, verdict)}"
        )
    if switch.moved or behind == 0:
        return State(Reason.SWITCHING, f"{name} is ready, the address is moving to it")
    if others > 0:
        return State(Reason.DRAINING, f"{name} serves, the earlier revision is finishing")
    return State(Reason.SERVING, f"{name} serves")


def _meanwhile(plan: VariantPlan, verdict: Verdict) -> str:
    serving = plan.revisions.serving
    if serving is None or verdict.switch.to != serving.name or not plan.revisions.switching:
        return ""
    return f"; {said.called(serving)} goes on serving"
