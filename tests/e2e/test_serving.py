"""`kubectl apply` of one resource, and a model answers behind a stable address."""

from collections.abc import Callable

import httpx

from tests.e2e.kube import Json, Kube, condition, is_true
from tests.e2e.models import REQUEST, deployment, scale
from tests.e2e.program import Program
from tests.e2e.store import Store
from tests.e2e.urls import cluster_url


def test_a_model_is_served_behind_a_stable_address(
    operator: str, kube: Kube, kubectl: Program, namespace: str, store: Store
) -> None:
    model = store.put("serve.onnx", scale(2.0), version="2.0")
    kube.apply(namespace, deployment("twice", model))
    ready = kube.until(namespace, "mdep", "twice", is_true("Ready"), timeout=90)

    status = ready["status"]
    assert status["url"] == f"http://twice.{namespace}.svc.cluster.local"
    assert status["version"] == "2.0"
    assert status["phase"] == "Ready"
    assert (status["readyReplicas"], status["replicas"]) == (1, 1)
    (variant,) = status["variants"]
    (revision,) = variant["revisions"]
    assert variant["stable"] == revision["name"]
    assert revision["digest"] == model["digest"]
    assert condition(ready, "Progressing")["reason"] == "RolledOut"
    assert condition(ready, "StableHealthy")["status"] == "True"
    assert condition(ready, "Scheduled")["status"] == "True"

    answer = httpx.post(
        f"{cluster_url(kube, namespace, 'twice')}/v2/models/twice/infer", json=REQUEST
    )
    assert answer.json()["outputs"][0]["data"] == [2.0, 20.0]
    assert answer.json()["model_version"] == "2.0"

    shown = kubectl("get", "mdep", "twice", "--namespace", namespace).stdout
    assert "2.0" in shown
    assert "Ready" in shown


def test_the_children_are_what_the_design_says(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("pair", store.put("pair.onnx", scale(2.0)), replicas=2))
    ready = kube.until(namespace, "mdep", "pair", is_true("Ready"), timeout=90)
    revision = ready["status"]["variants"][0]["stable"]
    owner = ready["metadata"]["uid"]

    for kind in ("controllerrevision", "deployment", "poddisruptionbudget", "service"):
        child = kube.get(namespace, kind, revision)
        (reference,) = child["metadata"]["ownerReferences"]
        assert reference["uid"] == owner
        assert "blockOwnerDeletion" not in reference
    assert kube.get(namespace, "service", revision)["spec"]["clusterIP"] == "None"
    assert kube.get(namespace, "poddisruptionbudget", revision)["spec"]["maxUnavailable"] == 1
    assert not kube.every(namespace, "horizontalpodautoscaler")
    assert "finalizers" not in ready["metadata"]
    assert not any("kopf" in key for key in ready["metadata"].get("annotations", {}))

    (pod, _) = kube.every(namespace, "pod", f"modelfleet.dev/revision={revision}")
    spec = pod["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] > 0
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert spec["terminationGracePeriodSeconds"] > 30


def test_applying_the_same_again_changes_nothing(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    body = deployment("same", store.put("same.onnx", scale(3.0)))
    kube.apply(namespace, body)
    first = kube.until(namespace, "mdep", "same", is_true("Ready"), timeout=90)
    kube.apply(namespace, body)
    second = kube.get(namespace, "mdep", "same")
    assert second["metadata"]["generation"] == first["metadata"]["generation"]
    assert second["status"]["variants"] == first["status"]["variants"]


def _is_another_than(uid: str) -> Callable[[Json], bool]:
    return lambda found: found["metadata"]["uid"] != uid


def test_a_child_that_is_deleted_by_hand_comes_back(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("lost", store.put("lost.onnx", scale(2.0))))
    ready = kube.until(namespace, "mdep", "lost", is_true("Ready"), timeout=90)
    revision = ready["status"]["variants"][0]["stable"]
    for kind, name in (("service", "lost"), ("deployment", revision)):
        before = kube.get(namespace, kind, name)["metadata"]["uid"]
        kube.delete(namespace, kind, name, "--wait=false")
        kube.until(namespace, kind, name, _is_another_than(before))
    kube.until(namespace, "mdep", "lost", is_true("Ready"), timeout=90)
    answer = httpx.post(
        f"{cluster_url(kube, namespace, 'lost')}/v2/models/lost/infer", json=REQUEST
    )
    assert answer.status_code == 200


def test_a_service_that_belongs_to_somebody_else_is_left_alone(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken"},
        "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]},
    }
    kube.apply(namespace, theirs)
    kube.apply(namespace, deployment("taken", store.put("taken.onnx", scale(2.0))))
    told = kube.until(
        namespace, "mdep", "taken",
        lambda found: condition(found, "Ready").get("reason") == "Refused",
    )  # fmt: skip
    assert 'Service "taken" is there already' in condition(told, "Ready")["message"]
    assert kube.get(namespace, "service", "taken")["spec"]["selector"] == {"app": "theirs"}
