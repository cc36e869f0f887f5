"""TorchScript, torch.export and AOTInductor: what is particular to them."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelfleet_contract import EngineSettings, FailureReason, ModelFormat, Precision
from modelfleet_runtime.engines.engine import Engine, engine_for
from modelfleet_runtime.errors import BadInput, CannotServe
from modelfleet_runtime.packages.find import find
from tests.unit.runtime.builders import rows

pytestmark = pytest.mark.torch

torch = pytest.importorskip("torch", reason="make test-torch installs it")


def models() -> Any:
    from tests.unit.runtime import torch_models

    return torch_models


def started(place: Path, rows_: int = 8, **settings: Any) -> Engine:
    engine = engine_for(find(place), EngineSettings(**settings), 1)
    engine.load()
    engine.warm_up(rows_)
    return engine


def refusal(place: Path, **settings: Any) -> tuple[FailureReason, str]:
    with pytest.raises(CannotServe) as caught:
        started(place, **settings)
    return caught.value.failure.reason, caught.value.failure.message


@pytest.mark.parametrize("build", ["torchscript", "pt2"])
@pytest.mark.parametrize("precision", list(Precision))
def test_precision_is_inside_and_types_at_the_edge_stay(
    build: str, precision: Precision, tmp_path: Path
) -> None:
    getattr(models(), build)(tmp_path)
    engine = started(tmp_path, precision=precision)
    out = engine.run(rows(1, 2.001))["y"]
    assert out.dtype == np.float32
    inside = {Precision.FLOAT32: 8.004, Precision.FLOAT16: 8.0078125, Precision.BFLOAT16: 8.0}
    assert out[1, 0] == pytest.approx(inside[precision], abs=1e-5)


@pytest.mark.parametrize("build", ["torchscript", "pt2"])
def test_a_model_in_bfloat16_is_fp32_at_the_edge(build: str, tmp_path: Path) -> None:
    module = models().Linear().eval().to(torch.bfloat16)
    if build == "pt2":
        example = torch.zeros(2, 4, dtype=torch.bfloat16)
        models().pt2(tmp_path, models().exported(module, None, example))
    else:
        models().torchscript(tmp_path, module)
    engine = started(tmp_path)
    out = engine.run(rows(1))["y"]
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, [[4, 8]])


def test_a_program_says_what_it_takes_and_how_many_rows(tmp_path: Path) -> None:
    class Two(torch.nn.Module):  # type: ignore[name-defined, misc]
        def forward(self, ids: Any, mask: Any) -> Any:
            return (ids * mask).sum(1), mask

    n, m = torch.export.Dim("n", min=1, max=16), torch.export.Dim("m", min=1, max=512)
    examples = (torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3))
    program = torch.export.export(Two(), examples, dynamic_shapes=({0: n, 1: m}, {0: n, 1: m}))
    engine = engine_for(find(models().pt2(tmp_path, program)), EngineSettings(), 1)
    signature = engine.load()
    assert [spec.describe() for spec in signature.inputs] == [
        "ids INT64 [-1,-1]",
        "mask FP32 [-1,-1]",
    ]
    assert [spec.name for spec in signature.outputs] == ["output_0", "output_1"]
    ids, mask = signature.inputs
    assert ids.dims == mask.dims
    assert ids.dims is not None
    assert ids.dims[0] != ids.dims[1]
    assert signature.batched
    assert signature.most_rows == 16
    one, other = np.ones((2, 5), np.int64), np.ones((2, 6), np.float32)
    with pytest.raises(BadInput, match="the model takes only input for which"):
        engine.run({"ids": one, "mask": other})


def test_torchscript_without_a_signature_says_which_to_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models().torchscript(tmp_path)
    (tmp_path / "signature.json").unlink()
    engine_for(find(tmp_path), EngineSettings(), 1).load()
    assert "Write a signature.json beside model.pt" in caplog.text
    assert '{"name": "x", "datatype": "FP32", "shape": [-1, 4]}' in caplog.text


def test_an_export_for_two_rows_and_more_serves_one(tmp_path: Path) -> None:
    program = models().exported(None, torch.export.Dim.DYNAMIC)
    engine = started(models().pt2(tmp_path, program))
    assert engine.load().batched
    np.testing.assert_array_equal(engine.run(rows(3))["y"], [[12, 24]])


def test_an_export_for_one_size_is_not_batched(tmp_path: Path) -> None:
    program = torch.export.export(models().Linear().eval(), (torch.zeros(2, 4),))
    engine = engine_for(find(models().pt2(tmp_path, program)), EngineSettings(), 1)
    assert not engine.load().batched


def test_torch_compile(tmp_path: Path) -> None:
    engine = started(models().pt2(tmp_path), compile=True)
    np.testing.assert_array_equal(engine.run(rows(1, 2, 3))["y"], [[4, 8], [8, 16], [12, 24]])


def test_kernels_alone_need_a_signature(tmp_path: Path) -> None:
    models().compiled(tmp_path)
    started(tmp_path)
    (tmp_path / "signature.json").unlink()
    reason, message = refusal(tmp_path)
    assert reason is FailureReason.MODEL_INVALID
    assert "check no shapes" in message
    for settings in ({"precision": "float16"}, {"compile": True}):
        assert refusal(tmp_path, **settings)[0] is FailureReason.UNSUPPORTED
    # For another machine: the same file with another word in its metadata.
    with zipfile.ZipFile(tmp_path / "model.pt2") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        for name, data in held.items():
            changed = data.replace(b'"cpu"', b'"cuda"') if name.endswith("metadata.json") else data
            archive.writestr(name, changed)
    reason, message = refusal(tmp_path)
    assert reason is FailureReason.UNSUPPORTED
    assert "its kernels are for cuda, and the device is cpu" in message


def test_pickled_weights_do_not_run(tmp_path: Path) -> None:
    """A file may mark its weights as pickled, which torch.export.load would then unpickle."""
    import io
    import json
    import pickle

    models().pt2(tmp_path)
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (mark,)

    with zipfile.ZipFile(tmp_path / "model.pt2") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    body = io.BytesIO()
    torch.save(Evil(), body, pickle_module=pickle)
    with zipfile.ZipFile(tmp_path / "model.pt2", "w") as archive:
        for name, data in held.items():
            changed = data
            if name.endswith("model_weights_config.json"):
                config = json.loads(data)
                for entry in config["config"].values():
                    entry["use_pickle"] = True
                changed = json.dumps(config).encode()
            elif "/data/weights/weight_" in name:
                changed = body.getvalue()
            archive.writestr(name, changed)
    reason, _ = refusal(tmp_path)
    assert reason is FailureReason.MODEL_INVALID
    assert not mark.exists()


def test_a_damaged_file(tmp_path: Path) -> None:
    models().pt2(tmp_path)
    file = tmp_path / "model.pt2"
    file.write_bytes(file.read_bytes()[:-60])
    reason, message = refusal(tmp_path)
    assert reason is FailureReason.MODEL_INVALID
    assert "incomplete" in message


def test_cuda_without_a_gpu_is_refused(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    models().pt2(tmp_path)
    reason, message = refusal(tmp_path, device="cuda")
    assert reason is FailureReason.UNSUPPORTED
    assert "torch finds no GPU" in message


def test_threads_are_those_that_were_given(tmp_path: Path) -> None:
    engine = engine_for(find(models().torchscript(tmp_path)), EngineSettings(), 1)
    engine.load()
    assert torch.get_num_threads() == 1
    assert torch.get_num_interop_threads() == 1


def test_torchscript_without_a_signature_takes_what_it_is_given(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        models().torchscript(tmp_path, signature=False)
    assert find(tmp_path).format is ModelFormat.TORCHSCRIPT
    engine = started(tmp_path)
    np.testing.assert_array_equal(engine.run(rows(1))["y"], [[4, 8]])
    with pytest.raises(BadInput):
        engine.run({"x": np.zeros((1, 5), np.float32)})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("build", ["torchscript", "pt2"])
@pytest.mark.parametrize("precision", [None, Precision.FLOAT16])
def test_on_a_gpu_two_runs_go_at_once_and_each_gets_its_own(
    build: str, precision: Precision | None, tmp_path: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    getattr(models(), build)(tmp_path)
    engine = started(tmp_path, device="cuda", precision=precision)
    assert engine.slots == 2
    with ThreadPoolExecutor(engine.slots) as pool:
        batches = [rows(*range(n % 7, n % 7 + 8)) for n in range(200)]
        for batch, out in zip(batches, pool.map(engine.run, batches), strict=True):
            np.testing.assert_array_equal(out["y"][:, 0], batch["x"].sum(1))
