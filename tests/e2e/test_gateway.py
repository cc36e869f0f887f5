"""A Gateway of the cluster splits the traffic: Envoy Gateway, which knows nothing of modelfleet."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import httpx
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
GATEWAYS = "gateway.gateway.networking.k8s.io"
PORTS = {"steps": 8081, "back": 8082, "http": 8083, "grpc": 9003, "arms": 8084}
"""Of the listeners."""
QUICK = {"timeout": "2s"}
"""So that a revision that has lost its share need not be kept for long."""
HALF = 300
"""Requests of which the half is counted."""


def gateway(name: str, *listeners: str) -> Json:
    """It takes routes from every namespace; each listener has a port of its own."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {
            "gatewayClassName": envoy.CLASS,
            "listeners": [
                {
                    "name": each,
                    "protocol": "HTTP",
                    "port": PORTS[each],
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
                for each in listeners
            ],
        },
    }


def is_programmed(found: Json) -> bool:
    return condition(found, "Programmed").get("status") == "True"


@pytest.fixture(scope="module")
def implementation(operator: str, cluster: Cluster, tools: install.Tools, images: Images) -> None:
    """Comes after the operator, as it may with people."""
    envoy.install(cluster, tools, images.router)


@pytest.fixture(scope="module")
def shared(implementation: None, kube: Kube) -> Iterator[str]:
    """The address of a Gateway, in a namespace of its own, with a listener for each test."""
    kube.apply(envoy.NAMESPACE, gateway("shared", *PORTS))
    found = kube.until(envoy.NAMESPACE, GATEWAYS, "shared", is_programmed, timeout=120)
    yield found["status"]["addresses"][0]["value"]
    kube.delete(envoy.NAMESPACE, GATEWAYS, "shared")


def through(listener: str, **more: Any) -> Json:
    """The routing of a ModelDeployment that the shared Gateway takes in there."""
    shared = {"name": "shared", "namespace": envoy.NAMESPACE, "sectionName": listener}
    return {"mode": "Gateway", "gateway": {**shared, **more}}


def url(host: str, listener: str) -> str:
    return f"http://{host}:{PORTS[listener]}"


