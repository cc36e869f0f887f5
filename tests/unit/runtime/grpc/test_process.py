"""The gRPC port of a process: from loading to the end after SIGTERM."""

import threading
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from modelfleet_contract import GRPC_PORT
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.protocols.grpc.messages import health_pb2
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.settings import Settings
from tests.unit.runtime.builders import python_model
from tests.unit.runtime.grpc.serving import INFERENCE, request
from tests.unit.runtime.processes import PATIENCE, Runtime, client, runtime

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
MODEL = """
import pathlib, time
class Model:
    inputs = {"x": ("FP32", [-1, 4])}
    def predict(self, inputs):
        here = pathlib.Path(__file__).parent
        if inputs["x"][0, 0] == 7:
            (here / "running").touch()
            while not (here / "go").exists():
                time.sleep(0.01)
        return {"y": inputs["x"] * 2}
"""


def channel(process: Runtime) -> grpc.Channel:
    return grpc.insecure_channel(process.heard(r"gRPC on ([0-9.]+:\d+)")[1])


def infer(over: grpc.Channel) -> Any:
    return over.unary_unary(
        f"/{INFERENCE}/ModelInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelInferResponse.FromString,
    )


def watch(over: grpc.Channel) -> Any:
    call = over.unary_stream(
        "/grpc.health.v1.Health/Watch",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    return call(health_pb2.HealthCheckRequest(), timeout=PATIENCE)


@pytest.mark.parametrize("server", ["own", "grpcio"])
def test_sigterm_finishes_what_was_accepted_and_what_still_comes(
    tmp_path: Path, server: str
) -> None:
    folder = python_model(tmp_path / "m", MODEL)
    with (
        runtime(tmp_path / "run", str(folder), MODELFLEET_GRPC=server) as process,
        channel(process.ready()) as over,
    ):
        states = watch(over)
        assert next(states).status == SERVING
        slow = infer(over).future(request([[7, 0, 0, 0]]), timeout=PATIENCE)
        wait_for(folder / "running")

        process.signal()
        assert next(states).status == NOT_SERVING
        late = infer(over).future(request([[1, 2, 3, 4]]), timeout=PATIENCE)
        (folder / "go").touch()
        for answer, first in ((slow.result(), 14), (late.result(), 2)):
            values = np.frombuffer(answer.raw_output_contents[0], np.float32)
            assert values[0] == first
        with pytest.raises(grpc.RpcError) as ended:
            next(states)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert process.end() == 0


def wait_for(file: Path) -> None:
    """Another process makes it."""
    for _ in range(int(PATIENCE * 100)):
        if file.exists():
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"there is no {file}")


def test_a_port_that_was_asked_for_and_is_taken_ends_the_process(tmp_path: Path) -> None:
    folder = python_model(tmp_path / "m", MODEL)
    with runtime(tmp_path / "first", str(folder)) as first:
        taken = first.ready().heard(r"gRPC on [0-9.]+:(\d+)")[1]
        second = Runtime(
            ["serve", str(folder), "--port", "0", "--grpc-port", taken, "--host", "127.0.0.1"],
            {},
            tmp_path / "termination-log",
        )
        assert second.end() == 1
        assert f"cannot listen on 127.0.0.1:{taken}" in second.said


def test_off_opens_no_port(tmp_path: Path) -> None:
    folder = python_model(tmp_path / "m", MODEL)
    process = Runtime(
        ["serve", str(folder), "--port", "0", "--grpc-port", "off", "--host", "127.0.0.1"],
        {},
        tmp_path / "termination-log",
    )
    try:
        process.ready()
        assert "gRPC" not in process.log
        with client(process.url) as http:
            assert http.get("/health/ready").status_code == 200
    finally:
        process.signal()
        assert process.end() == 0


def test_metrics_and_statistics_count_both_ports_together(tmp_path: Path) -> None:
    folder = python_model(tmp_path / "m", MODEL)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}
    with runtime(tmp_path / "run", str(folder)) as process, channel(process.ready()) as over:
        assert infer(over)(request(), timeout=PATIENCE)
        with client(process.url) as http:
            assert http.post("/v2/models/m/infer", json=body).status_code == 200
            assert 'status="200"} 2.0' in http.get("/metrics").text
            (stats,) = http.get("/v2/models/m/stats").json()["model_stats"]
            assert http.get("/v2/models/n/stats").status_code == 404
        assert stats["inference_stats"]["success"]["count"] == 2
        assert stats["inference_count"] == 2
        process.signal()
        assert process.end() == 0


@pytest.mark.parametrize(
    ("text", "port"), [("", GRPC_PORT), ("0", 0), ("9000", 9000), ("off", None)]
)
def test_the_port_is_read_from_the_environment(text: str, port: int | None) -> None:
    assert Settings.from_env({"MODELFLEET_GRPC_PORT": text}).grpc_port == port


@pytest.mark.parametrize("text", ["-1", "65536", "on", "8081 ", "\uff10"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(CannotServe, match="MODELFLEET_GRPC_PORT"):
        Settings.from_env({"MODELFLEET_GRPC_PORT": text})
