"""Models of torch for the tests, made in place: y = [sum(x), 2 * sum(x)] for x FP32 [-1,4].

Nothing here is imported by the default run, whose environment has no torch.
"""

import json
import warnings
from pathlib import Path
from typing import Any

import torch


class Linear(torch.nn.Module):  # type: ignore[misc]
    """Its output has a name, where the format can keep one."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.layer.weight[0] = 1.0
            self.layer.weight[1] = 2.0

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": self.layer(x)}


def exported(
    module: Any = None,
    rows: Any = None,
    *examples: Any,
) -> Any:
    """A program whose first dimension is `rows`, one of torch's dynamic dimensions."""
    examples = examples or (torch.zeros(2, 4),)
    rows = rows or torch.export.Dim("rows", min=1, max=64)
    shapes = tuple({0: rows} for _ in examples)
    return torch.export.export(module or Linear().eval(), examples, dynamic_shapes=shapes)


def pt2(folder: Path, program: Any = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.export.save(program or exported(), folder / "model.pt2")
    return folder


def compiled(folder: Path, signature: bool = True, program: Any = None) -> Path:
    """Kernels of AOTInductor; needs a C++ compiler, and half a minute."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch._inductor.aoti_compile_and_package(
            program or exported(), package_path=str(folder / "model.pt2")
        )
    if signature:
        told(folder)
    return folder


def torchscript(folder: Path, module: Any = None, signature: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module or Linear().eval()).save(str(folder / "model.pt"))
    if signature:
        told(folder)
    return folder


def told(folder: Path, rows: int = -1) -> None:
    """A `signature.json`."""
    (folder / "signature.json").write_text(
        json.dumps(
            {
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [rows, 4]}],
                "outputs": [{"name": "y", "datatype": "FP32", "shape": [rows, 2]}],
            }
        )
    )