def test_a_cluster_without_the_gateway_api_is_told_of(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    if kube.kubectl("get", "crd", "httproutes.gateway.networking.k8s.io", check=False).returncode:
        model = store.put("none.onnx", scale(1.0))
        kube.apply(namespace, deployment("nowhere", model, routing=through("http")))
        told = kube.until(
            namespace, "mdep", "nowhere", has_reason("Ready", "RoutingRefused"), timeout=90
        )
        assert "does not know the kind HTTPRoute" in condition(told, "Ready")["message"]
        kube.until(namespace, "mdep", "nowhere", is_true("Available"), timeout=90)
    else:
        pytest.skip("the cluster has it already (KEEP=1)")


def test_by_steps_through_a_gateway(shared: str, kube: Kube, namespace: str, store: Store) -> None:
    one, two = store.put("gate1.onnx", scale(1.0)), store.put("gate2.onnx", scale(2.0))
    common: Json = {"replicas": 2, "routing": through("steps"), "runtime": QUICK}
    kube.apply(namespace, deployment("steps", one, **common))
    before = kube.until(namespace, "mdep", "steps", is_true("Ready"), timeout=120)
    with Traffic(url(shared, "steps"), "steps") as traffic:
        traffic.until_answered_by(1.0, 50)
        kube.apply(namespace, deployment("steps", two, **common, rollout=STEPS))
        kube.until(namespace, "mdep", "steps", holds_at(20), timeout=90)
        assert_accepted(kube.get(namespace, ROUTE, "steps"))
        held = kube.until(namespace, "mdep", "steps", holds_at(50), timeout=90)
        traffic.until_answered_by(2.0, traffic.account.answers[2.0] + 20)
        then = dict(traffic.account.answers)
        traffic.until_answered_by(2.0, int(then[2.0]) + HALF)
        ones = traffic.account.answers[1.0] - then[1.0]
        # Four standard deviations of how many of the one are drawn until there are so many of the
        # other.
        assert abs(ones - HALF) <= 4 * (2 * HALF) ** 0.5
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


def test_back_through_a_gateway(shared: str, kube: Kube, namespace: str, store: Store) -> None:
    one, two = store.put("back1.onnx", scale(1.0)), store.put("back2.onnx", scale(2.0))
    common: Json = {"routing": through("back"), "runtime": QUICK}
    kube.apply(namespace, deployment("back", one, **common))
    kube.until(namespace, "mdep", "back", is_true("Ready"), timeout=120)
    steps = {"strategy": "Progressive", "steps": [{"weight": 30, "untilPromoted": True}]}
    with Traffic(url(shared, "back"), "back") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, deployment("back", two, **common, rollout=steps))
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
    wrong, right = (
        {"mode": "Gateway", "gateway": {"name": "models", "sectionName": each}}
        for each in ("nosuch", "http")
    )
    kube.apply(namespace, deployment("missing", model, routing=wrong))
    told = kube.until(
        namespace, "mdep", "missing", has_reason("Ready", "RoutingRefused"), timeout=90
    )
    assert "there is no Gateway models" in condition(told, "Ready")["message"]
    kube.until(namespace, "mdep", "missing", is_true("Available"), timeout=60)
    kube.apply(namespace, gateway("models", "http"))
    kube.until(namespace, "mdep", "missing", says_of_its_route("missing"), timeout=90)
    kube.apply(namespace, deployment("missing", model, routing=right))
    kube.until(namespace, "mdep", "missing", is_true("Ready"), timeout=120)
    kube.apply(namespace, deployment("missing", model))
    kube.until_gone(namespace, ROUTE, "modelfleet.dev/deployment=missing")
    kube.until(namespace, "mdep", "missing", is_true("Ready"), timeout=60)
    kube.delete(namespace, GATEWAYS, "models")


def says_of_its_route(name: str) -> Callable[[Json], bool]:
    """The Gateway's own words are passed on."""
    return lambda found: f"HTTPRoute {name}: " in condition(found, "Ready").get("message", "")


def test_grpc_comes_in_at_a_listener_of_its_own(
    shared: str, kube: Kube, namespace: str, store: Store
) -> None:
    both = through("http", grpcSectionName="grpc")
    kube.apply(namespace, deployment("spoken", store.put("g.onnx", scale(2.0)), routing=both))
    kube.until(namespace, "mdep", "spoken", is_true("Ready"), timeout=120)
    with grpc.insecure_channel(f"{shared}:{PORTS['grpc']}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )
        answer = check(
            health_pb2.HealthCheckRequest(service="spoken"), timeout=30, wait_for_ready=True
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_match_leads_to_its_variant(
    shared: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("m1.onnx", scale(1.0)), store.put("m2.onnx", scale(2.0))
    match = {"headers": [{"name": "x-arm", "value": "two"}], "variant": "two"}
    variants = [{"name": "one", "weight": 100}, {"name": "two", "weight": 0, "model": two}]
    routing = {**through("arms"), "matches": [match]}
    kube.apply(namespace, deployment("arms", one, routing=routing, variants=variants))
    kube.until(namespace, "mdep", "arms", is_true("Ready"), timeout=120)
    there = url(shared, "arms")
    assert {ask(there, "arms") for _ in range(20)} == {1.0}
    assert {ask(there, "arms", {"x-arm": "two"}) for _ in range(20)} == {2.0}


def ask(url: str, model: str, headers: dict[str, str] | None = None) -> float:
    """Which factor answers."""
    answer = httpx.post(f"{url}/v2/models/{model}/infer", json=REQUEST, headers=headers)
    assert answer.status_code == 200, answer.text
    factor: float = answer.json()["outputs"][0]["data"][0]
    return factor
