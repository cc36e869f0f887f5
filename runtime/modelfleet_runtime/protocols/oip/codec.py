"""The Open Inference Protocol's inference request and response, without I/O.

A request is JSON, or JSON followed by the bytes of its binary tensors in the order of its inputs;
then the header Inference-Header-Content-Length says how long the JSON is. A length of 0 means that
the body is nothing but the one input of the model. Binary tensors become views on the body.
"""

import math
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from modelfleet_runtime.errors import BadInput, EngineBroken
from modelfleet_runtime.protocols import numbers, values
from modelfleet_runtime.protocols.message import JSON_HEADERS, Answer
from modelfleet_runtime.signature import Array, DType, Signature, Tensors, TensorSpec, dtype_of

LENGTH_HEADER = b"inference-header-content-length"
_PARSER = numbers.Parser()
_NO_PARAMETERS: dict[str, Any] = {}
_UINT32 = struct.Struct("<I")
_SHORT_DIGITS = 5
"""A JSON text whose length has no more of them is read in no time."""
_MOST_DIMENSIONS = 32
_MOST_ELEMENTS = 1 << 48
_SENT_IN_PLACE = 64 * 1024
"""Bytes of binary outputs from which on they are not copied into one body."""


@dataclass(slots=True)
class Call:
    """What one inference request asks."""

    tensors: Tensors
    id: str | None = None
    outputs: dict[str, bool | None] = field(default_factory=dict)
    """The outputs that are wanted (all, when empty) and whether each is wanted in binary; None
    where the request does not say."""
    binary: bool = False
    """Whether outputs are wanted in binary where nothing else is said."""
    time_limit: float | None = None
    """Seconds from the arrival."""
    priority: int = 0
    """1 goes first; 0 is the model's default."""


def decode(length: bytes | None, body: bytes, signature: Signature) -> Call:
    """`length` is the value of the header, None without one. Raises `BadInput`."""
    if length is None:
        return _decode_json(body, b"", signature)
    if not length.isdigit() or len(length) > 18:
        raise BadInput("Inference-Header-Content-Length is not a number of bytes")
    size = int(length)
    if size > len(body):
        raise BadInput(
            f"Inference-Header-Content-Length is {size}, and the body has {len(body)} bytes"
        )
    if size == 0:
        return Call({**_raw(body, signature)}, binary=True)
    return _decode_json(body[:size], body, signature, size)


def in_place(length: bytes, signature: Signature) -> bool:
    """Whether a body with this header becomes tensors without a look at each value."""
    return (
        length.isdigit()
        and len(length) <= _SHORT_DIGITS
        and bool(signature.inputs)
        and all(spec.dtype not in (None, DType.BYTES) for spec in signature.inputs)
    )


def _decode_json(text: bytes, body: bytes, signature: Signature, start: int = 0) -> Call:
    value = _PARSER.parse(text) if len(text) >= numbers.WORTH else None
    if value is None:
        value = values.parse(text)
    if not isinstance(value, dict):
        raise BadInput("the body is not a JSON object")
    inputs = value.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise BadInput('"inputs" is not a list with at least one input')
    reader = _Reader(body, start)
    tensors: Tensors = {}
    for index, item in enumerate(inputs):
        if not isinstance(item, dict) or not isinstance(name := item.get("name"), str):
            raise BadInput(f'inputs[{index}] is not an object with a "name"')
        if name in tensors:
            raise BadInput(f"input {name[:80]!r} is there twice")
        tensors[name] = _input(name, item, reader, signature)
    reader.check_end()
    call = Call(tensors)
    if len(value) > 1:
        _read_rest(value, call, signature)
    return call


def _read_rest(value: dict[str, Any], call: Call, signature: Signature) -> None:
    request_id = value.get("id")
    if request_id is not None:
        if not isinstance(request_id, str):
            raise BadInput('"id" is not a text')
        call.id = request_id
    parameters = _parameters(value, "the request")
    if parameters:
        call.binary = _flag(parameters, "binary_data_output", "the request") or False
        timeout = parameters.get("timeout")
        if timeout is not None:
            if type(timeout) is not int or timeout <= 0:
                raise BadInput('"timeout" is not a number of microseconds above 0')
            call.time_limit = timeout / 1e6
        priority = parameters.get("priority")
        if priority is not None:
            if type(priority) is not int or not 0 <= priority < 1 << 32:
                raise BadInput('"priority" is not a whole number, 1 for the first level')
            call.priority = priority
    outputs = value.get("outputs")
    if outputs is None:
        return
    if not isinstance(outputs, list):
        raise BadInput('"outputs" is not a list')
    for index, item in enumerate(outputs):
        if not isinstance(item, dict) or not isinstance(name := item.get("name"), str):
            raise BadInput(f'outputs[{index}] is not an object with a "name"')
        if name in call.outputs:
            raise BadInput(f"output {name[:80]!r} is there twice")
        signature.output(name)
        where = f"output {name[:80]!r}"
        options = _parameters(item, where)
        for refused in ("classification", "shared_memory_region"):
            if refused in options:
                raise BadInput(f"{where}: {refused} is not supported")
        call.outputs[name] = _flag(options, "binary_data", where)


