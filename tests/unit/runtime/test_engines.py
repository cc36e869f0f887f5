"""What every engine promises, on each; and what is particular to one."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modelfleet_contract import EngineSettings, FailureReason
from modelfleet_runtime.engines.engine import Engine, engine_for
from modelfleet_runtime.engines.onnx import rows_come_first
from modelfleet_runtime.engines.python import PythonEngine
from modelfleet_runtime.engines.warm_up import warm_up
from modelfleet_runtime.errors import BadInput, CannotServe, EngineBroken, OutOfMemory
from modelfleet_runtime.packages.find import find
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import PIXELS, linear_onnx, python_model, rows


def engine(place: Path) -> Engine:
    return engine_for(find(place), EngineSettings(), 1)


def failure(place: Path, rows_: int = 4) -> tuple[FailureReason, str]:
    def start() -> None:
        made = engine(place)
        made.load()
        made.warm_up(rows_)

    with pytest.raises(CannotServe) as caught:
        start()
    return caught.value.failure.reason, caught.value.failure.message


# -- ONNX


def test_a_truncated_file(tmp_path: Path) -> None:
    file = linear_onnx(tmp_path)
    file.write_bytes(file.read_bytes()[:-40])
    reason, message = failure(tmp_path)
    assert reason is FailureReason.MODEL_INVALID
    assert "model.onnx is damaged or incomplete" in message


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    assert failure(tmp_path)[0] is FailureReason.MODEL_INVALID


def test_a_fixed_first_dimension_is_not_one_of_rows(tmp_path: Path) -> None:
    linear_onnx(tmp_path, first=3)
    made = engine(tmp_path)
    made.load()
    assert not made.warm_up(8).batched


@pytest.mark.parametrize(
    ("inputs", "outputs", "batched"),
    [
        ([["batch", 4]], [["batch", 2]], True),
        ([[None, 4]], [["unk__1", 2]], True),
        ([["n", 4], ["n"]], [["n"]], True),
        ([["n", 4], ["m"]], [["n"]], False),
        ([["sequence_length", 4]], [["sequence_length", 2]], False),
        ([[1, 4]], [[1, 2]], False),
        ([["batch", 4]], [[]], False),
        ([["batch", 4]], [[10]], False),
        ([], [], False),
    ],
)
def test_rows_come_first(inputs: Any, outputs: Any, batched: bool) -> None:
    assert rows_come_first(inputs, outputs) is batched


def save(
    folder: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], opset: int = 17
) -> None:
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, str(folder / "model.onnx"))


def info(name: str, kind: int, *shape: int | str) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def test_text_goes_in_and_out(tmp_path: Path) -> None:
    save(
        tmp_path,
        [helper.make_node("Identity", ["t"], ["u"])],
        [info("t", TensorProto.STRING, "n")],
        [info("u", TensorProto.STRING, "n")],
    )
    made = engine(tmp_path)
    made.load()
    made.warm_up(4)
    out = made.run({"t": np.array([b"a", "ü".encode()], object)})["u"]
    assert out.tolist() == ["a", "ü"]
    with pytest.raises(BadInput, match="not UTF-8"):
        made.run({"t": np.array([b"\xff"], object)})


def test_a_model_that_fails_on_what_it_declares_is_never_ready(tmp_path: Path) -> None:
    column = helper.make_node("Constant", [], ["i"], value_int=9)  # of four
    save(
        tmp_path,
        [column, helper.make_node("Gather", ["x", "i"], ["y"], axis=1)],
        [info("x", TensorProto.FLOAT, "n", 4)],
        [info("y", TensorProto.FLOAT, "n")],
    )
    reason, message = failure(tmp_path)
    assert reason is FailureReason.WARM_UP_FAILED
    assert "fails on zeros of the inputs that it declares" in message


def test_free_dimensions_without_a_meaning_are_no_verdict(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shape = helper.make_node("Constant", [], ["s"], value_ints=[-1, 5])
    save(
        tmp_path,
        [shape, helper.make_node("Reshape", ["x", "s"], ["y"])],
        [info("x", TensorProto.FLOAT, "n", "window")],
        [info("y", TensorProto.FLOAT, "n", "k")],
    )
    made = engine(tmp_path)
    made.load()
    made.warm_up(4)
    assert "free dimensions" in caplog.text


# -- warm-up


def one_row_only(batch: Tensors) -> Tensors:
    if len(batch["x"]) > 1:
        raise EngineBroken("shape mismatch")
    return {"y": batch["x"]}


def always_one_row(batch: Tensors) -> Tensors:
    return {"y": batch["x"][:1]}


@pytest.mark.parametrize("run", [one_row_only, always_one_row, lambda _: {"y": np.array(1.0)}])
def test_rows_that_do_not_go_together_turn_batching_off(
    run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert not warm_up(run, PIXELS, 4).batched
    assert "batching is off" in caplog.text


def test_a_full_batch_that_finds_no_memory_says_what_to_change() -> None:
    def run(batch: Tensors) -> Tensors:
        if len(batch["x"]) > 1:
            raise OutOfMemory("no memory")
        return {"y": batch["x"]}

    with pytest.raises(CannotServe, match=r"batch of 4; lower batching\.maxSize"):
        warm_up(run, PIXELS, 4)


# -- Python


def python(tmp_path: Path, body: str, head: str = "class Model:\n") -> PythonEngine:
    made = engine(python_model(tmp_path, "import numpy as np\n" + head + body))
    assert isinstance(made, PythonEngine)
    made.load()
    return made


PREDICT = "    def predict(self, inputs):\n        "


@pytest.mark.parametrize(
    ("body", "heard", "words"),
    [
        ("raise ValueError('too old')", BadInput, "refuses the input: too old"),
        ("raise TypeError('no')", BadInput, "TypeError: no"),
        ("raise MemoryError", OutOfMemory, "no memory"),
        ("raise RuntimeError('CUDA out of memory')", OutOfMemory, "no memory"),
        ("raise KeyError('weights')", EngineBroken, "predict failed: KeyError: 'weights'"),
        ("return None", EngineBroken, "holds NoneType"),
        ("return [[1], [1, 2]]", EngineBroken, "not an array"),
        ("return {}", EngineBroken, "without names"),
    ],
)
def test_what_predict_raises_decides_the_answer(
    body: str, heard: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(heard, match=words):
        python(tmp_path, PREDICT + body).run(rows(1))


DECLARED = (
    "    inputs = {'x': ('FP32', [-1, 4])}\n"
    "    outputs = {'y': ('FP32', [-1, 3])}\n"
)  # fmt: skip


def test_another_shape_than_is_declared_is_never_ready(tmp_path: Path) -> None:
    source = "class Model:\n" + DECLARED + PREDICT + "return inputs['x'][:, :2]\n"
    reason, message = failure(python_model(tmp_path, source))
    assert reason is FailureReason.WARM_UP_FAILED
    assert "the output 'y' the shape [1, 2], and [-1, 3] is declared" in message


def test_other_rows_than_the_one_that_was_given(tmp_path: Path) -> None:
    made = python(
        tmp_path,
        DECLARED + PREDICT + "n = 17 if inputs['x'].any() else len(inputs['x'])\n"
        "        return np.zeros((n, 3), np.float32)",
    )
    assert made.warm_up(4).batched
    assert made.run(rows(0))["y"].shape == (1, 3)
    with pytest.raises(EngineBroken, match="output 'y' 17 rows for 1 row"):
        made.run(rows(1))


def test_other_rows_are_no_fault_of_a_class_that_is_not_batched(tmp_path: Path) -> None:
    made = python(tmp_path, DECLARED + PREDICT + "return np.zeros((17, 3), np.float32)")
    assert not made.warm_up(4).batched
    assert made.run(rows(1))["y"].shape == (17, 3)


def test_predict_may_return_one_array_or_text_and_write_into_its_input(tmp_path: Path) -> None:
    made = python(tmp_path, PREDICT + "inputs['x'] += 1\n        return inputs['x'].sum(1)")
    view = np.frombuffer(rows(1)["x"].tobytes(), np.float32).reshape(1, 4)
    assert made.run({"x": view})["output"].tolist() == [8]
    made = python(tmp_path, PREDICT + "return {'label': ['a', 'b']}")
    assert made.run(rows(1))["label"].tolist() == [b"a", b"b"]


def test_a_class_without_a_signature_takes_anything_one_request_at_a_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = python(tmp_path, PREDICT + "return inputs['anything']")
    signature = made.warm_up(8)
    assert signature.inputs == ()
    assert not signature.batched
    assert "not warmed up" in caplog.text


@pytest.mark.parametrize(
    ("source", "reason", "words"),
    [
        ("import not_there\nclass Model: ...", FailureReason.UNSUPPORTED, "imports not_there"),
        ("1 / 0\nclass Model: ...", FailureReason.MODEL_INVALID, "cannot be imported"),
        ("class Model: ...", FailureReason.MODEL_INVALID, "no class with a method predict"),
        (
            "class A:\n  def predict(self, i): ...\nclass B(A): ...",
            FailureReason.MODEL_INVALID,
            "several classes with predict",
        ),
        (
            "class M:\n  def predict(self, i): ...\n  def load(self, f): raise OSError('no file')",
            FailureReason.MODEL_INVALID,
            "cannot be loaded: OSError: no file",
        ),
        (
            "class M:\n  inputs = {'x': 'FP32'}\n  def predict(self, i): ...",
            FailureReason.MODEL_INVALID,
            "not of the form",
        ),
        (
            "class M:\n  inputs = {'x': ('FP12', [-1])}\n  def predict(self, i): ...",
            FailureReason.MODEL_INVALID,
            "inputs: 'x' has the datatype 'FP12'; use one of BOOL, UINT8",
        ),
        (
            "class M:\n  inputs = {'x': ('FP32', [-1])}\n  def predict(self, i): i['k']",
            FailureReason.WARM_UP_FAILED,
            "KeyError",
        ),
    ],
)  # fmt: skip
def test_a_class_that_cannot_be_served(
    source: str, reason: FailureReason, words: str, tmp_path: Path
) -> None:
    found, message = failure(python_model(tmp_path, source))
    assert found is reason
    assert words in message


def test_steps_for_single_items(tmp_path: Path) -> None:
    made = python(
        tmp_path,
        "    inputs = {'length': ('INT64', [-1])}\n"
        "    def preprocess(self, item):\n        return np.array([len(item['text'])])\n"
        "    def postprocess(self, outputs):\n"
        "        return {'double': int(outputs['output'][0])}\n"
        + PREDICT
        + "return inputs['length'] * 2",
    )
    assert made.preprocess is not None
    assert made.postprocess is not None
    tensors = made.preprocess({"text": "four"})
    assert tensors["length"].tolist() == [4]
    assert made.postprocess(made.run(tensors)) == {"double": 8}
    with pytest.raises(EngineBroken, match="preprocess failed: KeyError"):
        made.preprocess({})


# -- TorchScript


def test_an_image_without_torch_says_which_to_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from modelfleet_contract import ModelFormat
    from modelfleet_runtime.packages.package import Package

    monkeypatch.setitem(sys.modules, "torch", None)
    package = Package(ModelFormat.TORCHSCRIPT, tmp_path / "model.pt", tmp_path)
    with pytest.raises(CannotServe) as caught:
        engine_for(package, EngineSettings(), 1).load()
    assert caught.value.failure.reason is FailureReason.UNSUPPORTED
    assert "torch flavour" in caught.value.failure.message
    assert "--extra runtime-torch" in caught.value.failure.message


def test_answers_are_not_changed_by_the_next_batch(tmp_path: Path) -> None:
    """An author may well write each batch's answer into one buffer."""
    made = python(
        tmp_path,
        "    buffer = np.zeros((4, 4), np.float32)\n"
        "    def predict(self, inputs):\n"
        "        self.buffer[:] = inputs['x']\n"
        "        return {'y': self.buffer}\n",
        head="import numpy as np\nclass Model:\n",
    )
    made.load()
    first = made.run(rows(1, 2, 3, 4))
    made.run(rows(5, 6, 7, 8))
    assert first["y"][:, 0].tolist() == [1, 2, 3, 4]
