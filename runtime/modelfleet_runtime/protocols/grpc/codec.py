"""ModelInferRequest to tensors, and tensors to ModelInferResponse, without I/O.

The strictness and the words are those of the protocol over HTTP; here are the differences. Values
come in `raw_input_contents`, one for each input, or in each input's `contents`. Outputs always go
in `raw_output_contents`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelfleet_runtime.errors import BadInput, EngineBroken
from modelfleet_runtime.protocols import values
from modelfleet_runtime.protocols.grpc import wire
from modelfleet_runtime.protocols.grpc.wire import field, field_head
from modelfleet_runtime.protocols.oip import codec as oip
from modelfleet_runtime.protocols.oip.codec import Call
from modelfleet_runtime.signature import Array, DType, Signature, Tensors, dtype_of

if TYPE_CHECKING:
    from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb

ID: Final = 3
"""The number of the field `id`, in requests and responses."""
RAW_INPUT: Final = 7
_NAME: Final = 1
_VERSION: Final = 2
_OUTPUTS: Final = 5
_RAW_OUTPUT: Final = 6

_CONTENTS: dict[DType, str] = {
    DType.BOOL: "bool_contents",
    DType.UINT8: "uint_contents",
    DType.UINT16: "uint_contents",
    DType.UINT32: "uint_contents",
    DType.UINT64: "uint64_contents",
    DType.INT8: "int_contents",
    DType.INT16: "int_contents",
    DType.INT32: "int_contents",
    DType.INT64: "int64_contents",
    DType.FP32: "fp32_contents",
    DType.FP64: "fp64_contents",
    DType.BYTES: "bytes_contents",
}
"""Where the values of each datatype stand; FP16 has no place."""
_SHARED_MEMORY: Final = "shared_memory_region"
_SEQUENCE: Final = ("sequence_id", "sequence_start", "sequence_end")


@dataclass(slots=True)
class Asked:
    """A request, and which model it is for."""

    model: str
    version: str
    """Empty for any."""
    call: Call


def decode(message: bytes, signature: Signature) -> Asked:
    """Raises `BadInput`."""
    from google.protobuf.message import DecodeError

    from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb

    try:
        request = pb.ModelInferRequest.FromString(message)
    except DecodeError as error:
        raise BadInput("the message is not a ModelInferRequest") from error
    if not request.inputs:
        raise BadInput("the request has no inputs")
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise BadInput(
            f"the request has {len(request.inputs)} inputs and {len(raw)} raw_input_contents; "
            "it needs one for each, or none"
        )
    tensors: Tensors = {}
    for index, item in enumerate(request.inputs):
        if item.name in tensors:
            raise BadInput(f"input {item.name[:80]!r} is there twice")
        content = raw[index] if raw else None
        tensors[item.name] = _input(item, content, signature)
    call = Call(tensors, request.id or None, binary=True)
    for output in request.outputs:
        _output(output, call, signature)
    _parameters(request.parameters, call)
    return Asked(request.model_name, request.model_version, call)


def _input(
    item: "pb.ModelInferRequest.InferInputTensor", raw: bytes | None, signature: Signature
) -> Array:
    where = f"input {item.name[:80]!r}"
    spec = signature.input(item.name)
    dtype = oip.datatype(item.datatype, spec, where)
    shape = oip.shape_of(list(item.shape), where)
    if _SHARED_MEMORY in item.parameters:
        raise BadInput(f"{where}: shared memory is not supported")
    given = [field.name for field, _ in item.contents.ListFields()]
    if raw is not None:
        if given:
            raise BadInput(f"{where} has contents, and the request has raw_input_contents")
        return oip.tensor(raw, 0, len(raw), dtype, shape, where)
    place = _CONTENTS.get(dtype)
    if place is None:
        raise BadInput(f"{where}: {dtype} has no contents; send it in raw_input_contents")
    if given not in ([], [place]):
        raise BadInput(f"{where} has {', '.join(given)}; {dtype} stands in {place}")
    found = list(getattr(item.contents, place))
    if len(found) != math.prod(shape):
        raise BadInput(
            f"{where} has {len(found)} values; its shape {list(shape)} holds {math.prod(shape)}"
        )
    if dtype is DType.BYTES:
        array: Array = np.empty(len(found), dtype=object)
        array[:] = found
    else:
        array = values.to_array(found, dtype, where)
    return array.reshape(shape)


def _output(
    item: "pb.ModelInferRequest.InferRequestedOutputTensor", call: Call, signature: Signature
) -> None:
    if item.name in call.outputs:
        raise BadInput(f"output {item.name[:80]!r} is there twice")
    signature.output(item.name)
    for refused in ("classification", _SHARED_MEMORY):
        if refused in item.parameters:
            raise BadInput(f"output {item.name[:80]!r}: {refused} is not supported")
    call.outputs[item.name] = None


def _parameters(parameters: "Mapping[str, pb.InferParameter]", call: Call) -> None:
    if not parameters:
        return
    for name in _SEQUENCE:
        if _value(parameters, name):
            raise BadInput(f'"{name}": sequences are not supported')
    timeout = _value(parameters, "timeout")
    if timeout is not None:
        if type(timeout) is not int or timeout <= 0:
            raise BadInput('"timeout" is not a number of microseconds above 0')
        call.time_limit = timeout / 1e6
    priority = _value(parameters, "priority")
    if priority is not None:
        if type(priority) is not int or not 0 <= priority < 1 << 32:
            raise BadInput('"priority" is not a whole number, 1 for the first level')
        call.priority = priority


def _value(parameters: "Mapping[str, pb.InferParameter]", name: str) -> Any:
    if name not in parameters:
        return None
    parameter = parameters[name]
    chosen = parameter.WhichOneof("parameter_choice")
    return None if chosen is None else getattr(parameter, chosen)


@dataclass(frozen=True, slots=True)
class Output:
    """One output of an answer: what describes it, and its bytes."""

    described: bytes
    raw: bytes | memoryview


def outputs_of(call: Call, outputs: Tensors) -> list[Output]:
    """The outputs that the call wants, in its order.

    Raises `BadInput` for one that the model did not give.
    """
    chosen = []
    for name in call.outputs or outputs:
        array = outputs.get(name)
        if array is None:
            raise BadInput(f"unexpected output {name[:80]!r}")
        dtype = dtype_of(array)
        if dtype is None:
            raise EngineBroken(f"output {name!r} is of the type {array.dtype}")
        shape = b"".join(map(wire.varint, array.shape))
        described = field(1, name.encode()) + field(2, dtype.value.encode()) + field(3, shape)
        chosen.append(Output(field(_OUTPUTS, described), oip.bytes_of(array, dtype)))
    return chosen


def model_fields(name: str, version: str) -> bytes:
    """Of a response: which model has answered."""
    return field(_NAME, name.encode()) + field(_VERSION, version.encode())


def id_field(call: Call) -> bytes:
    return b"" if call.id is None else field(ID, call.id.encode())


def raw_head(raw: bytes | memoryview) -> bytes:
    """What stands before the bytes of an output."""
    return field_head(_RAW_OUTPUT, len(raw))
