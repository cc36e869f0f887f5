"""The operator can be killed, doubled, upgraded and removed, and no pod of a model notices."""

import json
import time
from pathlib import Path
from typing import Any

from dev import install
from dev.cluster import Cluster
from dev.images import Images
from tests.e2e.kube import Json, Kube, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.program import Program
from tests.e2e.store import Store
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url

POD = "app.kubernetes.io/component=operator"


def leader(kube: Kube, operator: str) -> str:
    """The name of the pod that holds the lease."""
    holder: str = kube.get(operator, "lease", "modelfleet-operator")["spec"]["holderIdentity"]
    return holder.rpartition("_")[0]


def test_only_one_of_two_operators_holds_the_lease(operator: str, kube: Kube) -> None:
    pods = {
        p["metadata"]["name"]
        for p in kube.every(operator, "pod", POD)
        if "deletionTimestamp" not in p["metadata"]
    }
    assert len(pods) == 2
    held = kube.until(
        operator, "lease", "modelfleet-operator",
        lambda found: found["spec"].get("holderIdentity", "").rpartition("_")[0] in pods,
    )  # fmt: skip
    assert held["spec"]["leaseDurationSeconds"] == 15


def test_an_operator_that_is_killed_in_the_middle_of_a_change_is_replaced(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("kill-1.onnx", scale(1.0)), store.put("kill-2.onnx", scale(2.0))
    kube.apply(namespace, deployment("kill", one))
    before = kube.until(namespace, "mdep", "kill", is_true("Ready"), timeout=90)
    old = before["status"]["variants"][0]["stable"]
    with Traffic(cluster_url(kube, namespace, "kill"), "kill") as traffic:
        traffic.until_answered_by(1.0, 20)
        first = leader(kube, operator)
        kube.apply(namespace, deployment("kill", two))
        kube.until(namespace, "mdep", "kill", lambda m: "candidate" in m["status"]["variants"][0])
        kube.delete(operator, "pod", first, "--grace-period=0", "--force")
        kube.until(namespace, "mdep", "kill", is_true("Ready"), timeout=120)
        kube.until_gone(namespace, "pod", f"modelfleet.dev/revision={old}")
        traffic.until_answered_by(2.0, 20)
    assert leader(kube, operator) != first
    assert traffic.account.is_whole()
    assert traffic.account.lost == []


def test_in_an_idle_minute_the_operator_writes_nothing_but_its_lease(
    operator: str, kube: Kube, cluster: Cluster, namespace: str, store: Store
) -> None:
    body = deployment("idle", store.put("idle.onnx", scale(1.0)), replicas=2)
    kube.apply(namespace, body)
    kube.until(namespace, "mdep", "idle", is_true("Ready"), timeout=90)
    # What other tests left behind is looked after until it is gone.
    kube.kubectl(
        "wait", "--for=delete", "namespace", "--timeout=120s",
        "--selector", f"modelfleet-test,kubernetes.io/metadata.name!={namespace}",
    )  # fmt: skip
    # A look that came late to the last change is over when the lease has been renewed twice.
    renewed: set[str] = set()

    def twice(lease: Json) -> bool:
        renewed.add(lease["metadata"]["resourceVersion"])
        return len(renewed) > 2

    kube.until(operator, "lease", "modelfleet-operator", twice)
    log = Path(cluster.audit_log)
    start = log.stat().st_size
    # Waking it is no reason to write either: a label that is not the operator's touches the object.
    kube.patch(namespace, "mdep", "idle", {"metadata": {"labels": {"touched": "yes"}}})
    time.sleep(60)  # the minute itself is what is measured
    with log.open("rb") as file:
        file.seek(start)
        entries = [json.loads(line) for line in file.read().splitlines() if line.endswith(b"}")]
    writes = [_short(entry) for entry in entries if _is_write_by_operator(entry)]
    assert any(write["resource"] == "leases" for write in writes)
    assert [write for write in writes if write["resource"] != "leases"] == []


def _is_write_by_operator(entry: dict[str, Any]) -> bool:
    return (
        entry["user"]["username"].endswith(":modelfleet-operator")
        and entry["verb"] not in ("get", "list", "watch")
        and entry["stage"] == "ResponseComplete"
    )


def _short(entry: dict[str, Any]) -> dict[str, Any]:
    about = entry.get("objectRef", {})
    return {key: about.get(key) for key in ("resource", "namespace", "name", "subresource")} | {
        "verb": entry["verb"]
    }


def test_upgrade_and_removal_of_the_chart_restart_no_pod(
    operator: str,
    kube: Kube,
    helm: Program,
    tools: install.Tools,
    images: Images,
    namespace: str,
    store: Store,
) -> None:
    kube.apply(namespace, deployment("steady", store.put("steady.onnx", scale(1.0)), replicas=2))
    kube.until(namespace, "mdep", "steady", is_true("Ready"), timeout=90)

    def pods() -> set[str]:
        found = kube.every(namespace, "pod", "modelfleet.dev/deployment=steady")
        assert all(s["restartCount"] == 0 for p in found for s in p["status"]["containerStatuses"])
        return {p["metadata"]["uid"] for p in found}

    before = pods()
    with Traffic(cluster_url(kube, namespace, "steady"), "steady") as traffic:
        traffic.until_answered_by(1.0, 20)
        # Another default image for new revisions, as a later release would bring.
        install.install(tools, images, "--set-string", "image.runtime.tag=of-a-later-release")
        kube.patch(namespace, "mdep", "steady", {"metadata": {"annotations": {"look": "again"}}})
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 80)
        assert pods() == before
        helm("uninstall", install.RELEASE, "--namespace", install.NAMESPACE, "--wait")
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 80)
        assert pods() == before
        assert kube.get(namespace, "mdep", "steady")["status"]["phase"] == "Ready"
        install.install(tools, images)
        kube.patch(namespace, "mdep", "steady", {"spec": {"replicas": 3}})
        kube.until(
            namespace, "mdep", "steady",
            lambda m: is_true("Ready")(m) and m["status"]["readyReplicas"] == 3,
            timeout=90,
        )  # fmt: skip
        assert before < pods()
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
