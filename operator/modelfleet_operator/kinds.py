"""The kinds of object that the operator speaks of, and where the API server keeps them."""

from dataclasses import dataclass
from typing import Any, Final

from modelfleet_operator.api import labels

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str, name: str | None = None, sub: str | None = None) -> str:
        """Of one object or of all; an empty `namespace` means every namespace."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root, *(["namespaces", namespace] if namespace else []), self.plural]
        return "/".join(parts + [part for part in (name, sub) if part is not None])


MODEL_DEPLOYMENT: Final = Kind(labels.GROUP, labels.VERSION, labels.KIND, labels.PLURAL)
CONTROLLER_REVISION: Final = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENT: Final = Kind("apps", "v1", "Deployment", "deployments")
SERVICE: Final = Kind("", "v1", "Service", "services")
CONFIG_MAP: Final = Kind("", "v1", "ConfigMap", "configmaps")
AUTOSCALER: Final = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET: Final = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
POD: Final = Kind("", "v1", "Pod", "pods")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
NODE: Final = Kind("", "v1", "Node", "nodes")
EVENT: Final = Kind("", "v1", "Event", "events")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
GRPC_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes")
GATEWAY: Final = Kind("gateway.networking.k8s.io", "v1", "Gateway", "gateways")
GATEWAY_CLASS: Final = Kind("gateway.networking.k8s.io", "v1", "GatewayClass", "gatewayclasses")
"""Of the cluster: its namespace is empty."""
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")

CHILDREN: Final = (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    SERVICE,
    AUTOSCALER,
    DISRUPTION_BUDGET,
    CONFIG_MAP,
)
"""The kinds that the operator makes in every cluster, in the order in which they are made."""

ROUTES: Final = (HTTP_ROUTE, GRPC_ROUTE)
"""What it makes besides where a Gateway is asked for; not every cluster has these kinds."""

MADE: Final = (*CHILDREN, *ROUTES)

BY_NAME: Final = {kind.kind: kind for kind in MADE}

SERVICE_OF_SLICE: Final = "kubernetes.io/service-name"
