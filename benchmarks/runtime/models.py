"""The four models, made once, and the requests that are sent to all servers.

    linear    y = x w + b, 784 -> 10: what the server itself costs
    cnn       28x28 images, two convolutions and two dense layers: some arithmetic
    encoder   texts of 8 to 128 tokens, 4 layers of 384, 19 M parameters: mixed lengths
    python    a class that makes a vector of a text in pure Python: the interpreter's lock

Everything is made from one seed; nothing is downloaded.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]

VERSION = "1"
NAMES = ("linear", "cnn", "encoder", "python")
THREADS = {"linear": 1, "cnn": 2, "encoder": 2, "python": 1}
"""Of the engine, the same for every server."""

HIDDEN, LAYERS, HEADS, VOCABULARY, LONGEST = 384, 4, 6, 30522, 512

_PYTHON = '''"""Scores of a text: its words are hashed into a vector, one character at a time."""

import numpy as np

SIZE = 256
WEIGHTS = np.random.default_rng(7).normal(size=(SIZE, 8)).astype(np.float32)


def vector(text):
    counts = [0.0] * SIZE
    word = 2166136261
    for letter in text:
        if letter == 32:
            counts[word % SIZE] += 1.0
            word = 2166136261
        else:
            word = ((word ^ letter) * 16777619) & 0xFFFFFFFF
    counts[word % SIZE] += 1.0
    return counts


class Model:
    inputs = {"text": ("BYTES", [-1])}
    outputs = {"scores": ("FP32", [-1, 8])}

    def predict(self, batch):
        rows = np.array([vector(text) for text in batch["text"].ravel()], np.float32)
        return {"scores": rows @ WEIGHTS}
'''


@dataclass(frozen=True)
class Bench:
    name: str
    folder: Path
    requests: list[Inputs]
    """Each of one row."""
    answers: list[Array]
    """Of one row each."""

    @property
    def threads(self) -> int:
        return THREADS[self.name]


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "modelfleet" / "bench"


def make(name: str) -> Bench:
    folder = cache() / "models" / f"{name}-{VERSION}"
    file = folder / ("model.py" if name == "python" else "model.onnx")
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if name == "python":
            file.write_text(_PYTHON)
        else:
            made = {"linear": _linear, "cnn": _cnn, "encoder": _encoder}[name]()
            onnx.save(made, str(file.with_suffix(".part")))
            file.with_suffix(".part").rename(file)
    requests = _requests(name)
    return Bench(name, folder, requests, _answers(name, folder, requests))


def _requests(name: str) -> list[Inputs]:
    rng = np.random.default_rng(1)
    if name == "linear":
        return [{"x": rng.normal(size=(1, 784)).astype(np.float32)} for _ in range(16)]
    if name == "cnn":
        return [{"x": rng.random((1, 1, 28, 28)).astype(np.float32)} for _ in range(16)]
    if name == "python":
        letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz     ", np.uint8)
        return [{"text": _bytes(rng.choice(letters, 500).tobytes())} for _ in range(16)]
    lengths = rng.integers(8, 129, 64)
    return [
        {
            "input_ids": rng.integers(1, VOCABULARY, (1, length)),
            "attention_mask": np.ones((1, length), np.int64),
        }
        for length in lengths
    ]


def _bytes(text: bytes) -> Array:
    made = np.empty(1, dtype=object)
    made[0] = text
    return made


def _answers(name: str, folder: Path, requests: list[Inputs]) -> list[Array]:
    if name == "python":
        scope: dict[str, Any] = {}
        exec(compile(_PYTHON, "model.py", "exec"), scope)  # our own text, above
        model = scope["Model"]()
        return [model.predict(request)["scores"] for request in requests]
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    return [session.run(None, request)[0] for request in requests]


class _Graph:
    """Nodes and weights, named by a count."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def weight(self, *shape: int, scale: float | None = None) -> str:
        scale = scale if scale is not None else shape[0] ** -0.5
        values = self.rng.normal(size=shape) * scale
        return self.constant(values.astype(np.float32))

    def constant(self, value: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def dense(self, x: str, size: int, to: int) -> str:
        return self.add("Add", self.add("MatMul", x, self.weight(size, to)), self.weight(to))

    def model(self, inputs: list[Any], output: str, shape: list[Any]) -> Any:
        self.nodes.append(helper.make_node("Identity", [output], ["y"]))
        graph = helper.make_graph(
            self.nodes,
            "bench",
            inputs,
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
            self.weights,
        )
        return helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17)])


