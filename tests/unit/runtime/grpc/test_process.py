"""The port of a real process: which one it is, when it is ready, and how it ends."""

import signal
import socket
import threading
from pathlib import Path
from typing import Any

import grpc
import pytest

from modelfleet_contract import GRPC_PORT
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.protocols.grpc.messages import health_pb2
from modelfleet_runtime.settings import Settings
from tests.unit.runtime.builders import linear_onnx, python_model
from tests.unit.runtime.grpc.serving import PATIENCE, request
from tests.unit.runtime.processes import Runtime, client, runtime

INFER = "/inference.GRPCInferenceService/ModelInfer"
SLOW = """
import pathlib, time
class Model:
    inputs = {"x": ("FP32", [-1, 4])}
    outputs = {"y": ("FP32", [-1, 4])}
    def load(self, folder):
        self.go = folder / "go"
    def predict(self, batch):
        while not self.go.exists():
            time.sleep(0.005)
        return batch["x"]
"""


def channel(up: Runtime) -> grpc.Channel:
    return grpc.insecure_channel(f"127.0.0.1:{up.heard(r'gRPC on [0-9.]+:([0-9]+)')[1]}")


@pytest.mark.parametrize("transport", ["own", "grpcio"])
def test_a_process_serves_both_ports_and_its_metrics_count_both(
    tmp_path: Path, transport: str
) -> None:
    linear_onnx(tmp_path / "m")
    with runtime(tmp_path, str(tmp_path / "m" / "model.onnx"), MODELFLEET_GRPC=transport) as up:
        with channel(up.ready()) as to, client(up.url) as http:
            method: Any = to.unary_unary(INFER)
            future = method.future(_named("m").SerializeToString(), timeout=PATIENCE)
            assert future.result()
            assert 'status="200"} 1.0' in http.get("/metrics").text
            (stats,) = http.get("/v2/models/m/stats").json()["model_stats"]
            assert stats["inference_stats"]["success"]["count"] == 1
            assert stats["inference_count"] == 1
        up.signal()
        assert up.end() == 0


def _named(name: str) -> Any:
    message = request()
    message.model_name = name
    return message


def test_sigterm_finishes_the_calls_that_are_open(tmp_path: Path) -> None:
    folder = python_model(tmp_path / "slow", SLOW)
    (folder / "go").touch()  # for the warm-up
    with runtime(tmp_path, str(folder)) as up, channel(up.ready()) as to:
        (folder / "go").unlink()
        message = _named("slow").SerializeToString()
        method: Any = to.unary_unary(INFER)
        call = method.future(message, timeout=PATIENCE)
        watch: Any = to.unary_stream(
            "/grpc.health.v1.Health/Watch",
            health_pb2.HealthCheckRequest.SerializeToString,
            health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        arrived = threading.Event()
        with client(up.url) as http:
            while 'in_progress{model_name="slow"} 1.0' not in http.get("/metrics").text:
                assert not arrived.wait(0.01)
        up.signal()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        up.signal(signal.SIGTERM)
        (folder / "go").touch()
        assert call.result()
        with pytest.raises(grpc.RpcError) as ended:
            next(watch)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert up.end() == 0


def test_there_may_be_no_such_port(tmp_path: Path) -> None:
    linear_onnx(tmp_path / "m")
    with runtime(
        tmp_path, str(tmp_path / "m"), "--grpc-port", "off", MODELFLEET_GRPC_PORT="1"
    ) as up:
        assert "gRPC" not in up.ready().log


def test_a_port_that_was_asked_for_and_is_taken_ends_the_process(tmp_path: Path) -> None:
    linear_onnx(tmp_path / "m")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with runtime(tmp_path, str(tmp_path / "m"), "--grpc-port", str(port)) as up:
            assert up.end() == 1
            assert f"cannot listen on 127.0.0.1:{port}" in up.said


@pytest.mark.parametrize(
    ("text", "port"), [("", GRPC_PORT), ("0", 0), ("9000", 9000), ("off", None)]
)
def test_the_port_is_read_from_the_environment(text: str, port: int | None) -> None:
    assert Settings.from_env({"MODELFLEET_GRPC_PORT": text}).grpc_port == port


@pytest.mark.parametrize("text", ["-1", "65536", "on", "8081 ", "０"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(CannotServe, match="MODELFLEET_GRPC_PORT"):
        Settings.from_env({"MODELFLEET_GRPC_PORT": text})
