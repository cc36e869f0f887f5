"""What every child carries: its name, its labels and its owner."""

from modelfleet_operator.api import labels
from modelfleet_operator.kinds import Kind
from modelfleet_operator.plan.pod_template import pod_labels
from modelfleet_operator.seen import Json, Resource, Revision


def child(
    kind: Kind, resource: Resource, name: str, own_labels: dict[str, str], body: Json
) -> Json:
    """An object of the resource's namespace that goes when the resource goes.

    `blockOwnerDeletion` is left out: nothing of ours holds up a deletion.
    """
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": resource.namespace,
            "labels": own_labels,
            "ownerReferences": [
                {
                    "apiVersion": labels.API_VERSION,
                    "kind": labels.KIND,
                    "name": resource.name,
                    "uid": resource.uid,
                    "controller": True,
                }
            ],
        },
        **body,
    }


def of_revision(kind: Kind, resource: Resource, revision: Revision, body: Json) -> Json:
    """A child that belongs to one revision and has its name."""
    own = {
        **pod_labels(resource.name, revision.variant, revision.name),
        labels.ROLE: "revision",
    }
    return child(kind, resource, revision.name, own, body)


def selector(resource: Resource, revision: str) -> dict[str, str]:
    """Finds the pods of one revision, and never those of another ModelDeployment."""
    return {labels.DEPLOYMENT: resource.name, labels.REVISION: revision}


def of_gateway(resource: Resource) -> dict[str, str]:
    """The labels of what a Gateway is told."""
    return {
        "app.kubernetes.io/name": "modelfleet-runtime",
        "app.kubernetes.io/instance": resource.name,
        "app.kubernetes.io/component": "routing",
        "app.kubernetes.io/managed-by": labels.MANAGER,
        labels.DEPLOYMENT: resource.name,
        labels.ROLE: labels.GATEWAY_ROUTE,
    }