def _linear() -> Any:
    graph = _Graph()
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 784])
    return graph.model([x], graph.dense("x", 784, 10), ["rows", 10])


def _cnn() -> Any:
    graph = _Graph()
    x = "x"
    channels = 1
    for to in (32, 64):
        kernel = graph.weight(to, channels, 3, 3, scale=(9 * channels) ** -0.5)
        x = graph.add("Conv", x, kernel, graph.weight(to, scale=0.1), pads=[1, 1, 1, 1])
        x = graph.add("MaxPool", graph.add("Relu", x), kernel_shape=[2, 2], strides=[2, 2])
        channels = to
    x = graph.add("Relu", graph.dense(graph.add("Flatten", x), 64 * 49, 128))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 1, 28, 28])
    return graph.model([given], graph.dense(x, 128, 10), ["rows", 10])


def _encoder() -> Any:
    graph = _Graph()
    split = graph.constant(np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64))
    merge = graph.constant(np.array([0, 0, HIDDEN], np.int64))
    one = graph.constant(np.array([1], np.int64))
    zero = graph.constant(np.array([0], np.int64))
    words = graph.add("Gather", graph.weight(VOCABULARY, HIDDEN, scale=0.5), "input_ids")
    length = graph.add("Gather", graph.add("Shape", "input_ids"), one)
    places = graph.add("Slice", graph.weight(LONGEST, HIDDEN, scale=0.1), zero, length)
    x = _normal(graph, graph.add("Add", words, places))
    seen = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = graph.add(
        "Mul",
        graph.add("Sub", seen, graph.constant(np.float32(1))),
        graph.constant(np.float32(1e9)),
    )
    hidden = graph.add("Unsqueeze", hidden, graph.constant(np.array([1, 2], np.int64)))
    for _ in range(LAYERS):
        query, key, value = (
            graph.add("Reshape", graph.dense(x, HIDDEN, HIDDEN), split) for _ in range(3)
        )
        query = graph.add("Transpose", query, perm=[0, 2, 1, 3])
        key = graph.add("Transpose", key, perm=[0, 2, 3, 1])
        value = graph.add("Transpose", value, perm=[0, 2, 1, 3])
        scores = graph.add(
            "Mul",
            graph.add("MatMul", query, key),
            graph.constant(np.float32((HIDDEN // HEADS) ** -0.5)),
        )
        shares = graph.add("Softmax", graph.add("Add", scores, hidden), axis=-1)
        mixed = graph.add("Transpose", graph.add("MatMul", shares, value), perm=[0, 2, 1, 3])
        mixed = graph.dense(graph.add("Reshape", mixed, merge), HIDDEN, HIDDEN)
        x = _normal(graph, graph.add("Add", x, mixed))
        wide = graph.add("Relu", graph.dense(x, HIDDEN, 4 * HIDDEN))
        x = _normal(graph, graph.add("Add", x, graph.dense(wide, 4 * HIDDEN, HIDDEN)))
    weights = graph.add("Unsqueeze", seen, graph.constant(np.array([2], np.int64)))
    total = graph.add("ReduceSum", graph.add("Mul", x, weights), one, keepdims=0)
    count = graph.add("ReduceSum", weights, one, keepdims=0)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    return graph.model(inputs, graph.add("Div", total, count), ["rows", HIDDEN])


def _normal(graph: _Graph, x: str) -> str:
    scale = graph.constant(np.ones(HIDDEN, np.float32))
    shift = graph.constant(np.zeros(HIDDEN, np.float32))
    return graph.add("LayerNormalization", x, scale, shift, axis=-1)
