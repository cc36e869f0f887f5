"""A Gateway of the cluster splits the traffic: Envoy Gateway, which knows nothing of modelfleet."""

import http.client
import json
from collections.abc import Iterator
from typing import NamedTuple

import grpc
import pytest

from dev import gateway as envoy
from dev import install
from dev.cluster import Cluster
from dev.images import Images
from modelfleet_runtime.protocols.grpc.messages import health_pb2
from tests.e2e.kube import Json, Kube, condition, has_reason, is_true
from tests.e2e.models import REQUEST, deployment, scale
from tests.e2e.store import Store
from tests.e2e.test_rollouts import STEPS, holds_at, say, variant
from tests.e2e.traffic import Traffic

ROUTE = "httproute.gateway.networking.k8s.io"
HTTP = {"name": "models", "sectionName": "http"}
BY_GATEWAY: Json = {"mode": "Gateway", "gateway": HTTP}
DRAWN = 600
"""Requests of which a share is counted."""


class Listener(NamedTuple):
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


def gateway(name: str = "models") -> Json:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "gatewayClassName": envoy.CLASS,
            "listeners": [
                {"name": "http", "protocol": "HTTP", "port": 8080},
                {"name": "grpc", "protocol": "HTTP", "port": 9000},
            ],
        },
    }


def is_programmed(found: Json) -> bool:
    return condition(found, "Programmed").get("status") == "True"


@pytest.fixture(scope="module")
def implementation(operator: str, cluster: Cluster, tools: install.Tools, images: Images) -> None:
    """Comes after the operator, as it may with people."""
    envoy.install(cluster, tools, images.router)


@pytest.fixture
def made(implementation: None, kube: Kube, namespace: str) -> Iterator[str]:
    """The address of a Gateway in the test's namespace."""
    kube.apply(namespace, gateway())
    found = kube.until(
        namespace, "gateway.gateway.networking.k8s.io", "models", is_programmed, timeout=120
    )
    yield found["status"]["addresses"][0]["value"]
    kube.delete(namespace, "gateway.gateway.networking.k8s.io", "models")


def test_a_cluster_without_the_gateway_api_is_told_of(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    if kube.kubectl("get", "crd", "httproutes.gateway.networking.k8s.io", check=False).returncode:
        model = store.put("none.onnx", scale(1.0))
        kube.apply(namespace, deployment("nowhere", model, routing=BY_GATEWAY))
        told = kube.until(
            namespace, "mdep", "nowhere", has_reason("Ready", "RoutingRefused"), timeout=90
        )
        assert "does not know the kind HTTPRoute" in condition(told, "Ready")["message"]
        kube.until(namespace, "mdep", "nowhere", is_true("Available"), timeout=90)
    else:
        pytest.skip("the cluster has it already (KEEP=1)")


def test_by_steps_through_a_gateway(made: str, kube: Kube, namespace: str, store: Store) -> None:
    one, two = store.put("gate1.onnx", scale(1.0)), store.put("gate2.onnx", scale(2.0))
    runtime = {"timeout": "2s"}
    kube.apply(namespace, deployment("steps", one, replicas=2, routing=BY_GATEWAY, runtime=runtime))
    before = kube.until(namespace, "mdep", "steps", is_true("Ready"), timeout=120)
    with Traffic(Listener(made, 8080).url, "steps") as traffic:
        traffic.until_answered_by(1.0, 50)
        new = deployment(
            "steps", two, replicas=2, routing=BY_GATEWAY, runtime=runtime, rollout=STEPS
        )
        kube.apply(namespace, new)
        kube.until(namespace, "mdep", "steps", holds_at(20), timeout=90)
        assert_accepted(kube.get(namespace, ROUTE, "steps"))
        held = kube.until(namespace, "mdep", "steps", holds_at(50), timeout=90)
        traffic.until_answered_by(2.0, traffic.account.answers[2.0] + 20)
        then = dict(traffic.account.answers)
        traffic.until_answered_by(2.0, int(then[2.0]) + DRAWN // 2)
        ones = traffic.account.answers[1.0] - then[1.0]
        # Four standard deviations of what drawing 300 of one kind gives of the other.
        assert abs(ones - DRAWN // 2) <= 4 * (DRAWN**0.5)
        say(kube, namespace, "steps", "promote")
        after = kube.until(namespace, "mdep", "steps", is_true("Ready"), timeout=120)
        kube.until_gone(
            namespace, "pod", f"modelfleet.dev/revision={variant(before)['stable']}", timeout=120
        )
        traffic.until_answered_by(2.0, traffic.account.answers[2.0] + 50)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert variant(after)["stable"] == variant(held)["candidate"]
    weights = weights_of(kube.get(namespace, ROUTE, "steps"))
    assert {name: each for name, each in weights.items() if each} == {
        variant(after)["stable"]: 10000
    }


def assert_accepted(route: Json) -> None:
    (parent,) = route["status"]["parents"]
    assert parent["controllerName"] == envoy.CONTROLLER
    for each in parent["conditions"]:
        if each["type"] in ("Accepted", "ResolvedRefs"):
            assert each["status"] == "True"
            assert each["observedGeneration"] == route["metadata"]["generation"]


def weights_of(route: Json) -> dict[str, int]:
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][-1]["backendRefs"]}


def test_back_through_a_gateway(made: str, kube: Kube, namespace: str, store: Store) -> None:
    one, two = store.put("back1.onnx", scale(1.0)), store.put("back2.onnx", scale(2.0))
    runtime = {"timeout": "2s"}
    kube.apply(namespace, deployment("back", one, routing=BY_GATEWAY, runtime=runtime))
    kube.until(namespace, "mdep", "back", is_true("Ready"), timeout=120)
    rollout = {"strategy": "Progressive", "steps": [{"weight": 30, "untilPromoted": True}]}
    with Traffic(Listener(made, 8080).url, "back") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(
            namespace,
            deployment("back", two, routing=BY_GATEWAY, runtime=runtime, rollout=rollout),
        )
        kube.until(namespace, "mdep", "back", holds_at(30), timeout=90)
        traffic.until_answered_by(2.0, 5)
        say(kube, namespace, "back", "abort")
        kube.until(namespace, "mdep", "back", has_reason("Progressing", "RolledBack"), timeout=60)
        kube.until(
            namespace,
            ROUTE,
            "back",
            lambda route: max(weights_of(route).values()) == 10000,
            timeout=30,
        )
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 100)
    assert traffic.account.lost == []


