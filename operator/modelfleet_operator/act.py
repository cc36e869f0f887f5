"""Makes the cluster what the plan says. Nothing else writes.

The order of one look: make and correct what revisions are made of, add pods, move the address and
then what a Gateway is told, take pods away, prune. Each call is skipped when the object already
read as it should in this look, so a look at a healthy resource writes nothing.

The number of pods is written when a Deployment is made, and after that through its scale
subresource, by whoever decides on it. It is never part of what is applied: a field that was applied
once and is left out later falls back to its default, which would be one pod.
"""

import uuid
from collections.abc import Iterable
from typing import Final

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.status import Status
from modelfleet_operator.children.all_of import all_of
from modelfleet_operator.cluster.api import KubeApi
from modelfleet_operator.cluster.errors import Conflict, NotFound, Refused
from modelfleet_operator.drift import reads_as
from modelfleet_operator.plan.types import Event, Verdict
from modelfleet_operator.seen import ChildKey, Json, Observed

_ROUTES: Final = frozenset(kind.kind for kind in kinds.ROUTES)


async def children(cluster: KubeApi, seen: Observed, verdict: Verdict) -> str | None:
    """None, or the first refusal of the API server, in its own words; nothing is done after it.

    Raises `Conflict` when the picture was old, and `Unavailable`.
    """
    wanted = all_of(seen, verdict)
    last = [body for body in wanted if _moves_traffic(seen, body)]
    try:
        for body in wanted:
            if body not in last:
                await _ensure(cluster, seen, verdict, body)
        await _scale(cluster, seen, verdict, up=True)
        for body in last:
            await _ensure(cluster, seen, verdict, body)
        await _scale(cluster, seen, verdict, up=False)
        await _prune(cluster, seen, wanted)
    except Refused as refused:
        return str(refused)
    except NotFound as gone:  # since the look
        raise Conflict(str(gone)) from gone
    return None


def _key(body: Json) -> ChildKey:
    return ChildKey(body["kind"], body["metadata"]["name"])


def _moves_traffic(seen: Observed, body: Json) -> bool:
    key = _key(body)
    return key.kind in _ROUTES or key == (kinds.SERVICE.kind, seen.resource.name)


async def _ensure(cluster: KubeApi, seen: Observed, verdict: Verdict, body: Json) -> None:
    key = _key(body)
    kind = kinds.BY_NAME[key.kind]
    found = seen.children.get(key)
    if found is None:
        await _create(cluster, seen, _with_count(verdict, body))
    elif not reads_as(body, found):
        # The uid makes a child that was deleted since the look a conflict, not a new child.
        exact = {**body, "metadata": {**body["metadata"], "uid": found["metadata"]["uid"]}}
        await cluster.apply(kind, seen.resource.namespace, exact)


def _with_count(verdict: Verdict, body: Json) -> Json:
    if body["kind"] != kinds.DEPLOYMENT.kind:
        return body
    pods = verdict.replicas[body["metadata"]["name"]].now(None)
    return {**body, "spec": {**body["spec"], "replicas": pods}}


async def _create(cluster: KubeApi, seen: Observed, body: Json) -> None:
    """Creating, where applying would do, keeps us from taking over somebody else's object."""
    key, namespace = _key(body), seen.resource.namespace
    kind = kinds.BY_NAME[key.kind]
    try:
        await cluster.create(kind, namespace, body)
    except Conflict:
        there = await cluster.get(kind, namespace, key.name)
        carries = there["metadata"].get("labels", {})
        if carries.get("app.kubernetes.io/managed-by") == labels.MANAGER:
            raise  # made a moment ago, or an earlier namesake's that is being collected
        raise Refused(
            f'{key.kind} "{key.name}" is there already and does not belong to modelfleet; '
            "delete it, or give the ModelDeployment another name"
        ) from None


async def _scale(cluster: KubeApi, seen: Observed, verdict: Verdict, *, up: bool) -> None:
    for name, count in verdict.replicas.items():
        workload = seen.workloads.get(name)
        if workload is None:
            continue
        pods = count.now(workload.desired)
        if pods != workload.desired and (pods > workload.desired) is up:
            await cluster.scale(kinds.DEPLOYMENT, seen.resource.namespace, name, pods)


async def _prune(cluster: KubeApi, seen: Observed, wanted: Iterable[Json]) -> None:
    stay = {_key(body) for body in wanted}
    order = [kind.kind for kind in kinds.MADE]
    gone = sorted(seen.children.keys() - stay, key=lambda k: (-order.index(k.kind), k.name))
    for key in gone:
        uid = seen.children[key]["metadata"]["uid"]
        try:
            await cluster.delete(kinds.BY_NAME[key.kind], seen.resource.namespace, key.name, uid)
        except (NotFound, Conflict):
            continue  # gone already, or another object has taken the name since


async def status(cluster: KubeApi, seen: Observed, told: Status) -> bool:
    """Writes the status when it says something new; True when it did."""
    body = written(told)
    if body == seen.resource.raw_status:
        return False
    resource = seen.resource
    await cluster.apply(
        kinds.MODEL_DEPLOYMENT,
        resource.namespace,
        {
            "apiVersion": labels.API_VERSION,
            "kind": labels.KIND,
            "metadata": {"name": resource.name, "uid": resource.uid},
            "status": body,
        },
        subresource="status",
    )
    return True


def written(told: Status) -> Json:
    """A status as it stands in the cluster."""
    return told.model_dump(mode="json", by_alias=True, exclude_none=True)


async def events(cluster: KubeApi, seen: Observed, news: Iterable[Event], reporter: str) -> None:
    """Tells what happened. An event that is refused is lost, and nothing else is."""
    resource = seen.resource
    moment = seen.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    for event in news:
        name = f"{resource.name}.{uuid.uuid4().hex[:16]}"
        body = {
            "apiVersion": kinds.EVENT.api_version,
            "kind": kinds.EVENT.kind,
            "metadata": {"name": name, "namespace": resource.namespace},
            "involvedObject": {
                "apiVersion": labels.API_VERSION,
                "kind": labels.KIND,
                "name": resource.name,
                "namespace": resource.namespace,
                "uid": resource.uid,
            },
            "type": "Warning" if event.warning else "Normal",
            "reason": event.reason,
            "message": event.message[:1024],
            "action": "Reconcile",
            "source": {"component": "modelfleet-operator"},
            "reportingComponent": "modelfleet-operator",
            "reportingInstance": reporter,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
        await cluster.create(kinds.EVENT, resource.namespace, body)
