"""The revision itself: the frozen pod template, and the model that it serves."""

from modelfleet_operator import kinds
from modelfleet_operator.children.common import of_revision
from modelfleet_operator.seen import Json, Resource, Revision


def build(resource: Resource, revision: Revision) -> Json:
    # Only what is set: the API server lets nobody change `data`, and an operator of a later version
    # may know one field more.
    model = revision.model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data: Json = {"model": model, "template": revision.template}
    if revision.spec:
        data["spec"] = revision.spec  # an undo puts it back
    if revision.restart:
        data["restart"] = revision.restart
    body = {"revision": revision.number, "data": data}
    return of_revision(kinds.CONTROLLER_REVISION, resource, revision, body)
