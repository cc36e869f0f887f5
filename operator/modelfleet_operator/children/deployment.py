"""The pods of one revision. The template never changes, so this Deployment never rolls: only its
number of pods does, and that is left out here (it is set by `act`, or by an autoscaler)."""

from modelfleet_operator import kinds
from modelfleet_operator.children.common import of_revision, selector
from modelfleet_operator.seen import Json, Resource, Revision


def build(resource: Resource, revision: Revision) -> Json:
    body = {
        "spec": {
            "revisionHistoryLimit": 0,
            "selector": {"matchLabels": selector(resource, revision.name)},
            "template": revision.template,
        }
    }
    return of_revision(kinds.DEPLOYMENT, resource, revision, body)
