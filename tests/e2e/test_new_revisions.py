"""A changed model takes over when it is ready, and no request is lost on the way."""

import pytest

from tests.e2e.kube import Kube, condition, has_reason, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.store import Store
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url


def stable(resource: dict[str, object]) -> object:
    return resource["status"]["variants"][0].get("stable")  # type: ignore[index]


def test_a_new_revision_takes_over_and_no_request_is_lost(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("one.onnx", scale(1.0)), store.put("two.onnx", scale(2.0))
    kube.apply(namespace, deployment("switch", one, replicas=2))
    before = kube.until(namespace, "mdep", "switch", is_true("Ready"), timeout=90)
    with Traffic(cluster_url(kube, namespace, "switch"), "switch") as traffic:
        traffic.until_answered_by(1.0, 50)
        kube.apply(namespace, deployment("switch", two, replicas=2))
        after = kube.until(namespace, "mdep", "switch", is_true("Ready"), timeout=120)
        kube.until_gone(namespace, "pod", f"modelfleet.dev/revision={stable(before)}")
        traffic.until_answered_by(2.0, 50)
        # And back again: the old revision is still there, and is used as it is.
        kube.apply(namespace, deployment("switch", one, replicas=2))
        back = kube.until(namespace, "mdep", "switch", is_true("Ready"), timeout=120)
        kube.until_gone(namespace, "pod", f"modelfleet.dev/revision={stable(after)}")
    account = traffic.account
    assert account.is_whole()
    assert account.lost == []
    assert stable(back) == stable(before) != stable(after)
    assert kube.get(namespace, "deployment", str(stable(after)))["spec"]["replicas"] == 0
    assert len(kube.every(namespace, "controllerrevision")) == 2


def test_a_broken_revision_never_serves_and_the_old_one_goes_on(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    good, next_ = store.put("good.onnx", scale(1.0)), store.put("next.onnx", scale(2.0))
    broken = store.put("broken.onnx", scale(3.0)[:60])
    kube.apply(namespace, deployment("careful", good))
    before = kube.until(namespace, "mdep", "careful", is_true("Ready"), timeout=90)
    with Traffic(cluster_url(kube, namespace, "careful"), "careful") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, deployment("careful", broken))
        told = kube.until(
            namespace, "mdep", "careful", has_reason("Progressing", "ModelInvalid"), timeout=60
        )
        assert "goes on serving" in condition(told, "Progressing")["message"]
        assert condition(told, "Available")["status"] == "True"
        assert condition(told, "StableHealthy")["status"] == "True"
        assert told["status"]["phase"] == "Degraded"
        assert stable(told) == stable(before)
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 40)
        kube.apply(namespace, deployment("careful", next_))
        kube.until(namespace, "mdep", "careful", is_true("Ready"), timeout=120)
        traffic.until_answered_by(2.0, 20)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert traffic.account.answers.keys() == {1.0, 2.0}


def test_history_limit_keeps_so_many_revisions_without_pods(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    rollout = {"historyLimit": 1}
    seen = []
    for factor in (1.0, 2.0, 3.0):
        model = store.put(f"history-{factor}.onnx", scale(factor))
        kube.apply(namespace, deployment("history", model, rollout=rollout))
        found = kube.until(namespace, "mdep", "history", is_true("Ready"), timeout=90)
        seen.append(str(stable(found)))
    kube.until_gone(namespace, "controllerrevision", f"modelfleet.dev/revision={seen[0]}")
    left = {item["metadata"]["name"] for item in kube.every(namespace, "controllerrevision")}
    assert left == set(seen[1:])


@pytest.mark.parametrize("deadline", ["10s"])
def test_a_revision_that_is_late_says_so(
    operator: str, kube: Kube, namespace: str, store: Store, deadline: str
) -> None:
    body = deployment(
        "late",
        store.put("late.onnx", scale(1.0)),
        rollout={"progressDeadline": deadline},
        podTemplate={"nodeSelector": {"no-such-label": "anywhere"}},
    )
    kube.apply(namespace, body)
    told = kube.until(namespace, "mdep", "late", has_reason("Progressing", "DeadlineExceeded"))
    assert "rollout.progressDeadline (10s)" in condition(told, "Progressing")["message"]
    assert told["status"]["phase"] == "Failed"
