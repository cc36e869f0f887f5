"""One real cluster for all of these tests, with the operator installed by its chart.

The cluster is named e2e (CLUSTER_NAME for another), so a running demo is not touched. KEEP=1 leaves
it up afterwards, and a later run takes it as it is. When a test fails, what the cluster knows about
it is kept below `.artifacts/`, and the output says where.
"""

import os
import re
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev import install
from dev.cluster import Cluster
from dev.images import Images, build
from tests.e2e.kube import Kube
from tests.e2e.program import Program
from tests.e2e.store import Store

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / ".artifacts"
KEPT_FAILURES = 5


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    name = os.environ.get("CLUSTER_NAME", "e2e")
    up = Cluster.up(name)
    yield up
    if not os.environ.get("KEEP"):
        up.down()


@pytest.fixture(scope="session")
def images(cluster: Cluster) -> Images:
    return install.place(cluster, build(flavor=os.environ.get("FLAVOR", "onnx")))


@pytest.fixture(scope="session")
def tools(cluster: Cluster) -> install.Tools:
    return install.Tools(cluster.kubectl, cluster.helm, cluster.kubeconfig)


@pytest.fixture(scope="session")
def kubectl(tools: install.Tools) -> Program:
    return Program(tools.kubectl_command())


@pytest.fixture(scope="session")
def helm(tools: install.Tools) -> Program:
    return Program(tools.helm_command())


@pytest.fixture(scope="session")
def kube(kubectl: Program) -> Kube:
    return Kube(kubectl)


@pytest.fixture(scope="session")
def crd_installed(kubectl: Program) -> None:
    """The CRD as `kubectl apply` installs it, without the operator."""
    crd = ROOT / "crds" / "modelfleet.dev_modeldeployments.yaml"
    kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(crd))
    kubectl(
        "wait", "--for=condition=Established", "--timeout=30s",
        "crd/modeldeployments.modelfleet.dev",
    )  # fmt: skip


@pytest.fixture(scope="session")
def operator(tools: install.Tools, images: Images) -> str:
    """The chart, installed with the images of this checkout; the namespace that it is in."""
    install.install(tools, images)
    return install.NAMESPACE


@pytest.fixture
def namespace(kubectl: Program, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with Pod Security at its strictest."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{words}-{uuid.uuid4().hex[:5]}"
    kubectl("create", "namespace", name)
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", name, enforce, "modelfleet-test=yes")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def store(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A web server on this host from which pods fetch models."""
    served = Store(cluster.host_ip, tmp_path_factory.mktemp("models"))
    yield served
    served.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, Any]:
    """Keeps the cluster's side of the first failures, while it is still there to be asked."""
    report = yield
    if report.failed and report.when in ("setup", "call") and _kept() < KEPT_FAILURES:
        up = Cluster.find(os.environ.get("CLUSTER_NAME", "e2e"))
        if up is not None:
            folder = ARTIFACTS / re.sub(r"\W+", "-", item.name).strip("-")
            up.collect(folder)
            report.sections.append(("the cluster", f"events, logs and resources are in {folder}"))
    return report


def _kept() -> int:
    return len(list(ARTIFACTS.iterdir())) if ARTIFACTS.exists() else 0
