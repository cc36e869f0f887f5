"""Where the host reaches a ModelDeployment: its Service's address, which is routed to the node."""

from tests.e2e.kube import Kube


def cluster_url(kube: Kube, namespace: str, name: str) -> str:
    address = kube.get(namespace, "service", name)["spec"]["clusterIP"]
    return f"http://{address}"
