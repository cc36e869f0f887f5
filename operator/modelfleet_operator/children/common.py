"""What every child carries: its name, its labels and its owner."""

from collections.abc import Mapping

from modelfleet_operator.api import labels
from modelfleet_operator.kinds import Kind
from modelfleet_operator.plan.pod_template import pod_labels
from modelfleet_operator.router.site import Site
from modelfleet_operator.router.written import write, write_shares
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


def told_to_gateway(
    kind: Kind, resource: Resource, spec: Json, site: Site, shares: Mapping[str, Mapping[str, int]]
) -> Json:
    """A route, with what it was made from beside it: what was written last is then one object and
    never half of it, and whatever changes of it is seen as a change."""
    own = {
        "app.kubernetes.io/name": "modelfleet-runtime",
        "app.kubernetes.io/instance": resource.name,
        "app.kubernetes.io/component": "routing",
        "app.kubernetes.io/managed-by": labels.MANAGER,
        labels.DEPLOYMENT: resource.name,
        labels.ROLE: labels.GATEWAY_ROUTE,
    }
    made = child(kind, resource, resource.name, own, {"spec": spec})
    made["metadata"]["annotations"] = {
        labels.SITE: write(site),
        labels.SHARES: write_shares(shares),
    }
    return made
