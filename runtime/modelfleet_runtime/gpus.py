"""The memory of the GPUs that this process may use, as their driver counts it.

The driver is asked, not a framework: it answers whichever engine runs, in whichever process, and
also when a CUDA context has died.
"""

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger("modelfleet.gpu")

DRIVER = Path("/dev/nvidiactl")


@dataclass(frozen=True, slots=True)
class Gpu:
    name: str
    """The driver's number of it, from 0."""
    total: float
    """Bytes."""
    used: Callable[[], float]
    """Bytes, by all processes; NaN when the driver does not answer."""


def gpus(env: Mapping[str, str] = os.environ, driver: Path = DRIVER) -> list[Gpu]:
    """Those of CUDA_VISIBLE_DEVICES, or all. Empty where there is no driver. Takes a fifth of a
    second where there is one, so not on the loop."""
    if not driver.exists():
        return []
    import pynvml

    try:
        pynvml.nvmlInit()
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        found = {str(index): handle for index, handle in enumerate(handles)}
        ids = {str(pynvml.nvmlDeviceGetUUID(handle)): name for name, handle in found.items()}
        names = visible(env.get("CUDA_VISIBLE_DEVICES"), ids)
        return [_gpu(pynvml, name, found[name]) for name in names]
    except pynvml.NVMLError as error:
        log.warning("the GPU's driver does not tell its memory: %s", error)
        return []


def visible(setting: str | None, ids: Mapping[str, str]) -> list[str]:
    """Of the GPUs' numbers by their UUIDs, those that CUDA_VISIBLE_DEVICES names. As CUDA has it,
    an entry that is none ends the list, and a UUID may be shortened."""
    if setting is None:
        return list(ids.values())
    names: list[str] = []
    for entry in map(str.strip, setting.split(",")):
        if entry in ids.values():
            names.append(entry)
            continue
        meant = [name for id_, name in ids.items() if entry and id_.startswith(entry)]
        if len(meant) != 1:
            break
        names += meant
    return names


def _gpu(nvml: Any, name: str, handle: Any) -> Gpu:
    def used() -> float:
        try:
            return float(nvml.nvmlDeviceGetMemoryInfo(handle).used)
        except nvml.NVMLError:
            return math.nan

    return Gpu(name, float(nvml.nvmlDeviceGetMemoryInfo(handle).total), used)