def _input(name: str, item: dict[str, Any], reader: "_Reader", signature: Signature) -> Array:
    where = f"input {name[:80]!r}"
    spec = signature.input(name)
    dtype = datatype(item.get("datatype", ""), spec, where)
    shape = shape_of(item.get("shape"), where)
    parameters = _parameters(item, where)
    size = parameters.get("binary_data_size")
    if size is not None:
        if "data" in item:
            raise BadInput(f'{where} has both "data" and binary data')
        if type(size) is not int or size < 0:
            raise BadInput(f'{where}: "binary_data_size" is not a number of bytes')
        return reader.tensor(size, dtype, shape, where)
    if "shared_memory_region" in parameters:
        raise BadInput(f"{where}: shared memory is not supported")
    if "data" not in item:
        raise BadInput(f'{where} has no "data"')
    array = values.to_array(item["data"], dtype, where)
    if array.size != math.prod(shape):
        raise BadInput(f"{where} has {array.size} values; its shape {list(shape)} holds "
                       f"{math.prod(shape)}")  # fmt: skip
    return array.reshape(shape)


def datatype(name: Any, spec: TensorSpec, where: str) -> DType:
    """Raises `BadInput` where it is none, or not the model's."""
    try:
        dtype = DType(name)
    except ValueError as error:
        raise BadInput(
            f"{where}: datatype {str(name)[:40]!r} is not supported; use one of {', '.join(DType)}"
        ) from error
    if spec.dtype is not None and dtype is not spec.dtype:
        raise BadInput(f"{where} has datatype {dtype}; expected {spec.dtype}")
    return dtype


