"""TorchScript models, through torch."""

import logging
import warnings
from typing import Any

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines.torch_engine import TorchEngine
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.packages import signature_file
from modelfleet_runtime.signature import Signature, TensorSpec

log = logging.getLogger("modelfleet.engine")


class TorchScriptEngine(TorchEngine):
    """See `Engine`.

    TorchScript says its inputs' names and nothing of dtypes and shapes: a `signature.json` beside
    the model does. Without one the model is not warmed up and takes what it is given; the first
    dimension is then held to count rows.
    """

    _module: Any = None

    def _open(self) -> Signature:
        torch = self._torch
        if self._settings.compile:
            raise CannotServe(
                FailureReason.UNSUPPORTED,
                "compile has no effect on TorchScript; export the model with torch.export (.pt2)",
            )
        # An archive of TorchScript holds a program of torch's own and tensors: loading it
        # unpickles no Python objects, which is what weights_only asks of torch.load.
        with warnings.catch_warnings():
            # That TorchScript is deprecated is news for who packs the model, not for each pod.
            warnings.simplefilter("ignore")
            module = torch.jit.load(str(self._package.main), map_location=self._device).eval()
        inside = next((p.dtype for p in module.parameters() if p.is_floating_point()), None)
        if self._settings.precision is not None:
            inside = getattr(torch, self._settings.precision.value)
            module = module.to(inside)
        self._module = module
        names = _argument_names(module)
        if self._package.signature is None:
            log.warning(
                "TorchScript does not say datatypes and shapes: any are taken, and a wrong one "
                "fails in the model. Write a %s beside %s, such as this one with the sizes and "
                "names of yours: %s",
                signature_file.FILE,
                self._package.main.name,
                signature_file.example(names, _first_shape(module)),
            )
        signature = _merge(names, self._package.signature)
        if inside is torch.bfloat16 or self._settings.precision is not None:
            self._casts = {spec.name: inside for spec in signature.inputs}
        return signature

    def _call(self, arguments: list[Any]) -> Any:
        return self._module(*arguments)

    def close(self) -> None:
        self._module = None
        super().close()


def _merge(names: list[str], told: Signature | None) -> Signature:
    if told is None:
        return Signature(tuple(TensorSpec(name) for name in names), (), batched=True)
    if len(told.inputs) != len(names):
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"signature.json has {len(told.inputs)} inputs and the model takes {len(names)}",
        )
    if {spec.name for spec in told.inputs} != set(names):
        return told  # in their order, under names of the author's choice
    by_name = {spec.name: spec for spec in told.inputs}
    return Signature(tuple(by_name[n] for n in names), told.outputs, told.batched)


def _first_shape(module: Any) -> tuple[int, ...]:
    """What the model's first layer takes, where that can be seen: the best guess that there is."""
    for layer in module.modules():
        weight = dict(layer.named_parameters(recurse=False)).get("weight")
        kind = getattr(layer, "original_name", "")
        if weight is None or kind not in ("Linear", "Conv1d", "Conv2d", "Conv3d"):
            continue
        sizes = tuple(weight.shape)
        return (-1, sizes[1], *([224] * (len(sizes) - 2)))
    return (-1, 4)


def _argument_names(module: Any) -> list[str]:
    arguments = module.forward.schema.arguments[1:]
    return [argument.name for argument in arguments if not argument.has_default_value()]
