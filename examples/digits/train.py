"""Train a small network on scikit-learn's handwritten digits and write it as ONNX.

    uv run python examples/digits/train.py                       # both versions, held-out images
    uv run python examples/digits/train.py --version 3 --hidden 128 --seed 7

Nothing is downloaded: the 1,797 images of 8x8 pixels come with scikit-learn. On one machine the
same seed gives the same file. Every fifth image is held out from training, and
`evaluation/held-out.json` has those as {"images": [[64 pixels]...], "labels": [...]}.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

HERE = Path(__file__).parent
BRIGHTEST = 16.0
"""Pixels are 0 to 16; the model scales them itself, so that clients need not know it."""


VERSIONS = {"1": (32, 1), "2": (96, 2)}
"""Version -> hidden neurons and seed, of the two that are committed."""


def main() -> None:
    options = _options()
    digits = load_digits()
    images = digits.data.astype(np.float32)
    labels = digits.target.astype(np.int64)
    held_out = np.arange(len(labels)) % 5 == 0
    _write_held_out(
        options.out / "evaluation" / "held-out.json", images[held_out], labels[held_out]
    )
    versions = VERSIONS
    if options.version is not None:
        versions = {options.version: (options.hidden, options.seed)}
    for version, (hidden, seed) in versions.items():
        network = MLPClassifier((hidden,), alpha=1e-3, max_iter=1000, random_state=seed)
        network.fit(images[~held_out] / BRIGHTEST, labels[~held_out])
        accuracy = float(network.score(images[held_out] / BRIGHTEST, labels[held_out]))
        file = options.out / version / "model.onnx"
        file.parent.mkdir(parents=True, exist_ok=True)
        model = to_onnx(network.coefs_, network.intercepts_)
        file.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{file}: {accuracy:.1%} right on {held_out.sum()} held-out images")
        if accuracy < 0.97:
            raise SystemExit("that is less than 97 %; use more --hidden or another --seed")


def to_onnx(weights: list[Any], biases: list[Any]) -> onnx.ModelProto:
    """pixels FP32 [-1,64] -> digit INT64 [-1], probabilities FP32 [-1,10]."""
    constants = {"brightest": np.float32(BRIGHTEST)}
    nodes = [helper.make_node("Div", ["pixels", "brightest"], ["h0"])]
    last = len(weights) - 1
    for index, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        constants[f"w{index}"] = weight.astype(np.float32)
        constants[f"b{index}"] = bias.astype(np.float32)
        summed = "scores" if index == last else f"s{index}"
        nodes.append(helper.make_node("Gemm", [f"h{index}", f"w{index}", f"b{index}"], [summed]))
        if index != last:
            nodes.append(helper.make_node("Relu", [summed], [f"h{index + 1}"]))
    nodes.append(helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1))
    nodes.append(helper.make_node("ArgMax", ["scores"], ["digit"], axis=1, keepdims=0))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 64])],
        [
            helper.make_tensor_value_info("digit", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10]),
        ],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="modelfleet-examples",
        ir_version=9,
        opset_imports=[helper.make_opsetid("", 17)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _write_held_out(file: Path, images: Any, labels: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(json.dumps([int(pixel) for pixel in image]) for image in images)
    file.write_text(f'{{"images": [\n{rows}\n],\n"labels": {json.dumps(labels.tolist())}}}\n')


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--version", help="train this version alone; default: both")
    parser.add_argument("--hidden", type=int, default=32, help="its neurons; default 32")
    parser.add_argument("--seed", type=int, default=1, help="its seed; default 1")
    parser.add_argument("--out", type=Path, default=HERE, help="folder; default: this one")
    return parser.parse_args()


if __name__ == "__main__":
    main()