def test_what_keeps_a_gateway_from_serving_is_told(
    implementation: None, kube: Kube, namespace: str, store: Store
) -> None:
    model = store.put("missing.onnx", scale(1.0))
    nowhere = {"mode": "Gateway", "gateway": {"name": "models", "sectionName": "nosuch"}}
    kube.apply(namespace, deployment("missing", model, routing=nowhere))
    told = kube.until(
        namespace, "mdep", "missing", has_reason("Ready", "RoutingRefused"), timeout=90
    )
    assert "there is no Gateway models" in condition(told, "Ready")["message"]
    kube.until(namespace, "mdep", "missing", is_true("Available"), timeout=60)
    kube.apply(namespace, gateway())
    kube.until(
        namespace,
        "mdep",
        "missing",
        lambda found: "HTTPRoute missing: " in condition(found, "Ready").get("message", ""),
        timeout=90,
    )
    kube.apply(namespace, deployment("missing", model, routing=BY_GATEWAY))
    kube.until(namespace, "mdep", "missing", is_true("Ready"), timeout=120)
    kube.apply(namespace, deployment("missing", model))
    kube.until_gone(namespace, ROUTE, "modelfleet.dev/deployment=missing")
    kube.until(namespace, "mdep", "missing", is_true("Ready"), timeout=60)
    kube.delete(namespace, "gateway.gateway.networking.k8s.io", "models")


def test_grpc_comes_in_at_a_listener_of_its_own(
    made: str, kube: Kube, namespace: str, store: Store
) -> None:
    both = {"mode": "Gateway", "gateway": {**HTTP, "grpcSectionName": "grpc"}}
    kube.apply(namespace, deployment("spoken", store.put("g.onnx", scale(2.0)), routing=both))
    kube.until(namespace, "mdep", "spoken", is_true("Ready"), timeout=120)
    with grpc.insecure_channel(f"{made}:9000") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        answer = check(
            health_pb2.HealthCheckRequest(service="spoken"), timeout=30, wait_for_ready=True
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_matches_and_mirrors(made: str, kube: Kube, namespace: str, store: Store) -> None:
    one, two = store.put("m1.onnx", scale(1.0)), store.put("m2.onnx", scale(2.0))
    routing = {
        **BY_GATEWAY,
        "matches": [{"headers": [{"name": "x-arm", "value": "two"}], "variant": "two"}],
    }
    variants = [{"name": "one", "weight": 100}, {"name": "two", "weight": 0, "model": two}]
    kube.apply(namespace, deployment("arms", one, routing=routing, variants=variants))
    kube.until(namespace, "mdep", "arms", is_true("Ready"), timeout=120)
    assert {ask(made, "arms") for _ in range(20)} == {1.0}
    assert {ask(made, "arms", {"x-arm": "two"}) for _ in range(20)} == {2.0}


def ask(host: str, model: str, headers: dict[str, str] | None = None) -> float:
    connection = http.client.HTTPConnection(host, 8080, timeout=20)
    try:
        connection.request(
            "POST",
            f"/v2/models/{model}/infer",
            json.dumps(REQUEST),
            {"content-type": "application/json", **(headers or {})},
        )
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        factor: float = json.loads(body)["outputs"][0]["data"][0]
        return factor
    finally:
        connection.close()
