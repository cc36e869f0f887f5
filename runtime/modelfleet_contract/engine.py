"""How the model is loaded and run: the part of the resource that the engines read."""

from enum import StrEnum

from pydantic import Field

from modelfleet_contract.base import Shared


class Device(StrEnum):
    """What computes."""

    AUTO = "auto"
    """CUDA where the pod has a GPU and the engine can use it, else the CPU."""
    CPU = "cpu"
    """The CPU, also where there is a GPU."""
    CUDA = "cuda"
    """An NVIDIA GPU; without one the model is not served."""


class Precision(StrEnum):
    """The type of floating-point weights and of the arithmetic on them."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class EngineSettings(Shared):
    """How the model is loaded and run."""

    device: Device = Device.AUTO
    """What computes: cpu, cuda, or auto: CUDA where the pod has a GPU. Default auto.
    A Python class chooses its own device, so only auto is allowed there."""

    precision: Precision | None = None
    """Weights and arithmetic in float32, float16 or bfloat16. Inputs and outputs keep the types
    that the model declares. Only for TorchScript and torch.export. Default: as the model is."""

    compile: bool = False
    """Whether torch.compile makes kernels for the model while it is loaded, which takes from
    seconds to minutes and needs a C++ compiler in the image. Only for torch.export.
    Default false."""

    workers: int = Field(default=1, ge=1, le=64)
    """How many processes run the model, each with a copy of it; they share the CPU quota.
    Default 1: the server's own process. More are for code that holds Python's lock for long."""
