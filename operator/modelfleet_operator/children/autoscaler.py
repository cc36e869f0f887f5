"""The HorizontalPodAutoscaler of one revision that has pods, where the resource asks for one."""

from modelfleet_operator import kinds
from modelfleet_operator.api.spec import Autoscaling, MetricType, ScalingMetric
from modelfleet_operator.children.common import of_revision
from modelfleet_operator.plan.types import Count
from modelfleet_operator.seen import Json, Resource, Revision


def build(
    resource: Resource, revision: Revision, autoscaling: Autoscaling | None, count: Count
) -> Json | None:
    """None where the operator or a person decides on the number of pods."""
    if autoscaling is None or not count.autoscaled:
        return None
    body = {
        "spec": {
            "scaleTargetRef": {
                "apiVersion": kinds.DEPLOYMENT.api_version,
                "kind": kinds.DEPLOYMENT.kind,
                "name": revision.name,
            },
            "minReplicas": count.least,
            "maxReplicas": autoscaling.max_replicas,
            "metrics": [_metric(metric) for metric in autoscaling.metrics],
        }
    }
    return of_revision(kinds.AUTOSCALER, resource, revision, body)


def _metric(metric: ScalingMetric) -> Json:
    match metric.type:
        case MetricType.CPU:
            return {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": metric.target},
                },
            }
