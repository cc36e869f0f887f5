"""Rollouts of pods that need accelerators, on a node that has few: each goes the way that fits."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.kube import Json, Kube, condition, has_reason, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.store import Store
from tests.e2e.test_rollouts import ROUTER, rollout, say, variant
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url

GPU = "example.com/gpu"
"""To Kubernetes a number on a node is all that an accelerator is."""


@pytest.fixture
def gpus(kube: Kube) -> Iterator[Callable[[int], None]]:
    """Gives the node so many; it has none again afterwards."""
    (node,) = kube.every("default", "node")
    name = node["metadata"]["name"]

    def give(number: int | None) -> None:
        amount = None if number is None else str(number)
        status = {"capacity": {GPU: amount}, "allocatable": {GPU: amount}}
        kube.patch_status("node", name, {"status": status})

    yield give
    give(None)


def ask(name: str, model: dict[str, str], replicas: int, **rollout: object) -> dict[str, object]:
    accelerator = {"resourceName": GPU}
    more = {"rollout": rollout} if rollout else {}
    return deployment(
        name, model, replicas=replicas, accelerator=accelerator, routing=ROUTER, **more
    )


def goes(way: str) -> Callable[[Json], bool]:
    return lambda resource: rollout(resource).get("surge") == way


def test_beside_the_earlier_pods_where_gpus_are_free(
    operator: str, kube: Kube, namespace: str, store: Store, gpus: Callable[[int], None]
) -> None:
    gpus(2)
    one, two = store.put("beside1.onnx", scale(1.0)), store.put("beside2.onnx", scale(2.0))
    kube.apply(namespace, ask("beside", one, 1))
    kube.until(namespace, "mdep", "beside", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "beside"), "beside") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, ask("beside", two, 1))
        told = kube.until(namespace, "mdep", "beside", goes("Surge"), timeout=60)
        assert rollout(told)["surgeReason"] == f"1 of 2 {GPU} in use, 1 free, 1 needed"
        kube.until(namespace, "mdep", "beside", is_true("Ready"), timeout=120)
        traffic.until_answered_by(2.0, 20)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []


def test_in_place_where_every_gpu_is_in_use(
    operator: str, kube: Kube, namespace: str, store: Store, gpus: Callable[[int], None]
) -> None:
    gpus(2)
    one, two = store.put("inplace1.onnx", scale(1.0)), store.put("inplace2.onnx", scale(2.0))
    kube.apply(namespace, ask("inplace", one, 2))
    before = kube.until(namespace, "mdep", "inplace", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "inplace"), "inplace") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, ask("inplace", two, 2))
        told = kube.until(namespace, "mdep", "inplace", goes("InPlace"), timeout=60)
        assert rollout(told)["surgeReason"] == f"2 of 2 {GPU} in use, 0 free, 2 needed"
        after = kube.until(namespace, "mdep", "inplace", is_true("Ready"), timeout=180)
        traffic.until_answered_by(2.0, 20)
    assert traffic.account.is_whole()
    assert traffic.account.lost == [], "one pod serves while the other's place is handed over"
    assert variant(after)["stable"] != variant(before)["stable"]
    assert variant(after)["readyReplicas"] == 2


def test_in_place_and_back_again(
    operator: str, kube: Kube, namespace: str, store: Store, gpus: Callable[[int], None]
) -> None:
    gpus(2)
    one, two = store.put("halfway1.onnx", scale(1.0)), store.put("halfway2.onnx", scale(2.0))
    kube.apply(namespace, ask("halfway", one, 2))
    before = kube.until(namespace, "mdep", "halfway", is_true("Ready"), timeout=120)
    steps = [{"weight": 50, "untilPromoted": True}]
    with Traffic(cluster_url(kube, namespace, "halfway"), "halfway") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, ask("halfway", two, 2, strategy="Progressive", steps=steps))
        kube.until(
            namespace, "mdep", "halfway", lambda it: rollout(it).get("phase") == "Holding",
            timeout=120,
        )  # fmt: skip
        traffic.until_answered_by(2.0, 5)
        say(kube, namespace, "halfway", "abort")
        back = kube.until(
            namespace, "mdep", "halfway", has_reason("Progressing", "RolledBack"), timeout=120
        )
        kube.until(
            namespace, "mdep", "halfway", lambda it: variant(it).get("readyReplicas") == 2,
            timeout=120,
        )  # fmt: skip
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 20)
    assert traffic.account.lost == []
    assert variant(back)["stable"] == variant(before)["stable"]


def test_the_only_gpu_is_handed_over(
    operator: str, kube: Kube, namespace: str, store: Store, gpus: Callable[[int], None]
) -> None:
    gpus(1)
    one, two = store.put("only1.onnx", scale(1.0)), store.put("only2.onnx", scale(2.0))
    kube.apply(namespace, ask("only", one, 1))
    before = kube.until(namespace, "mdep", "only", is_true("Ready"), timeout=120)
    stable = variant(before)["stable"]
    with Traffic(cluster_url(kube, namespace, "only"), "only") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, ask("only", two, 1))
        told = kube.until(namespace, "mdep", "only", goes("Recreate"), timeout=60)
        assert rollout(told)["surgeReason"] == f"1 of 1 {GPU} in use, 0 free, 1 needed"
        after = kube.until(namespace, "mdep", "only", is_true("Ready"), timeout=180)
        traffic.until_answered_by(2.0, 20)
    assert variant(after)["stable"] != stable


def test_the_only_gpu_goes_back_from_a_broken_revision(
    operator: str, kube: Kube, namespace: str, store: Store, gpus: Callable[[int], None]
) -> None:
    gpus(1)
    good, broken = store.put("back1.onnx", scale(1.0)), store.put("back2.onnx", scale(2.0)[:60])
    kube.apply(namespace, ask("back", good, 1))
    before = kube.until(namespace, "mdep", "back", is_true("Ready"), timeout=120)
    kube.apply(namespace, ask("back", broken, 1))
    told = kube.until(
        namespace, "mdep", "back", has_reason("Progressing", "RolledBack"), timeout=180
    )
    kube.until(namespace, "mdep", "back", is_true("Available"), timeout=120)
    assert rollout(told)["surge"] == "Recreate"
    assert variant(told)["stable"] == variant(before)["stable"]
    assert condition(told, "Progressing")["status"] == "False"
