"""A model behind its Service, asked over gRPC."""

from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from modelfleet_runtime.protocols.grpc.messages import health_pb2, inference_pb2
from tests.e2e.kube import Json, Kube, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.store import Store

PATIENCE = 10.0
"""Seconds for one call."""


@pytest.fixture
def channel(
    operator: str, kube: Kube, namespace: str, store: Store
) -> Iterator[tuple[Json, grpc.Channel]]:
    """The resource `spoken`, which is ready, and a channel to its address."""
    kube.apply(namespace, deployment("spoken", store.put("spoken.onnx", scale(2.0))))
    ready = kube.until(namespace, "mdep", "spoken", is_true("Ready"), timeout=90)
    spec = kube.get(namespace, "service", "spoken")["spec"]
    (port,) = [port["port"] for port in spec["ports"] if port["name"] == "grpc"]
    with grpc.insecure_channel(f"{spec['clusterIP']}:{port}") as made:
        yield ready, made


def test_a_model_is_served_over_grpc_behind_its_stable_address(
    channel: tuple[Json, grpc.Channel],
) -> None:
    _, spoken = channel
    check = spoken.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    infer = spoken.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        inference_pb2.ModelInferRequest.SerializeToString,
        inference_pb2.ModelInferResponse.FromString,
    )

    health = check(health_pb2.HealthCheckRequest(service="spoken"), timeout=PATIENCE)
    assert health.status == health_pb2.HealthCheckResponse.SERVING

    request = inference_pb2.ModelInferRequest(model_name="spoken", id="one")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    request.raw_input_contents.append(np.array([1, 10], np.float32).tobytes())
    answer = infer(request, timeout=PATIENCE)
    assert np.frombuffer(answer.raw_output_contents[0], np.float32).tolist() == [2.0, 20.0]
    assert answer.id == "one"

    request.inputs[0].name = "z"
    with pytest.raises(grpc.RpcError) as refused:
        infer(request, timeout=PATIENCE)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "unexpected input 'z'" in str(refused.value.details())


def test_the_headless_service_of_a_revision_names_the_port_too(
    channel: tuple[Json, grpc.Channel], kube: Kube, namespace: str
) -> None:
    ready, _ = channel
    revision = ready["status"]["variants"][0]["stable"]
    ports = kube.get(namespace, "service", revision)["spec"]["ports"]
    (port,) = [port for port in ports if port["name"] == "grpc"]
    assert (port["port"], port["targetPort"]) == (8081, "grpc")
    assert port["appProtocol"] == "kubernetes.io/h2c"
