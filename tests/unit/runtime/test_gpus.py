"""Which GPUs' memory is told. What the driver itself answers needs one, and is not seen here."""

from pathlib import Path

import pytest

from modelfleet_runtime.gpus import gpus, visible

IDS = {"GPU-aa11": "0", "GPU-ab22": "1", "GPU-cc33": "2"}


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        (None, ["0", "1", "2"]),
        ("", []),
        ("1", ["1"]),
        ("2, 0", ["2", "0"]),
        ("GPU-cc33,0", ["2", "0"]),
        ("GPU-c", ["2"]),
        ("GPU-a", []),
        ("0,-1,1", ["0"]),
        ("7", []),
    ],
)
def test_the_gpus_are_those_that_cuda_shows(setting: str | None, names: list[str]) -> None:
    assert visible(setting, IDS) == names


def test_without_a_driver_there_are_none(tmp_path: Path) -> None:
    assert gpus({}, tmp_path / "nvidiactl") == []


def test_a_driver_without_its_library_is_no_reason_to_fail(tmp_path: Path) -> None:
    driver = tmp_path / "nvidiactl"
    driver.touch()
    assert gpus({"CUDA_VISIBLE_DEVICES": ""}, driver) == []
