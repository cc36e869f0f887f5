"""Which format is this folder? A zoo of tiny ones."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modelfleet_contract import FailureReason, ModelFormat
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import signature_file
from modelfleet_runtime.packages.find import find, look
from modelfleet_runtime.packages.package import NoMatch
from tests.unit.runtime.builders import linear_onnx, python_model

CLASS = "class Model:\n    def predict(self, inputs):\n        return inputs\n"


def torchscript(folder: Path, name: str = "model.pt", program: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("m/data.pkl", "")
        if program:
            archive.writestr("m/constants.pkl", "")
    return folder / name


ZOO: list[tuple[str, Callable[[Path], object], ModelFormat, str]] = [
    ("model.onnx", linear_onnx, ModelFormat.ONNX, "model.onnx"),
    ("one other onnx", lambda p: linear_onnx(p, name="d.onnx"), ModelFormat.ONNX, "d.onnx"),
    ("model.pt", torchscript, ModelFormat.TORCHSCRIPT, "model.pt"),
    ("one .ts", lambda p: torchscript(p, "a.ts"), ModelFormat.TORCHSCRIPT, "a.ts"),
    ("model.py", lambda p: python_model(p, CLASS), ModelFormat.PYTHON, "model.py"),
    ("a folder in a folder", lambda p: linear_onnx(p / "a" / "b"), ModelFormat.ONNX, "model.onnx"),
    (
        "a class beside the weights that it loads",
        lambda p: (linear_onnx(p), python_model(p, CLASS)),
        ModelFormat.PYTHON,
        "model.py",
    ),
]


@pytest.mark.parametrize(
    ("build", "fmt", "main"), [case[1:] for case in ZOO], ids=[case[0] for case in ZOO]
)
def test_found(
    build: Callable[[Path], object], fmt: ModelFormat, main: str, tmp_path: Path
) -> None:
    build(tmp_path)
    package = find(tmp_path)
    assert (package.format, package.main.name) == (fmt, main)


def test_a_file_is_a_package_too(tmp_path: Path) -> None:
    assert find(linear_onnx(tmp_path, name="z.onnx")).format is ModelFormat.ONNX


def refusal(place: Path, fmt: ModelFormat = ModelFormat.AUTO) -> tuple[FailureReason, str]:
    with pytest.raises(CannotServe) as caught:
        find(place, fmt)
    return caught.value.failure.reason, caught.value.failure.message


def test_nothing_there(tmp_path: Path) -> None:
    reason, message = refusal(tmp_path / "no")
    assert reason is FailureReason.MODEL_NOT_FOUND
    assert "there is no file or folder at" in message


def test_an_empty_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path)[0] is FailureReason.MODEL_NOT_FOUND


def test_what_no_format_knows_names_what_each_missed(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    reason, message = refusal(tmp_path)
    assert reason is FailureReason.MODEL_INVALID
    for word in ("model.py", "model.onnx", "model.pt"):
        assert word in message


def test_two_models_and_no_model_onnx(tmp_path: Path) -> None:
    linear_onnx(tmp_path, name="a.onnx")
    linear_onnx(tmp_path, name="b.onnx")
    assert "2 files *.onnx (a.onnx, b.onnx)" in refusal(tmp_path)[1]


def test_another_format_than_was_said(tmp_path: Path) -> None:
    linear_onnx(tmp_path)
    assert "not torchscript" in refusal(tmp_path, ModelFormat.TORCHSCRIPT)[1]


def test_weights_without_a_program(tmp_path: Path) -> None:
    torchscript(tmp_path, program=False)
    assert "weights without a program" in refusal(tmp_path)[1]


def test_a_torchscript_file_that_is_cut_off(tmp_path: Path) -> None:
    whole = torchscript(tmp_path).read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    assert "damaged, incomplete" in refusal(tmp_path)[1]


def test_python_that_is_no_python(tmp_path: Path) -> None:
    python_model(tmp_path, "class Model:\n  def (\n")
    assert "not valid Python, line 2" in refusal(tmp_path)[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "it is not an object with inputs and outputs"),
        ("{}", 'it has no "inputs"'),
        ('{"inputs": {}}', "inputs is not a list"),
        ('{"inputs": [3]}', "inputs[0] is not an object with name, datatype and shape"),
        ('{"inputs": [{"name": "x", "datatype": "FP32"}]}', "inputs[0] has no 'shape'"),
        (
            '{"inputs": [{"name": "x", "datatype": "FP12", "shape": [-1]}]}',
            "inputs[0] ('x') has the datatype 'FP12'; use one of BOOL, UINT8, UINT16",
        ),
        (
            '{"inputs": [], "outputs": [{"name": "y", "datatype": "FP32", "shape": "4"}]}',
            "outputs[0] ('y') has the shape 4; write a list of sizes, -1 for a free one",
        ),
    ],
)
def test_a_signature_that_cannot_be_read(text: str, words: str, tmp_path: Path) -> None:
    torchscript(tmp_path)
    (tmp_path / "signature.json").write_text(text)
    message = refusal(tmp_path)[1]
    assert message.startswith(f"signature.json cannot be read: {words}")


def test_the_example_of_a_signature_can_be_read() -> None:
    made = signature_file.parse(json.loads(signature_file.example(["a", "b"], (-1, 3, 224, 224))))
    assert [spec.describe() for spec in made.inputs] == [
        "a FP32 [-1,3,224,224]",
        "b FP32 [-1,3,224,224]",
    ]
    assert made.batched


def test_a_signature_beside_the_model(tmp_path: Path) -> None:
    torchscript(tmp_path)
    (tmp_path / "signature.json").write_text(
        '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "outputs": []}'
    )
    signature = find(tmp_path).signature
    assert signature is not None
    assert signature.batched
    assert signature.inputs[0].describe() == "x FP32 [-1,4]"


def test_look_says_what_every_format_thinks(tmp_path: Path) -> None:
    linear_onnx(tmp_path)
    verdicts = dict(look(tmp_path))
    assert set(verdicts) == set(ModelFormat) - {ModelFormat.AUTO}
    assert isinstance(verdicts[ModelFormat.PYTHON], NoMatch)
