"""How many pods there are: by the spec, by `kubectl scale`, by an autoscaler."""

import httpx

from tests.e2e.kube import Kube, condition, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.program import Program
from tests.e2e.store import Store
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url


def _ready(count: int):  # type: ignore[no-untyped-def]
    return lambda found: is_true("Ready")(found) and found["status"].get("readyReplicas") == count


def test_kubectl_scale_works_on_the_resource(
    operator: str, kube: Kube, kubectl: Program, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("sized", store.put("sized.onnx", scale(1.0)), replicas=1))
    kube.until(namespace, "mdep", "sized", _ready(1), timeout=90)
    with Traffic(cluster_url(kube, namespace, "sized"), "sized") as traffic:
        traffic.until_answered_by(1.0, 20)
        kubectl("scale", "mdep/sized", "--replicas=3", "--namespace", namespace)
        three = kube.until(namespace, "mdep", "sized", _ready(3), timeout=90)
        assert three["status"]["replicas"] == 3
        revision = three["status"]["variants"][0]["stable"]
        kube.get(namespace, "poddisruptionbudget", revision)
        kubectl("scale", "mdep/sized", "--replicas=1", "--namespace", namespace)
        kube.until(namespace, "deployment", revision, lambda d: d["status"].get("replicas") == 1)
        kube.until(namespace, "mdep", "sized", _ready(1), timeout=90)
        kube.until_gone(namespace, "poddisruptionbudget", f"modelfleet.dev/revision={revision}")
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert len(kube.every(namespace, "controllerrevision")) == 1


def test_replicas_zero_stops_and_one_starts_again(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    model = store.put("stop.onnx", scale(1.0))
    kube.apply(namespace, deployment("stop", model, replicas=1))
    kube.until(namespace, "mdep", "stop", is_true("Ready"), timeout=90)
    kube.apply(namespace, deployment("stop", model, replicas=0))
    stopped = kube.until(
        namespace, "mdep", "stop", lambda found: found["status"].get("phase") == "Stopped"
    )
    assert condition(stopped, "Ready")["reason"] == "Stopped"
    kube.until_gone(namespace, "pod", "modelfleet.dev/deployment=stop")
    kube.apply(namespace, deployment("stop", model, replicas=1))
    kube.until(namespace, "mdep", "stop", is_true("Ready"), timeout=90)


def test_an_autoscaler_follows_real_cpu_and_keeps_its_number_through_a_change(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("auto-1.onnx", scale(1.0)), store.put("auto-2.onnx", scale(2.0))
    # 60 requests a second cost some 50m of CPU: ten times what a target of 10 % of 50m allows.
    autoscaling = {
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [{"type": "CPU", "target": 10}],
    }
    kube.apply(namespace, deployment("auto", one, autoscaling=autoscaling))
    ready = kube.until(namespace, "mdep", "auto", is_true("Ready"), timeout=90)
    revision = ready["status"]["variants"][0]["stable"]
    with Traffic(cluster_url(kube, namespace, "auto"), "auto", per_second=60) as traffic:
        kube.until(
            namespace, "deployment", revision,
            lambda d: d["spec"]["replicas"] == 3 and d["status"].get("readyReplicas") == 3,
            timeout=150,
        )  # fmt: skip
        kube.apply(namespace, deployment("auto", two, autoscaling=autoscaling))
        after = kube.until(namespace, "mdep", "auto", is_true("Ready"), timeout=120)
        new = after["status"]["variants"][0]["stable"]
        # It took over the load of three pods with three pods, not with the one it would begin with.
        assert kube.get(namespace, "deployment", new)["spec"]["replicas"] == 3
        assert kube.get(namespace, "deployment", revision)["spec"]["replicas"] in (0, 3)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    (autoscaler,) = [
        each
        for each in kube.every(namespace, "horizontalpodautoscaler")
        if each["metadata"]["name"] == new
    ]
    assert autoscaler["spec"]["minReplicas"] == 1
    owners = {
        field
        for entry in kube.get(namespace, "deployment", new, "--show-managed-fields")["metadata"][
            "managedFields"
        ]
        if entry["manager"] == "modelfleet" and entry["operation"] == "Apply"
        for field in entry["fieldsV1"].get("f:spec", {})
    }
    assert "f:replicas" not in owners


def test_a_pod_that_is_killed_is_replaced_and_the_rest_answers(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("tough", store.put("tough.onnx", scale(1.0)), replicas=2))
    kube.until(namespace, "mdep", "tough", is_true("Ready"), timeout=90)
    with Traffic(cluster_url(kube, namespace, "tough"), "tough") as traffic:
        traffic.until_answered_by(1.0, 20)
        (pod, _) = kube.every(namespace, "pod", "modelfleet.dev/deployment=tough")
        kube.delete(namespace, "pod", pod["metadata"]["name"])
        kube.until(namespace, "mdep", "tough", _ready(2), timeout=90)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert httpx.get(f"{cluster_url(kube, namespace, 'tough')}/health/ready").status_code == 200
