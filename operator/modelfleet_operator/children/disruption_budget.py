"""The PodDisruptionBudget of a revision with more than one pod. With a single pod it would only
keep a node from being drained."""

from modelfleet_operator import kinds
from modelfleet_operator.children.common import of_revision, selector
from modelfleet_operator.seen import Json, Resource, Revision


def build(resource: Resource, revision: Revision, desired: int) -> Json | None:
    if desired < 2:
        return None
    body = {
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(resource, revision.name)},
        }
    }
    return of_revision(kinds.DISRUPTION_BUDGET, resource, revision, body)
