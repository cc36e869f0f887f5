"""What a program of torch.export says of itself, and the module that runs it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelfleet_contract import FailureReason
from modelfleet_runtime.engines.torch_engine import numbered
from modelfleet_runtime.errors import CannotServe
from modelfleet_runtime.signature import DType, Signature, TensorSpec

_DTYPES = {
    "torch.bool": DType.BOOL,
    "torch.uint8": DType.UINT8,
    "torch.uint16": DType.UINT16,
    "torch.uint32": DType.UINT32,
    "torch.uint64": DType.UINT64,
    "torch.int8": DType.INT8,
    "torch.int16": DType.INT16,
    "torch.int32": DType.INT32,
    "torch.int64": DType.INT64,
    "torch.float16": DType.FP16,
    "torch.bfloat16": DType.FP32,  # numpy has none: cast on the device
    "torch.float32": DType.FP32,
    "torch.float64": DType.FP64,
}


@dataclass(frozen=True, slots=True)
class Program:
    """A program on its device."""

    module: Any
    """Its `forward`, called with the tensors of the inputs in the signature's order, gives a
    sequence of the outputs."""
    signature: Signature
    floating: tuple[str, ...]
    """The inputs that are floating-point."""
    casts: dict[str, Any]
    """The inputs that are of another type inside, and of which."""
    least_rows: int
    """The fewest rows that it takes: an export without bounds often holds for two and more."""


def load_program(torch: Any, file: Path, device: Any) -> Program:
    """Raises `CannotServe` where it takes or gives something other than tensors."""
    exported = torch.export.load(str(file))
    if device.type != "cpu":
        from torch.export.passes import move_to_device_pass

        exported = move_to_device_pass(exported, device)
    inputs = [_Tensor.of(node) for node in _inputs(exported, file)]
    outputs = [_Tensor.of(node) for node in _outputs(exported, file)]
    names = _output_names(exported, len(outputs))
    rows = _rows(inputs, outputs)
    least, most = _range(exported, rows)
    signature = Signature(
        tuple(_spec(tensor, tensor.name, file) for tensor in inputs),
        tuple(_spec(tensor, name, file) for tensor, name in zip(outputs, names, strict=True)),
        batched=rows is not None and least <= 2,
        most_rows=most,
    )
    return Program(
        _flat(torch, exported.module()),
        signature,
        tuple(tensor.name for tensor in inputs if tensor.dtype.is_floating_point),
        {t.name: t.dtype for t in inputs if t.dtype is torch.bfloat16},
        least,
    )


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    dtype: Any
    shape: tuple[int | str, ...]
    """Sizes; the name of the symbol for those that are free."""

    @classmethod
    def of(cls, node: Any) -> "_Tensor":
        value = node.meta["val"]
        shape = tuple(size if isinstance(size, int) else str(size) for size in value.shape)
        return cls(node.name, value.dtype, shape)


def _inputs(exported: Any, file: Path) -> list[Any]:
    wanted = exported.graph_signature.user_inputs
    by_name = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    return [_tensor_node(by_name.get(name), name, "takes", file) for name in wanted]


def _outputs(exported: Any, file: Path) -> list[Any]:
    by_name = {node.name: node for node in exported.graph.nodes}
    wanted = exported.graph_signature.user_outputs
    return [_tensor_node(by_name.get(str(name)), str(name), "gives", file) for name in wanted]


def _tensor_node(node: Any, name: str, verb: str, file: Path) -> Any:
    if node is None or not hasattr(node.meta.get("val"), "shape"):
        raise CannotServe(
            FailureReason.UNSUPPORTED, f"{file.name} {verb} something other than tensors: {name}"
        )
    return node


def _output_names(exported: Any, count: int) -> list[str]:
    tree = exported.call_spec.out_spec
    if tree is not None and tree.type is dict and tree.num_children == count:
        return [str(key) for key in tree.context]
    return numbered(count)


def _rows(inputs: list[_Tensor], outputs: list[_Tensor]) -> str | None:
    """The symbol that is the first dimension of all of them and no other dimension of any."""
    firsts = {t.shape[0] if t.shape else 0 for t in inputs + outputs}
    if len(firsts) != 1 or not inputs:
        return None
    first = firsts.pop()
    others = [size for t in inputs for size in t.shape[1:]]
    return first if isinstance(first, str) and first not in others else None


def _range(exported: Any, rows: str | None) -> tuple[int, int | None]:
    """The fewest and the most rows."""
    for symbol, limits in exported.range_constraints.items():
        if str(symbol) == rows:
            lower, upper = str(limits.lower), str(limits.upper)
            return (
                max(1, int(lower)) if lower.isdigit() else 1,
                int(upper) if upper.isdigit() else None,
            )
    return 1, None


def _spec(tensor: _Tensor, name: str, file: Path) -> TensorSpec:
    dtype = _DTYPES.get(str(tensor.dtype))
    if dtype is None:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"{file.name}: {name} is of type {tensor.dtype}, which is not served",
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in tensor.shape)
    dims = tuple(size if isinstance(size, str) else None for size in tensor.shape)
    return TensorSpec(name, dtype, shape, dims)


def _flat(torch: Any, module: Any) -> Any:
    """The module without the packing and unpacking of nested arguments, to be called by its
    `forward`: on a small model the rest takes most of the time. Its checks of sizes stay: they hold
    what no signature can say, such as a length that must be a multiple of 8."""
    module.graph.set_codegen(torch.fx.CodeGen())
    module.recompile()
    return module