class _Reader:
    """Takes the binary tensors off the body, in order."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes, start: int) -> None:
        self._body = body
        self._at = start

    def tensor(self, size: int, dtype: DType, shape: tuple[int, ...], where: str) -> Array:
        start, end = self._at, self._at + size
        if end > len(self._body):
            raise BadInput(
                f"{where} announces {size} bytes of binary data, and "
                f"{max(0, len(self._body) - start)} are there"
            )
        self._at = end
        return tensor(self._body, start, size, dtype, shape, where)

    def check_end(self) -> None:
        left = len(self._body) - self._at
        if left > 0:
            raise BadInput(f"{left} bytes of binary data belong to no input")


def tensor(
    body: bytes, start: int, size: int, dtype: DType, shape: tuple[int, ...], where: str
) -> Array:
    """Of its `size` bytes in the body; a view, where that is aligned. Raises `BadInput`."""
    count = math.prod(shape)
    itemsize = dtype.itemsize
    if itemsize is None:
        return _bytes_elements(body, start, start + size, count, where).reshape(shape)
    if size != count * itemsize:
        raise BadInput(
            f"{where} has {size} bytes of binary data; {dtype} {list(shape)} needs "
            f"{count * itemsize}"
        )
    array = np.frombuffer(body, dtype.numpy, count, start).reshape(shape)
    if not array.flags.aligned:
        # The JSON before it may have any length, and compiled kernels may assume alignment.
        array = array.copy()
    if dtype is DType.BOOL and array.view(np.uint8).max(initial=0) > 1:
        raise BadInput(f"{where}: a byte of BOOL is neither 0 nor 1")
    return array


def _bytes_elements(body: bytes, start: int, end: int, count: int, where: str) -> Array:
    if count * 4 > end - start:
        raise BadInput(f"{where} announces {count} elements in {end - start} bytes")
    array = np.empty(count, dtype=object)
    at = start
    for index in range(count):
        if at + 4 > end:
            raise BadInput(f"{where} ends before its element {index}")
        (length,) = _UINT32.unpack_from(body, at)
        at += 4
        if at + length > end:
            raise BadInput(f"{where} ends within its element {index}")
        array[index] = body[at : at + length]
        at += length
    if at != end:
        raise BadInput(f"{where} has {end - at} bytes after its last element")
    return array


def _raw(body: bytes, signature: Signature) -> Tensors:
    """A body that is nothing but the one input's bytes; its one free dimension is what is left."""
    if len(signature.inputs) != 1:
        raise BadInput(f"a raw body needs a model with one input, and this has "
                       f"{len(signature.inputs) or 'undeclared ones'}")  # fmt: skip
    spec = signature.inputs[0]
    if spec.dtype is None or spec.shape is None or spec.shape.count(-1) > 1:
        raise BadInput("a raw body needs an input whose shape has at most one free dimension")
    where = f"input {spec.name!r}"
    if spec.dtype is DType.BYTES:
        array = np.empty(1, dtype=object)
        array[0] = body
        return {spec.name: array.reshape((1,) * len(spec.shape))}
    item = spec.dtype.itemsize or 1
    fixed = math.prod(size for size in spec.shape if size != -1) * item
    if fixed == 0 or len(body) % fixed:
        raise BadInput(f"{where}: the raw body has {len(body)} bytes, no multiple of {fixed}")
    shape = tuple(len(body) // fixed if size == -1 else size for size in spec.shape)
    return {spec.name: tensor(body, 0, len(body), spec.dtype, shape, where)}


def shape_of(value: Any, where: str) -> tuple[int, ...]:
    """Of a list of sizes. Raises `BadInput`."""
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        raise BadInput(f'{where}: "shape" is not a list of at most {_MOST_DIMENSIONS} sizes')
    for size in value:
        if type(size) is not int or size < 0 or size > 1 << 40:
            raise BadInput(f'{where}: "shape" holds {str(size)[:40]}, which is not a size')
    # With a 0 among its sizes such a shape holds nothing, and numpy makes no array of it either.
    if math.prod(size or 1 for size in value) > _MOST_ELEMENTS:
        raise BadInput(f'{where}: "shape" is larger than any memory')
    return tuple(value)


def _parameters(item: dict[str, Any], where: str) -> dict[str, Any]:
    value = item.get("parameters")
    if value is None:
        return _NO_PARAMETERS
    if not isinstance(value, dict):
        raise BadInput(f'{where}: "parameters" is not an object')
    return value


def _flag(parameters: dict[str, Any], name: str, where: str) -> bool | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadInput(f'{where}: "{name}" is neither true nor false')
    return value


def encode(call: Call, outputs: Tensors, name: str, version: str) -> Answer:
    """The response to `call`.

    Raises `BadInput` for a wanted output that the model did not give, and for NaN in JSON.
    """
    described: list[dict[str, Any]] = []
    in_json: list[tuple[str, Array]] = []
    tail: list[bytes | memoryview] = []
    size = 0
    for output, binary in (call.outputs or dict.fromkeys(outputs)).items():
        array = outputs.get(output)
        if array is None:
            raise BadInput(f"unexpected output {output[:80]!r}")
        dtype = dtype_of(array)
        if dtype is None:
            raise EngineBroken(f"output {output!r} is of the type {array.dtype}")
        entry: dict[str, Any] = {"name": output, "datatype": dtype.value, "shape": array.shape}
        if call.binary if binary is None else binary:
            raw = bytes_of(array, dtype)
            entry["parameters"] = {"binary_data_size": len(raw)}
            tail.append(raw)
            size += len(raw)
        else:
            entry["data"] = array.ravel()
            in_json.append((output, array))
        described.append(entry)
    head: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": described}
    if call.id is not None:
        head["id"] = call.id
    text = values.dump(head, in_json)
    if not tail:
        return Answer(200, JSON_HEADERS, text)
    headers = [
        (b"content-type", b"application/octet-stream"),
        (LENGTH_HEADER, b"%d" % len(text)),
    ]
    if size < _SENT_IN_PLACE:
        return Answer(200, headers, b"".join((text, *tail)))
    return Answer(200, headers, text, [memoryview(raw) for raw in tail])


def bytes_of(array: Array, dtype: DType) -> bytes | memoryview:
    """As binary data; a large array is not copied."""
    if dtype is not DType.BYTES:
        if array.nbytes < _SENT_IN_PLACE:
            return array.tobytes()
        return np.ascontiguousarray(array).reshape(-1).data.cast("B")
    parts: list[bytes] = []
    for item in array.ravel().tolist():
        raw = item.encode() if isinstance(item, str) else bytes(item)
        parts += (_UINT32.pack(len(raw)), raw)
    return b"".join(parts)


def encode_error(message: str) -> bytes:
    return orjson.dumps({"error": message})
