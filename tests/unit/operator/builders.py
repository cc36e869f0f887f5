"""Everything that a case needs, with the rest filled in, so that a case reads as a sentence.

    seen(spec(model="v2", replicas=3), revisions=[A], pods=[pod(A), pod(A, ready=False)])

Pictures are built here as `observe` would read them; raw JSON as the API server would send it is
built by `raw_*`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelfleet_contract import ModelSource
from modelfleet_operator.api import labels
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import RolloutStatus, Status, VariantStatus
from modelfleet_operator.plan import replicas, revisions, routing, traffic, variants
from modelfleet_operator.plan.pod_template import pod_template
from modelfleet_operator.plan.revisions import revision_name
from modelfleet_operator.plan.rollout.progress import Progress
from modelfleet_operator.plan.types import Defaults, Revisions, VariantPlan, Verdict
from modelfleet_operator.router import routes
from modelfleet_operator.seen import (
    Address,
    InvalidSpec,
    Json,
    Observed,
    Pod,
    Resource,
    Revision,
    RouterPod,
    Routing,
    Trouble,
    Workload,
)

NAME, NAMESPACE, UID = "digits", "team-a", "uid-of-digits"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DEFAULTS = Defaults(runtime_image="runtime:1", runtime_torch_image="runtime-torch:1")


def spec_json(model: str = "v1", **more: Any) -> Json:
    """A spec as a person writes it; `model` is both the file's name and the version."""
    source = {"uri": f"file:///models/{model}", "version": model}
    return {"model": source, **more}


def spec(model: str = "v1", **more: Any) -> Spec:
    return Spec.model_validate(spec_json(model, **more))


def autoscaled(model: str = "v1", least: int = 1, most: int = 8) -> Spec:
    return spec(
        model,
        autoscaling={"minReplicas": least, "maxReplicas": most},
        resources={"requests": {"cpu": "1"}},
    )


def resource(
    wanted: Spec | InvalidSpec | None = None,
    *,
    status: Status | None = None,
    name: str = NAME,
    generation: int = 1,
) -> Resource:
    return Resource(
        name=name,
        namespace=NAMESPACE,
        uid=UID,
        generation=generation,
        spec=spec() if wanted is None else wanted,
        status=Status() if status is None else status,
    )


def revision(of: Spec | str = "v1", number: int = 1) -> Revision:
    """The revision that such a spec describes."""
    wanted = spec(of) if isinstance(of, str) else of
    name = revision_name(NAME, labels.DEFAULT_VARIANT, wanted)
    template = pod_template(resource(wanted), name, labels.DEFAULT_VARIANT, wanted, DEFAULTS)
    return Revision(name, number, labels.DEFAULT_VARIANT, wanted.model, template)


def pod(
    of: Revision,
    name: str = "",
    *,
    ready: bool = True,
    leaving: bool = False,
    scheduled: bool = True,
    trouble: Trouble | None = None,
) -> Pod:
    return Pod(
        name or f"{of.name}-a",
        of.name,
        ready=ready and trouble is None,
        leaving=leaving,
        scheduled=scheduled,
        trouble=trouble,
    )


def pods(of: Revision, ready: int, *, of_all: int | None = None) -> list[Pod]:
    """`ready` pods that are, and the rest up to `of_all` that are not."""
    count = ready if of_all is None else of_all
    return [pod(of, f"{of.name}-{i}", ready=i < ready) for i in range(count)]


def trouble(reason: Reason = Reason.MODEL_INVALID, message: str = "no such file") -> Trouble:
    return Trouble(reason, message)


def address(
    of: Revision | None,
    *,
    ready: Mapping[str, int] | None = None,
    present: Mapping[str, int] | None = None,
) -> Address:
    """The stable Service on `of`. `present` holds at least what is ready."""
    behind = dict(ready or {})
    return Address(of.name if of else None, behind, {**behind, **(present or {})})


