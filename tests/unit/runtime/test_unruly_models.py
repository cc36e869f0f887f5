"""The model's author's code misbehaves at run time: one request suffers, the server does not."""

import json
import os
from pathlib import Path

import httpx

from tests.unit.runtime.builders import python_model
from tests.unit.runtime.processes import check_refusal, client, runtime

HOOKED = """
import sys

class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def preprocess(self, item):
        if item == "exit":
            sys.exit(3)
        if item == "interrupt":
            raise KeyboardInterrupt
        if item == "stop":
            raise StopIteration
        return {"x": [[item]]}

    def predict(self, inputs):
        if (inputs["x"] == 13).any():
            sys.exit(3)
        return {"y": inputs["x"]}

    def postprocess(self, outputs):
        if outputs["y"][0, 0] == 14:
            sys.exit(3)
        return outputs["y"]
"""


def test_no_request_ends_the_server(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", HOOKED)
    with runtime(tmp_path, str(place)) as server, client(server.ready().url) as http:
        for wicked in ("exit", "interrupt", "stop", 13, 14):
            for path, given in (("/predict", wicked), ("/predict/batch", [1, wicked])):
                refused = http.post(path, json={"inputs": given})
                assert refused.status_code == 500, (wicked, refused.text)
                assert "error" in json.loads(refused.content)
        assert http.post("/predict", json={"inputs": 1}).json()["outputs"] == [[1]]
        server.signal()
        assert server.end() == 0


HANGING = """
class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def load(self, folder):
        self.gate = folder / "gate"

    def preprocess(self, item):
        if item == "hang":
            self.gate.open("rb").close()
        return {"x": [[item]]}

    def predict(self, inputs):
        return {"y": inputs["x"]}

    def postprocess(self, outputs):
        if outputs["y"][0, 0] == 13:
            self.gate.open("rb").close()
        return outputs["y"]
"""


def test_a_step_that_hangs_ends_with_the_requests_time_and_holds_up_no_end(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", HANGING)
    os.mkfifo(place / "gate")  # which nobody opens for writing
    with runtime(tmp_path, str(place)) as server, client(server.ready().url) as http:
        for given in ("hang", 13):
            for path, value in (("/predict", given), ("/predict/batch", [given, 1])):
                late = http.post(
                    path, json={"inputs": value}, headers={"x-request-timeout-ms": "100"}
                )
                check_refusal(late, 504, "time is over")
        assert http.post("/predict", json={"inputs": 1}).json()["outputs"] == [[1]]
        server.signal()
        assert server.end() == 0


PREPARING = """
class Model:
    inputs = {"x": ("FP32", [-1, 1])}
    outputs = {"y": ("FP32", [-1, 1])}

    def preprocess(self, item):
        given = {"two": [[7], [8]], "none": [], "text": [["a"]], "scalar": 1}
        return {"x": given.get(item, [[item]])}

    def predict(self, inputs):
        return {"y": inputs["x"]}
"""


def test_a_preprocess_that_gives_other_than_one_row(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", PREPARING)
    with runtime(tmp_path, str(place)) as server, client(server.ready().url) as http:
        for item in ("two", "none", "text", "scalar"):
            for path, given in (("/predict", item), ("/predict/batch", [1, item, 3])):
                check_refusal(http.post(path, json={"inputs": given}), 500, "preprocess")
        said = http.post("/predict/batch", json={"inputs": [1, 2, 3]}).json()
        assert said["outputs"] == [{"y": [1]}, {"y": [2]}, {"y": [3]}]
        assert '"trace"' not in server.log


ROWLESS = """
class Model:
    inputs = {"x": ("FP32", [-1, -1])}
    outputs = {"y": ("FP32", [-1, -1])}

    def predict(self, inputs):
        x = inputs["x"]
        if (x == 13).any():
            return {"z": x}
        if (x == 14).any():
            return {"y": object()}
        if (x == 15).any():
            return {"y": x[:0]}
        if (x == 16).any():
            return {"y": x * float("nan")}
        if (x == 17).any():
            return None
        if (x == 18).any():
            return {"y": x.repeat(17, 0)}
        return {"y": x}
"""


def test_answers_that_are_none(tmp_path: Path) -> None:
    place = python_model(tmp_path / "model", ROWLESS)
    with runtime(tmp_path, str(place), "--name", "m") as server, client(server.ready().url) as http:

        def infer(value: float) -> httpx.Response:
            tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [value, value]}
            return http.post("/v2/models/m/infer", json={"inputs": [tensor]})

        for value, status, words in (
            (13, 500, "output 'y'"),
            (14, 500, "object"),
            (15, 500, "0 rows for 1 row"),
            (16, 400, "NaN"),
            (17, 500, "NoneType"),
            (18, 500, "17 rows for 1 row"),
        ):
            check_refusal(infer(value), status, words)
            check_refusal(http.post("/predict", json={"inputs": [value, 1]}), status, words)
            assert infer(1).status_code == 200
        assert json.loads(infer(1).content)["outputs"][0]["data"] == [1, 1]
