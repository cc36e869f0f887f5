"""What cannot be served says why, in words that help, within 10 s of the cluster's knowing it."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.kube import Kube, condition, has_reason
from tests.e2e.models import deployment, scale
from tests.e2e.store import Store


@dataclass(frozen=True)
class Broken:
    """A resource that cannot be served, and what it has to say."""

    spec: Callable[[Store], dict[str, Any]]
    reason: str
    says: tuple[str, ...]
    condition: str = "Progressing"


def _missing_file(_: Store) -> dict[str, Any]:
    return {"model": {"uri": "file:///models/nowhere"}}


def _missing_address(store: Store) -> dict[str, Any]:
    there = store.put("there.onnx", scale(1.0))
    return {"model": {**there, "uri": there["uri"].replace("there", "not-there")}}


def _wrong_digest(store: Store) -> dict[str, Any]:
    return {"model": {**store.put("other.onnx", scale(1.0)), "digest": "sha256:" + "0" * 64}}


def _truncated(store: Store) -> dict[str, Any]:
    return {"model": store.put("truncated.onnx", scale(1.0)[:60])}


def _not_a_model(store: Store) -> dict[str, Any]:
    return {"model": store.put("notes.txt", b"this is no model")}


def _no_torch(store: Store) -> dict[str, Any]:
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("model/constants.pkl", b"")
    return {"model": store.put("model.pt", program.getvalue())}


def _no_image(store: Store) -> dict[str, Any]:
    image = {"image": "localhost/no-such-image:1"}
    return {"model": store.put("image.onnx", scale(1.0)), "runtime": image}


def _no_claim(_: Store) -> dict[str, Any]:
    return {"model": {"uri": "pvc://no-such-claim/model.onnx"}}


def _no_accelerator(store: Store) -> dict[str, Any]:
    return {"model": store.put("gpu.onnx", scale(1.0)), "accelerator": {"count": 2}}


def _too_little_memory(store: Store) -> dict[str, Any]:
    resources = {"limits": {"memory": "24Mi"}}
    return {"model": store.put("memory.onnx", scale(1.0)), "resources": resources}


def _no_secret(store: Store) -> dict[str, Any]:
    token = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "no-secret", "key": "k"}}}
    return {"model": store.put("secret.onnx", scale(1.0)), "runtime": {"env": [token]}}


BROKEN = {
    "a path where nothing is": Broken(_missing_file, "ModelNotFound", ("/models/nowhere",)),
    "an address where nothing is": Broken(_missing_address, "ModelNotFound", ("404",)),
    "bytes that are not the ones meant": Broken(
        _wrong_digest, "DigestMismatch", ("sha256:000000", "sha256:")
    ),
    "a truncated ONNX file": Broken(_truncated, "ModelInvalid", ("truncated.onnx",)),
    "a file that is no model": Broken(_not_a_model, "ModelInvalid", ("notes.txt",)),
    "TorchScript without torch": Broken(_no_torch, "Unsupported", ("torch",)),
    "an image that does not exist": Broken(
        _no_image, "ImageUnavailable", ("localhost/no-such-image:1",)
    ),
    "a claim that does not exist": Broken(_no_claim, "Unschedulable", ("no-such-claim",)),
    "more accelerators than there are": Broken(
        _no_accelerator, "InsufficientAccelerators", ("nvidia.com/gpu",), "Scheduled"
    ),
    "less memory than it needs": Broken(_too_little_memory, "OutOfMemory", ("24Mi",)),
    "a secret that does not exist": Broken(_no_secret, "ConfigMissing", ("no-secret",)),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_served_says_why(
    operator: str, kube: Kube, namespace: str, store: Store, case: Broken
) -> None:
    body = deployment("broken", {})
    body["spec"] = {**body["spec"], **case.spec(store)}  # type: ignore[dict-item]
    kube.apply(namespace, body)
    told = kube.until(
        namespace, "mdep", "broken", has_reason(case.condition, case.reason), timeout=90
    )
    message = condition(told, case.condition)["message"]
    for words in case.says:
        assert words in message
    assert "Traceback" not in message
    assert condition(told, "Ready")["status"] == "False"
    assert condition(told, "Available")["status"] == "False"
    assert told["status"]["phase"] == "Failed"
    event = kube.until_any(namespace, "event", "", lambda e: e.get("reason") == case.reason)
    assert event["type"] == "Warning"
    assert case.says[0] in event["message"]


def test_a_failure_is_told_within_ten_seconds_of_the_kubelet_knowing_it(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    kube.apply(namespace, deployment("quick", store.put("quick.onnx", scale(1.0)[:60])))
    told = kube.until(namespace, "mdep", "quick", has_reason("Progressing", "ModelInvalid"))
    at = datetime.now(UTC)
    (pod,) = kube.every(namespace, "pod", "modelfleet.dev/deployment=quick")
    (status,) = pod["status"]["containerStatuses"]
    ended = (status["state"].get("terminated") or status["lastState"]["terminated"])["finishedAt"]
    assert (at - datetime.fromisoformat(ended)).total_seconds() < 10
    assert condition(told, "Ready")["reason"] == "ModelInvalid"


def test_a_quota_that_refuses_pods_is_told_in_its_own_words(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "nothing"},
        "spec": {"hard": {"pods": "0"}},
    }
    kube.apply(namespace, quota)
    kube.until(namespace, "resourcequota", "nothing", lambda q: "hard" in q.get("status", {}))
    kube.apply(namespace, deployment("refused", store.put("refused.onnx", scale(1.0))))
    told = kube.until(namespace, "mdep", "refused", has_reason("Progressing", "PodsRefused"))
    assert "exceeded quota: nothing" in condition(told, "Progressing")["message"]
    kube.delete(namespace, "resourcequota", "nothing")