def seen(
    wanted: Spec | InvalidSpec | None = None,
    *,
    revisions: Iterable[Revision] = (),
    pods: Iterable[Pod] = (),
    address: Address | None = None,
    desired: Mapping[str, int] | None = None,
    status: Status | None = None,
    after: timedelta = timedelta(0),
    generation: int = 1,
    refused: Mapping[str, Trouble] | None = None,
) -> Observed:
    """A picture. Each revision has a Deployment, with as many pods as there are or as `desired`."""
    held = tuple(sorted(revisions, key=lambda r: r.number))
    running = tuple(pods)
    counts = {r.name: sum(p.revision == r.name for p in running) for r in held}
    counts |= desired or {}
    return Observed(
        now=NOW + after,
        resource=resource(wanted, status=status, generation=generation),
        revisions=held,
        workloads={
            name: Workload(name, count, (refused or {}).get(name)) for name, count in counts.items()
        },
        pods=running,
        address=address,
    )


def healthy(wanted: Spec | None = None, *, status: Status | None = None) -> Observed:
    """The goal: one revision, all its pods ready and behind the address."""
    asked = spec() if wanted is None else wanted
    one, count = revision(asked), replicas.asked(asked)
    return seen(
        asked,
        revisions=[one],
        pods=pods(one, ready=count),
        address=address(one, ready={one.name: count}),
        status=status,
    )


def routed(
    picture: Observed,
    weights: Mapping[str, int] | None = None,
    *,
    refused: str = "",
    behind: bool = False,
    told: RolloutStatus | None = None,
    stable: Revision | None = None,
) -> Observed:
    """The picture with a pair of routers, which serve these weights (parts of 10000 by revision)
    and reach every ready pod. `behind`: one of them serves something else.

    The spec has to ask for routers. `told` and `stable` go into the status.
    """
    asked = picture.resource.spec
    assert isinstance(asked, Spec)
    site = None
    if weights is not None:
        parts = revisions.decide(picture, asked, DEFAULTS)
        steps = Progress(stable.name if stable else None, weights, {})
        (only,) = variants.asked(asked)
        plan = VariantPlan(only, parts, {}, steps)
        site, _ = routing.decide(picture, asked, [plan], DEFAULTS)
    served = "" if site is None else routes.version(site)
    reached = {r.name: picture.ready_pods(r.name) for r in picture.revisions}
    pair = tuple(
        RouterPod(
            f"router-{n}", ready=True, version="" if behind and n else served, reached=reached
        )
        for n in range(2)
    )
    status = Status(
        variants=(
            VariantStatus(
                name=labels.DEFAULT_VARIANT, stable=stable.name if stable else None, rollout=told
            ),
        )
    )
    return replace(
        picture,
        resource=replace(picture.resource, status=status),
        routing=Routing(site, refused=refused, routers=pair),
    )


def verdict(picture: Observed) -> Verdict:
    """What the three deciding steps make of a picture."""
    asked = picture.resource.spec
    assert isinstance(asked, Spec)
    parts: Revisions = revisions.decide(picture, asked, DEFAULTS)
    counts = replicas.decide(picture, asked, parts)
    (only,) = variants.asked(asked)
    plan = VariantPlan(only, parts, counts)
    return Verdict((plan,), traffic.decide(picture, parts, counts))


def source(model: str) -> ModelSource:
    return ModelSource(uri=f"file:///models/{model}", version=model)


# What the API server sends.


def raw_pod(
    name: str = "digits-x-1",
    *,
    revision: str = "digits-x",
    conditions: Mapping[str, Json] | None = None,
    containers: Iterable[Json] = (),
    init: Iterable[Json] = (),
    node: str | None = "node-1",
    limits: Json | None = None,
    **status: Any,
) -> Json:
    container = {"name": labels.CONTAINER, "resources": {"limits": limits or {}}}
    return {
        "metadata": {"name": name, "labels": {labels.REVISION: revision}},
        "spec": {"containers": [container], **({"nodeName": node} if node else {})},
        "status": {
            "conditions": [{"type": t, **c} for t, c in (conditions or {}).items()],
            "containerStatuses": list(containers),
            "initContainerStatuses": list(init),
            **status,
        },
    }


def raw_container(
    name: str = labels.CONTAINER, *, last: Json | None = None, image: str = "r:1", **state: Json
) -> Json:
    """A container's status: `waiting={...}`, `running={...}` or `terminated={...}`."""
    return {
        "name": name,
        "image": image,
        "state": state,
        "lastState": {"terminated": last} if last else {},
    }


def owner(uid: str = UID, *, controller: bool = True) -> Json:
    return {"kind": labels.KIND, "name": NAME, "uid": uid, "controller": controller}
