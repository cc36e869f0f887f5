"""Deleting a resource removes all that belonged to it, and nothing ever holds a deletion up."""

from tests.e2e.kube import Kube, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.program import Program
from tests.e2e.store import Store

ALL = "controllerrevision,deployment,service,poddisruptionbudget,horizontalpodautoscaler,pod"


def test_deleting_removes_every_child(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("brief", store.put("brief.onnx", scale(1.0)), replicas=2))
    kube.until(namespace, "mdep", "brief", is_true("Ready"), timeout=90)
    kube.delete(namespace, "mdep", "brief", "--timeout=10s")
    kube.until_gone(namespace, ALL, "modelfleet.dev/deployment=brief", timeout=90)


def test_deleting_and_applying_again_at_once_serves_again(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    body = deployment("again", store.put("again.onnx", scale(1.0)))
    kube.apply(namespace, body)
    first = kube.until(namespace, "mdep", "again", is_true("Ready"), timeout=90)
    kube.delete(namespace, "mdep", "again", "--timeout=10s")
    kube.apply(namespace, body)
    second = kube.until(namespace, "mdep", "again", is_true("Ready"), timeout=120)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    for kind in ("deployment", "service"):
        for item in kube.every(namespace, kind):
            owners = {o["uid"] for o in item["metadata"]["ownerReferences"]}
            if "deletionTimestamp" not in item["metadata"]:
                assert owners == {second["metadata"]["uid"]}


def test_a_deletion_does_not_wait_for_the_operator(
    operator: str, kube: Kube, kubectl: Program, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("alone", store.put("alone.onnx", scale(1.0))))
    kube.until(namespace, "mdep", "alone", is_true("Ready"), timeout=90)
    kubectl("scale", "deployment/modelfleet-operator", "--replicas=0", "--namespace", operator)
    try:
        kube.until_gone(operator, "pod", "app.kubernetes.io/component=operator")
        kube.delete(namespace, "mdep", "alone", "--timeout=10s")
        kube.until_gone(namespace, ALL, "modelfleet.dev/deployment=alone", timeout=90)
    finally:
        kubectl("scale", "deployment/modelfleet-operator", "--replicas=2", "--namespace", operator)
        kubectl("rollout", "status", "deployment/modelfleet-operator", "--namespace", operator)
