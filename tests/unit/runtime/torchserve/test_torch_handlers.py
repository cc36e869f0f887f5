"""Handlers with torch: the models that the base handler loads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelfleet_contract import EngineSettings, FailureReason
from modelfleet_runtime.engines.engine import engine_for
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages.find import find
from tests.unit.runtime.torchserve.archives import contents, unpacked
from tests.unit.runtime.torchserve.test_handlers import ask, loaded, request

pytestmark = pytest.mark.torch

DOUBLING = """
import torch


class Doubling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return x * self.factor
"""

HANDLER = """
import torch
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def preprocess(self, data):
        return torch.tensor([row["body"] for row in data])
"""

ONNX_HANDLER = """
import numpy as np
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    def preprocess(self, data):
        return np.array([row["body"] for row in data], np.float32)

    def inference(self, data):
        return self.model.run(None, {self.model.get_inputs()[0].name: data})[0]
"""


def doubling() -> Any:
    space: dict[str, Any] = {}
    exec(DOUBLING, space)
    return space["Doubling"]()


def eager(folder: Path) -> dict[str, bytes]:
    import torch

    torch.save(doubling().state_dict(), folder / "w.pt")
    return _made(folder, "w.pt", files={"net.py": DOUBLING}, modelFile="net.py")


def scripted(folder: Path) -> dict[str, bytes]:
    import torch

    torch.jit.save(torch.jit.trace(doubling(), torch.ones(1, 2)), str(folder / "w.pt"))
    return _made(folder, "w.pt")


def exported(folder: Path) -> dict[str, bytes]:
    import torch

    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(doubling(), (torch.ones(2, 2),), dynamic_shapes=({0: rows},))
    torch.export.save(program, folder / "w.pt2")
    return _made(folder, "w.pt2")


def onnx(folder: Path) -> dict[str, bytes]:
    from onnx import TensorProto, helper, save

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, folder / "w.onnx")
    return _made(folder, "w.onnx", ONNX_HANDLER)


def _made(
    folder: Path, weights: str, handler: str = HANDLER, files: Any = None, **model: str
) -> dict[str, bytes]:
    all_files = {weights: (folder / weights).read_bytes(), **(files or {})}
    return contents(handler, "batchSize: 4", all_files, serializedFile=weights, **model)


BUILDERS = (eager, scripted, exported, onnx)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_what_the_base_handler_loads(
    build: Callable[[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    with loaded(tmp_path / "a", build(tmp_path)) as engine:
        bodies = (b"[1.0, 2.0]", b"[3.0, 4.0]")
        answers = ask(engine, *(request(body, "application/json") for body in bodies))
        assert [json.loads(answer.body) for answer in answers] == [[2.0, 4.0], [6.0, 8.0]]
        assert {one.name for one in answers[0].measures} == {"HandlerTime", "PredictionTime"}


def refusal(place: Path, made: dict[str, bytes]) -> CannotServe:
    engine = engine_for(find(unpacked(place, made)), EngineSettings(), 1)
    with pytest.raises(CannotServe) as refused:
        engine.load()
    return refused.value


def test_weights_that_are_no_weights_are_not_unpickled(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            import os

            return os.system, (f"touch {tmp_path}/ran",)

    files: dict[str, bytes | str] = {"w.pt": pickle.dumps(Evil()), "net.py": DOUBLING}
    made = contents(HANDLER, None, files, serializedFile="w.pt", modelFile="net.py")
    assert refusal(tmp_path / "a", made).failure.reason is FailureReason.MODEL_INVALID
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    made = contents(HANDLER, None, {"w.bin": b""}, serializedFile="w.bin")
    assert "w.bin is none of .pt, .onnx, .pt2" in refusal(tmp_path / "a", made).failure.message


def test_a_tensor_is_answered_as_torch_saves_it(tmp_path: Path) -> None:
    import io

    import torch

    source = (
        "import torch\n\ndef handle(data, context):\n    return [torch.ones(2)] * len(data or [])"
    )
    with loaded(tmp_path / "a", contents(source)) as engine:
        (answer,) = ask(engine, request())
    assert torch.load(io.BytesIO(answer.body)).tolist() == [1.0, 1.0]


def test_the_image_handlers_say_what_they_need(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    try:
        import torchvision  # noqa: F401
    except ImportError:
        made = contents(
            None, None, {"w.pt": b""}, handler="image_classifier", serializedFile="w.pt"
        )
        assert "imports torchvision, which this image" in refusal(tmp_path, made).failure.message
