"""What do a resource, a revision, a Deployment and a Service with its endpoints say?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from pydantic import ValidationError

from modelfleet_contract import ModelSource
from modelfleet_operator.api import labels
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.api.spec import Spec
from modelfleet_operator.api.status import ConditionType, Status
from modelfleet_operator.plan.documents import document_of
from modelfleet_operator.router import pod
from modelfleet_operator.seen import (
    Address,
    InvalidSpec,
    Json,
    Resource,
    Revision,
    Trouble,
    Workload,
)

_TYPES: Final = frozenset(ConditionType)
_REASONS: Final = frozenset(Reason)


def read_resource(found: Json) -> Resource:
    """The ModelDeployment. A spec or status that cannot be read is a value, not an error."""
    metadata, raw_status = found["metadata"], found.get("status") or {}
    return Resource(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        spec=_read_spec(found.get("spec") or {}),
        status=_read_status(raw_status),
        raw_status=raw_status,
        deleting="deletionTimestamp" in metadata,
        annotations=metadata.get("annotations") or {},
    )


def _read_spec(spec: Json) -> Spec | InvalidSpec:
    try:
        return Spec.model_validate(spec)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return InvalidSpec(f"spec.{where}: {first['msg']}")


def _read_status(status: Json) -> Status:
    """What was said last, perhaps by an operator of another version.

    A condition of a kind or for a reason that this one does not know is left out. A status that
    cannot be read at all counts as none: what has to be known is in the children too.
    """
    known = [
        condition
        for condition in status.get("conditions") or ()
        if condition.get("type") in _TYPES and condition.get("reason") in _REASONS
    ]
    try:
        return Status.model_validate({**status, "conditions": known})
    except ValidationError:
        return Status()


def read_revisions(
    found: Iterable[Json], deployments: Iterable[Json] = (), told: Status | None = None
) -> tuple[Revision, ...]:
    """The ControllerRevisions, the oldest first.

    One that somebody deleted is read from its Deployment, which holds the same template: it may be
    serving at this moment. Its number is the one that was told last.
    """
    revisions = {
        each["metadata"]["name"]: Revision(
            name=each["metadata"]["name"],
            number=each["revision"],
            variant=_variant(each),
            model=_read_model(each["data"]["model"]),
            template=each["data"]["template"],
            spec=each["data"].get("spec") or {},
            restart=each["data"].get("restart") or "",
        )
        for each in found
    }
    numbers = {r.name: r.number for v in (told or Status()).variants for r in v.revisions}
    for each in deployments:
        name, template = each["metadata"]["name"], each["spec"]["template"]
        model = _served(template)
        if name not in revisions and model is not None:
            revisions[name] = Revision(name, numbers.get(name, 0), _variant(each), model, template)
    return tuple(sorted(revisions.values(), key=lambda r: (r.number, r.name)))


def _variant(child: Json) -> str:
    return str(child["metadata"]["labels"].get(labels.VARIANT, labels.DEFAULT_VARIANT))


def _served(template: Json) -> ModelSource | None:
    """The model that such pods serve; None where that cannot be told."""
    document = document_of(template)
    return None if document is None else document.model


def _read_model(model: Json) -> ModelSource:
    """A revision that a later operator made may have a kind of address that this one does not
    know. It is shown as it stands: its pods are made from its template, not from this."""
    try:
        return ModelSource.model_validate(model)
    except ValidationError:
        return ModelSource.model_construct(
            uri=str(model.get("uri", "")),
            digest=model.get("digest"),
            version=model.get("version"),
        )


def read_workloads(found: Iterable[Json]) -> dict[str, Workload]:
    """The Deployments, by revision (which is their name)."""
    return {each["metadata"]["name"]: _read_workload(each) for each in found}


def _read_workload(deployment: Json) -> Workload:
    trouble = None
    for condition in deployment.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            trouble = Trouble(Reason.PODS_REFUSED, condition.get("message", ""))
    return Workload(
        revision=deployment["metadata"]["name"],
        desired=deployment["spec"].get("replicas", 1),
        trouble=trouble,
    )


def _selects_routers(service: Json) -> bool:
    selects: Json = service["spec"].get("selector", {})
    return selects.get("app.kubernetes.io/name") == pod.NAME


def read_address(
    service: Json | None, slices: Iterable[Json], revision_of_pod: Mapping[str, str]
) -> Address | None:
    """The stable Service, and what stands behind it.

    `revision_of_pod` has the pods by name. An endpoint whose pod is not among them (it is gone, and
    the slice is about to follow) belongs to no revision and is left out.
    """
    if service is None:
        return None
    ready: Counter[str] = Counter()
    present: Counter[str] = Counter()
    for each in slices:
        for endpoint in each.get("endpoints") or ():
            revision = revision_of_pod.get((endpoint.get("targetRef") or {}).get("name", ""))
            if revision is None:
                continue
            present[revision] += 1
            # Absent means unknown, and unknown is to be read as ready (EndpointConditions).
            ready[revision] += (endpoint.get("conditions") or {}).get("ready") is not False
    return Address(
        revision=service["spec"].get("selector", {}).get(labels.REVISION),
        through_routers=_selects_routers(service),
        ready=dict(ready),
        present=dict(present),
    )
