"""Programs of torch.export and packages of AOTInductor (`.pt2`), through torch.

Which of the two is used, where a file holds both: the kernels of AOTInductor, if they were compiled
for the device and the machine that is here and no setting asks for something else (`precision`,
`compile`); otherwise the program.

A program says its inputs and outputs. Kernels say how many there are and check nothing: a wrong
shape would be read beyond its memory. So they are served only with a signature, which is that of
`signature.json` or of the program in the same file.
"""

import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from modelfleet_contract import EngineSettings, FailureReason
from modelfleet_runtime.engines.exported import Program, load_program
from modelfleet_runtime.engines.torch_engine import TorchEngine
from modelfleet_runtime.errors import BadInput, CannotServe, EngineBroken, Refusal
from modelfleet_runtime.packages import pt2
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.packages.pt2 import Compiled, Contents
from modelfleet_runtime.signature import Signature, Tensors

log = logging.getLogger("modelfleet.engine")


_GUARD = "Guard failed: "


class Pt2Engine(TorchEngine):
    """See `Engine`."""

    def __init__(self, package: Package, settings: EngineSettings, threads: int) -> None:
        super().__init__(package, settings, threads)
        self._run: Callable[[list[Any]], Any] | None = None
        self._least_rows = 1

    def _open(self) -> Signature:
        file = self._package.main
        found = pt2.contents(file)
        kernels, why_not = self._choose(found)
        if kernels is None and not found.programs:
            raise CannotServe(FailureReason.UNSUPPORTED, f"{file.name} cannot be run: {why_not}")
        if kernels is not None and self._package.signature is not None:
            return self._open_kernels(kernels, self._package.signature)
        if kernels is not None and not found.programs:
            raise CannotServe(
                FailureReason.MODEL_INVALID,
                f"{file.name} holds nothing but kernels, which check no shapes: put a "
                "signature.json beside it that says what it takes",
            )
        with _weights_only():
            program = load_program(self._torch, file, self._device)
        if kernels is not None:
            return self._open_kernels(kernels, program.signature)
        if found.compiled:
            log.info("the program in %s is run, not its kernels: %s", file.name, why_not)
        return self._open_program(program)

    def _call(self, arguments: list[Any]) -> Any:
        assert self._run is not None
        rows = arguments[0].shape[0] if arguments and arguments[0].ndim else 0
        missing = self._least_rows - rows if self._signature.batched else 0
        if missing <= 0:
            return self._run(arguments)
        # Exported for two rows and more: a single one is given company.
        torch = self._torch
        filled = [torch.cat([a, a[-1:].expand(missing, *a.shape[1:])]) for a in arguments]
        return [value[:rows] for value in self._run(filled)]

    def close(self) -> None:
        self._run = None
        super().close()

    def _failure(self, error: Exception) -> Refusal:
        if isinstance(error, AssertionError) and str(error).startswith(_GUARD):
            return BadInput(f"the model takes only input for which {str(error)[len(_GUARD) :]}")
        return super()._failure(error)

    # -- programs

    def _open_program(self, program: Program) -> Signature:
        torch, precision = self._torch, self._settings.precision
        module, casts = program.module, program.casts
        if precision is not None:
            dtype = getattr(torch, precision.value)
            module = module.to(dtype)
            casts = dict.fromkeys(program.floating, dtype)
        forward = module.forward
        if self._settings.compile:
            dynamic = True if program.signature.batched else None
            forward = torch.compile(module.forward, dynamic=dynamic)
        self._casts = casts
        self._least_rows = program.least_rows
        self._run = lambda arguments: forward(*arguments)
        return program.signature

    # -- kernels

    def _choose(self, found: Contents) -> tuple[Compiled | None, str]:
        """The kernels that fit, or why none do."""
        if self._settings.precision is not None:
            return None, "precision cannot be changed once kernels are compiled"
        if self._settings.compile:
            return None, "they are compiled already; leave compile out"
        why_not = "it holds no kernels"
        for kernels in found.compiled:
            why_not = self._unfit(kernels)
            if not why_not:
                return kernels, ""
        return None, why_not

    def _unfit(self, kernels: Compiled) -> str:
        if kernels.device != self._device.type:
            return f"its kernels are for {kernels.device}, and the device is {self._device.type}"
        if kernels.machine and kernels.machine != platform.machine():
            return f"its kernels are for {kernels.machine}, and this is {platform.machine()}"
        if self._device.type == "cuda":
            major, minor = self._torch.cuda.get_device_capability()
            if kernels.compute_capability not in ("", f"{major}{minor}"):
                return (
                    f"its kernels are for compute capability {kernels.compute_capability}, "
                    f"and this GPU has {major}{minor}"
                )
            return ""
        missing = missing_instructions(kernels.cpu_isa, Path("/proc/cpuinfo"))
        return f"its kernels need {missing}, which this CPU does not have" if missing else ""

    def _open_kernels(self, kernels: Compiled, signature: Signature) -> Signature:
        # The loader itself: the function of torch._inductor around it imports the compiler, which
        # takes seconds and half a gigabyte, and adds a Python layer to each run.
        loader = self._torch._C._aoti.AOTIModelPackageLoader(
            str(self._package.main), kernels.name, False, self.slots, -1
        )
        names = _output_names(loader.get_call_spec()) or [s.name for s in signature.outputs]
        declared = [spec.name for spec in signature.outputs]
        if declared and len(names) == len(declared) and set(names) != set(declared):
            names = declared
        count = len(names)

        def run(arguments: list[Any]) -> Any:
            values = loader.run(arguments)
            if not count:
                return values
            if len(values) != count:
                raise EngineBroken(f"the model gives {len(values)} outputs, not {count}")
            return dict(zip(names, values, strict=True))

        self._run = run
        return signature

    def _named(self, given: Any) -> Tensors:
        outputs = super()._named(given)
        if self._outputs and outputs.keys() != set(self._outputs):
            raise EngineBroken(f"the model gives {sorted(outputs)}, not {sorted(self._outputs)}")
        return outputs


_CPU_FLAGS = {"AVX512": "avx512f", "AVX2": "avx2", "AVX512_VNNI": "avx512_vnni", "AMX": "amx_tile"}


def missing_instructions(isa: str, cpuinfo: Path) -> str:
    """Those of `isa` that the CPU lacks, as words; empty where it has all or nobody knows."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return ""
    flags: set[str] = set()
    for line in lines:
        if line.startswith("flags"):
            flags = set(line.partition(":")[2].split())
            break
    if not flags:
        return ""
    needed = {word: _CPU_FLAGS[word] for word in isa.upper().split() if word in _CPU_FLAGS}
    return ", ".join(word for word, flag in needed.items() if flag not in flags)


def _output_names(call_spec: list[str]) -> list[str]:
    """The keys, where the model gives a dict of tensors; else nothing."""
    try:
        _, tree = orjson.loads(call_spec[1])
        if tree["type"] != "builtins.dict" or any(c["type"] for c in tree["children_spec"]):
            return []
        return [str(name) for name in orjson.loads(tree["context"])]
    except (IndexError, KeyError, TypeError, ValueError):
        return []


@contextmanager
def _weights_only() -> Iterator[None]:
    """torch.export.load unpickles freely what a file marks as pickled. With this variable, torch
    takes tensors and nothing else from it."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
