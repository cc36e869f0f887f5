"""A model on a PersistentVolumeClaim, and one in a file of the pod."""

import hashlib
from pathlib import Path

import httpx

from dev.cluster import Cluster
from tests.e2e.kube import Kube, is_true
from tests.e2e.models import REQUEST, deployment, scale
from tests.e2e.urls import cluster_url


def _volume(name: str, namespace: str, cluster: Cluster, folder: Path) -> list[dict[str, object]]:
    path = str(cluster.node_fs / folder.relative_to("/"))
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": "",
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{name}-{namespace}"},
            "spec": {
                **spec,
                "claimRef": {"name": name, "namespace": namespace},
                "hostPath": {"path": path},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "storageClassName": "",
                "volumeName": f"{name}-{namespace}",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        },
    ]


def test_a_model_on_a_claim_is_served(
    operator: str, kube: Kube, cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    content = scale(4.0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent != Path("/") and parent.stat().st_uid == 0 and "pytest" in parent.name:
            parent.chmod(0o755)
    folder = tmp_path / "scale" / "7"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    claim, volume = "models", _volume("models", namespace, cluster, tmp_path)
    for item in volume:
        kube.apply(namespace, item)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    kube.apply(
        namespace,
        deployment("folder", {"uri": f"pvc://{claim}/scale/7"}),
        deployment("file", {"uri": f"pvc://{claim}/scale/7/model.onnx", "digest": digest}),
    )
    try:
        for name in ("folder", "file"):
            kube.until(namespace, "mdep", name, is_true("Ready"), timeout=90)
            url = f"{cluster_url(kube, namespace, name)}/v2/models/{name}/infer"
            assert httpx.post(url, json=REQUEST).json()["outputs"][0]["data"] == [4.0, 40.0]
    finally:
        kube.kubectl("delete", "mdep", "--all", "--namespace", namespace)
        kube.kubectl("delete", "pv", f"{claim}-{namespace}", "--wait=false")


def test_a_python_model_in_a_volume_of_the_pod_is_served(
    operator: str, kube: Kube, namespace: str
) -> None:
    source = (
        "import numpy as np\n\n\n"
        "class Add:\n"
        "    def predict(self, inputs):\n"
        "        return {'y': inputs['x'] + np.float32(1)}\n"
    )
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "add"},
        "data": {"model.py": source},
    }
    body = deployment(
        "add",
        {"uri": "file:///code", "format": "python"},
        podTemplate={
            "volumes": [{"name": "code", "configMap": {"name": "add"}}],
            "volumeMounts": [{"name": "code", "mountPath": "/code", "readOnly": True}],
        },
    )
    kube.apply(namespace, config, body)
    kube.until(namespace, "mdep", "add", is_true("Ready"), timeout=90)
    url = f"{cluster_url(kube, namespace, 'add')}/v2/models/add/infer"
    assert httpx.post(url, json=REQUEST).json()["outputs"][0]["data"] == [2.0, 11.0]
