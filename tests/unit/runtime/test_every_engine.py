"""What every engine promises, on each of them, in this process and in processes of its own."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelfleet_contract import EngineSettings
from modelfleet_runtime.engines.engine import Engine, engine_for
from modelfleet_runtime.packages.find import find
from tests.unit.runtime.builders import linear_onnx, python_model, rows

LINEAR = """
import numpy as np
import beside

class Model:
    inputs = {"x": ("FP32", [-1, 4])}
    outputs = {"y": ("FP32", [-1, 2])}

    def load(self, folder):
        self.weights = np.array([[1, 2]] * 4, np.float32) * beside.ONE

    def predict(self, inputs):
        return inputs["x"] @ self.weights
"""


def onnx(folder: Path) -> None:
    linear_onnx(folder)


def python(folder: Path) -> None:
    python_model(folder, LINEAR)
    (folder / "beside.py").write_text("ONE = 1\n")


def torchscript(folder: Path) -> None:
    from tests.unit.runtime import torch_models

    torch_models.torchscript(folder)


def pt2(folder: Path) -> None:
    from tests.unit.runtime import torch_models

    torch_models.pt2(folder)


def aotinductor(folder: Path) -> None:
    from tests.unit.runtime import torch_models

    torch_models.compiled(folder)


TORCH = [torchscript, pt2, aotinductor]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[Path], None]], Path]:
    """Each model once: some are compiled."""
    known: dict[Any, Path] = {}

    def make(build: Callable[[Path], None]) -> Path:
        if build not in known:
            known[build] = tmp_path_factory.mktemp("model") / build.__name__
            build(known[build])
        return known[build]

    return make


@pytest.fixture(
    params=[
        pytest.param((build, workers), marks=[pytest.mark.torch] if build in TORCH else [])
        for build in (onnx, python, *TORCH)
        for workers in (1, 2)
    ],
    ids=lambda param: f"{param[0].__name__}-{param[1]}",
)
def engine(
    request: pytest.FixtureRequest,
    made: Callable[[Callable[[Path], None]], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Engine]:
    build, workers = request.param
    place = tmp_path / "copy"
    shutil.copytree(made(build), place)
    monkeypatch.syspath_prepend(str(place))
    engine = engine_for(find(place), EngineSettings(workers=workers), 1)
    yield engine
    engine.close()


def test_every_engine(engine: Engine) -> None:
    signature = engine.load()
    assert [spec.describe() for spec in signature.inputs] == ["x FP32 [-1,4]"]
    assert [spec.describe() for spec in signature.outputs] == ["y FP32 [-1,2]"]
    assert signature.batched
    assert engine.warm_up(8) == signature
    assert engine.slots >= 1

    given = rows(1, 2, 3)
    given["x"].flags.writeable = False  # a view on the bytes of a request
    out = engine.run(given)
    assert list(out) == ["y"]
    assert out["y"].dtype == np.float32
    np.testing.assert_array_equal(out["y"], [[4, 8], [8, 16], [12, 24]])

    # An answer stays what it is while the next batches run, whatever their size.
    for size in (1, 8, 3):
        batch = rows(*range(size))
        expected = np.array([[4 * value, 8 * value] for value in range(size)], np.float32)
        np.testing.assert_array_equal(engine.run(batch)["y"], expected)
        np.testing.assert_array_equal(batch["x"], rows(*range(size))["x"])
    np.testing.assert_array_equal(out["y"], [[4, 8], [8, 16], [12, 24]])
