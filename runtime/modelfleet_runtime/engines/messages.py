"""What the server and a process that runs the model say to each other: all of it plain JSON."""

from pathlib import Path
from typing import Any

from modelfleet_contract import EngineSettings, FailureReason, ModelFormat
from modelfleet_runtime.errors import (
    BadInput,
    CannotServe,
    EngineBroken,
    EngineDead,
    Limit,
    OutOfMemory,
    Refusal,
    TooLarge,
)
from modelfleet_runtime.packages.package import Package
from modelfleet_runtime.signature import DType, Signature, TensorSpec

Json = dict[str, Any]

_REFUSALS: dict[str, type[Refusal]] = {
    kind.__name__: kind for kind in (BadInput, EngineBroken, EngineDead, OutOfMemory, TooLarge)
}


def of_signature(signature: Signature) -> Json:
    return {
        "inputs": [_of_spec(spec) for spec in signature.inputs],
        "outputs": [_of_spec(spec) for spec in signature.outputs],
        "batched": signature.batched,
        "most_rows": signature.most_rows,
    }


def to_signature(told: Json) -> Signature:
    return Signature(
        tuple(_to_spec(spec) for spec in told["inputs"]),
        tuple(_to_spec(spec) for spec in told["outputs"]),
        told["batched"],
        told["most_rows"],
    )


def of_package(package: Package, settings: EngineSettings, threads: int) -> Json:
    return {
        "format": package.format.value,
        "main": str(package.main),
        "folder": str(package.folder),
        "signature": of_signature(package.signature) if package.signature else None,
        "environment": dict(package.environment),
        "settings": settings.model_dump(mode="json"),
        "threads": threads,
    }


def to_package(told: Json) -> tuple[Package, EngineSettings, int]:
    signature = told["signature"]
    package = Package(
        ModelFormat(told["format"]),
        Path(told["main"]),
        Path(told["folder"]),
        to_signature(signature) if signature else None,
        told["environment"],
    )
    return package, EngineSettings(**told["settings"]), told["threads"]


def of_failure(error: CannotServe | Refusal) -> Json:
    if isinstance(error, CannotServe):
        return {"reason": error.failure.reason.value, "message": error.failure.message}
    kind = type(error).__name__
    return {
        "refusal": kind if kind in _REFUSALS else EngineBroken.__name__,
        "message": error.message,
        "limit": error.limit,
    }


def to_failure(told: Json) -> CannotServe | Refusal:
    if "reason" in told:
        return CannotServe(FailureReason(told["reason"]), told["message"])
    limit = told["limit"]
    return _REFUSALS[told["refusal"]](told["message"], Limit(limit) if limit else None)


def _of_spec(spec: TensorSpec) -> Json:
    return {"name": spec.name, "dtype": spec.dtype, "shape": spec.shape, "dims": spec.dims}


def _to_spec(told: Json) -> TensorSpec:
    dtype, shape, dims = told["dtype"], told["shape"], told["dims"]
    return TensorSpec(
        told["name"],
        None if dtype is None else DType(dtype),
        None if shape is None else tuple(shape),
        None if dims is None else tuple(dims),
    )
