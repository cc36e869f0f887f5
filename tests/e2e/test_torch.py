"""The torch flavour of the runtime: `make test-e2e FLAVOR=torch`."""

import io

import httpx
import pytest

from tests.e2e.kube import Kube, is_true
from tests.e2e.models import REQUEST, deployment
from tests.e2e.store import Store
from tests.e2e.urls import cluster_url

pytestmark = pytest.mark.torch


def _triple() -> bytes:
    torch = pytest.importorskip("torch", reason="make test-e2e FLAVOR=torch installs it")

    class Triple(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x * 3

    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(Triple(), torch.ones(2, 2)), buffer)
    return buffer.getvalue()


@pytest.mark.filterwarnings("default")
def test_a_torchscript_model_is_served(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    model = store.put("triple.pt", _triple(), format="torchscript")
    body = deployment("triple", model, resources={"limits": {"memory": "2Gi"}})
    kube.apply(namespace, body)
    kube.until(namespace, "mdep", "triple", is_true("Ready"), timeout=240)
    url = f"{cluster_url(kube, namespace, 'triple')}/v2/models/triple/infer"
    answer = httpx.post(url, json=REQUEST).json()
    assert answer["outputs"][0]["data"] == [3.0, 30.0]
