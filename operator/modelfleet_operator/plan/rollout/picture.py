"""The picture of the cluster -> the numbers that a rollout depends on."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from modelfleet_operator.api.moments import read_time
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.rollout import Preview, Step, Strategy, Surge
from modelfleet_operator.api.routing import RoutingMode
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import Phase, RolloutStatus, VariantStatus
from modelfleet_operator.plan import gpus, replicas, variants
from modelfleet_operator.plan.documents import document_of
from modelfleet_operator.plan.rollout.facts import Arm, Facts, Judgement, Policy
from modelfleet_operator.plan.types import Revisions
from modelfleet_operator.plan.verbs import verbs
from modelfleet_operator.router import routes
from modelfleet_operator.seen import Observed, RouterPod

HOPELESS = frozenset(
    {
        Reason.MODEL_INVALID,
        Reason.WARM_UP_FAILED,
        Reason.UNSUPPORTED,
        Reason.DIGEST_MISMATCH,
        Reason.DOCUMENT_INVALID,
    }
)
"""Starting such a pod again changes nothing."""
_UNPLACED = Reason.INSUFFICIENT_ACCELERATORS
CRASHED = frozenset({Reason.CRASHED, Reason.OUT_OF_MEMORY})


def facts(
    seen: Observed, spec: Spec, parts: Revisions, judgement: Judgement, astray: str = ""
) -> Facts:
    wanted, routing = parts.wanted.name, seen.routing
    stable = parts.serving.name if parts.serving is not None and parts.proven else None
    variant = _told(seen, parts.wanted.variant)
    routers = asked_routers(seen)
    version = None if routing.site is None else routes.version(routing.site)
    lagging = tuple(r.name for r in routers if r.version != version)
    return Facts(
        now=seen.now,
        wanted=wanted,
        stable=stable,
        demand=_demand(seen, spec, parts, stable),
        arms={r.name: _arm(seen, r.name, routers, variant) for r in parts.kept},
        written=variants.within(seen, parts.wanted.variant, (r.name for r in parts.kept)),
        served=bool(routers) and version is not None and not lagging,
        lagging=lagging,
        policy=Policy(
            steps=steps_of(spec),
            full=spec.rollout.strategy is Strategy.BLUE_GREEN,
            surge=spec.rollout.surge,
            accelerated=spec.accelerator is not None,
            bake=spec.rollout.bake,
            on_failure=spec.rollout.on_failure,
            debug_for=spec.rollout.debug_for,
            progress_deadline=spec.rollout.progress_deadline,
            longest_request=_longest(spec, parts),
        ),
        places=gpus.places(seen, spec, parts),
        verbs=verbs(seen.resource, told(seen, parts)),
        judgement=judgement,
        astray=astray,
        told=told(seen, parts),
    )


GATEWAY_LAG = timedelta(seconds=30)
"""How long after a Gateway's controller has taken a route some proxy of it may serve the one
before: nobody tells. Of the slowest that is known (GKE), half a minute was seen."""


def _longest(spec: Spec, parts: Revisions) -> timedelta:
    """For how long something may be in flight to a revision that gets nothing any more, where that
    cannot be counted."""
    if spec.routing.mode is not RoutingMode.GATEWAY:
        return spec.runtime.timeout
    documents = [document_of(revision.template) for revision in parts.kept]
    times = [document.timeout for document in documents if document is not None]
    return max([spec.runtime.timeout, *times]) + GATEWAY_LAG


def facts_of_leaving(seen: Observed, spec: Spec, parts: Revisions) -> Facts:
    """Of a variant that the spec has no more: it goes on with the pods that it has, as long as it
    has a share."""
    found = facts(seen, spec, parts, Judgement())
    return replace(found, demand=max(1, found.arm(found.stable).asked), told=None)


def steps_of(spec: Spec) -> tuple[Step, ...]:
    """A preview is a step without a weight."""
    rollout = spec.rollout
    if rollout.strategy is not Strategy.BLUE_GREEN:
        return rollout.steps
    preview = rollout.preview or Preview()
    waits = preview.pause, preview.until_promoted
    return (Step.model_construct(weight=0, pause=waits[0], until_promoted=waits[1]),)


def told(seen: Observed, parts: Revisions) -> RolloutStatus | None:
    """The rollout as it was told last, if it is one to the wanted revision."""
    variant = _told(seen, parts.wanted.variant)
    found = None if variant is None else variant.rollout
    return found if found is not None and found.candidate == parts.wanted.name else None


def asked_routers(seen: Observed) -> tuple[RouterPod, ...]:
    """Those that count: they take requests, or still may, or can be asked what they do."""
    return tuple(
        r
        for r in seen.routing.routers
        if r.ready or not r.silent or (r.gone_by is not None and seen.now < r.gone_by)
    )


def _told(seen: Observed, variant: str) -> VariantStatus | None:
    return next((v for v in seen.resource.status.variants if v.name == variant), None)


def _demand(seen: Observed, spec: Spec, parts: Revisions, stable: str | None) -> int:
    """An autoscaled revision has as many pods as the traffic needs; while another takes over, it
    never gets fewer, because the floor of its autoscaler is this very number. At other times the
    floor is what the spec says."""
    least = replicas.asked(spec)
    if spec.autoscaling is None or stable is None or not _is_on_its_way(seen, parts, stable):
        return least
    has, found = seen.workloads.get(stable), told(seen, parts)
    if found is not None and found.surge in (Surge.IN_PLACE, Surge.RECREATE):
        # It gives up pods to the other: what it has says nothing any more.
        return min(max(least, found.demand), spec.autoscaling.max_replicas)
    return min(max(least, has.desired if has else 0), spec.autoscaling.max_replicas)


def _is_on_its_way(seen: Observed, parts: Revisions, stable: str) -> bool:
    """Another has a share of the traffic, or is about to get one."""
    site, found = seen.routing.site, told(seen, parts)
    mine = {r.name for r in parts.kept} - {stable}
    shared = site is not None and bool(site.routed & mine)
    failed = found is not None and found.phase is Phase.FAILED
    return shared or (parts.wanted.name != stable and not failed)


def _arm(
    seen: Observed, name: str, routers: tuple[RouterPod, ...], variant: VariantStatus | None
) -> Arm:
    workload, trouble = seen.workloads.get(name), seen.trouble(name)
    asked = 0 if workload is None else workload.desired
    there = [pod for pod in seen.pods if pod.revision == name and not pod.ended]
    staying = [pod for pod in there if not pod.leaving]
    lost = sum(pod.trouble is not None and pod.trouble.reason is _UNPLACED for pod in staying)
    return Arm(
        # Pods beyond what its Deployment asks for are about to go, ready or not.
        ready=min(seen.ready_pods(name), asked),
        reachable=min((r.reached.get(name, 0) for r in routers if not r.silent), default=0),
        lost=_lost(name, routers),
        asked=asked,
        present=len(there),
        leaving=len(there) - len(staying),
        unplaced=max(0, min(lost, asked - sum(pod.scheduled for pod in staying))),
        quiet=all(not r.silent and r.countable and _in_flight(r, name) == 0 for r in routers),
        idle_since=read_time(_idle(variant).get(name)),
        addressed=_addressed(seen, name),
        hopeless=trouble.message if trouble and trouble.reason in HOPELESS else "",
        crashed=trouble.message if trouble and trouble.reason in CRASHED else "",
    )


def _lost(name: str, routers: tuple[RouterPod, ...]) -> bool:
    taking = [router for router in routers if router.takes_requests]
    return bool(taking) and not any(router.reached.get(name) for router in taking)


def _addressed(seen: Observed, name: str) -> bool:
    """So it is before a deployment has come to the routers, and until everybody has heard of it."""
    address = seen.address
    return address is not None and (address.revision == name or address.present.get(name, 0) > 0)


def _in_flight(router: RouterPod, revision: str) -> int:
    counters = router.counters.get(revision)
    return 0 if counters is None else counters.in_flight


def _idle(told: VariantStatus | None) -> Mapping[str, str | None]:
    return {} if told is None else {r.name: r.idle_since for r in told.revisions}
