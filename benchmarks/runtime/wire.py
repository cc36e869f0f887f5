"""The same tensors in each server's words, and the answers back."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

Array = np.ndarray[Any, Any]
Inputs = dict[str, Array]
Decode = Callable[[bytes, dict[str, str]], Array]

DATATYPES = {"float32": "FP32", "int64": "INT64", "object": "BYTES"}


@dataclass(frozen=True)
class Wire:
    """How one protocol carries a model's requests."""

    path: str
    headers: dict[str, str]
    bodies: list[bytes]
    decode: Decode


def raw(path: str, requests: list[Inputs]) -> Wire:
    """Nothing but the values, both ways."""
    return Wire(
        path,
        {"Content-Type": "application/octet-stream"},
        [b"".join(_values(a) for a in request.values()) for request in requests],
        lambda body, _: np.frombuffer(body, np.float32),
    )


def _values(array: Array) -> bytes:
    return b"".join(array.ravel().tolist()) if array.dtype == object else array.tobytes()


def plain_json(
    path: str, requests: list[Inputs], wrap: Callable[[Any], Any], unwrap: Callable[[Any], Any]
) -> Wire:
    """Objects of one row's values."""
    bodies = []
    for request in requests:
        row = {
            name: a.ravel()[0].decode() if a.dtype == object else a[0].tolist()
            for name, a in request.items()
        }
        bodies.append(orjson.dumps(wrap(row)))
    return Wire(
        path,
        {"Content-Type": "application/json"},
        bodies,
        lambda body, _: np.asarray(unwrap(orjson.loads(body)), np.float32).ravel(),
    )


def oip_json(path: str, requests: list[Inputs]) -> Wire:
    """The Open Inference Protocol's JSON."""
    bodies = []
    for request in requests:
        inputs = []
        for name, array in request.items():
            data = array.ravel().tolist()
            if array.dtype == object:
                data = [item.decode() for item in data]
            inputs.append(_described(name, array) | {"data": data})
        bodies.append(orjson.dumps({"inputs": inputs}))

    def decode(body: bytes, _: dict[str, str]) -> Array:
        return np.asarray(orjson.loads(body)["outputs"][0]["data"], np.float32).ravel()

    return Wire(path, {"Content-Type": "application/json"}, bodies, decode)


def oip_binary(path: str, requests: list[Inputs]) -> Wire:
    """The same with binary tensors."""
    bodies = []
    length = 0
    for request in requests:
        inputs, tail = [], b""
        for name, array in request.items():
            values = _framed(array)
            size = {"binary_data_size": len(values)}
            inputs.append(_described(name, array) | {"parameters": size})
            tail += values
        text = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
        # The header with the length is one for all requests of a run: shorter texts get blanks.
        length = max(length, len(text))
        bodies.append((text, tail))
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(length),
    }

    def decode(body: bytes, answered: dict[str, str]) -> Array:
        return np.frombuffer(body[int(answered["inference-header-content-length"]) :], np.float32)

    return Wire(path, headers, [text.ljust(length) + tail for text, tail in bodies], decode)


def _described(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[str(array.dtype)]}


def _framed(array: Array) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    return b"".join(struct.pack("<I", len(item)) + item for item in array.ravel().tolist())


def grpc(model: str, requests: list[Inputs]) -> Wire:
    """ModelInfer of the same protocol over gRPC: the messages, each with raw tensors."""
    from modelfleet_runtime.protocols.grpc.messages import inference_pb2

    bodies = []
    for request in requests:
        message = inference_pb2.ModelInferRequest(model_name=model)
        for name, array in request.items():
            datatype = DATATYPES[str(array.dtype)]
            message.inputs.add(name=name, datatype=datatype, shape=array.shape)
            message.raw_input_contents.append(_framed(array))
        bodies.append(message.SerializeToString())

    def decode(body: bytes, _: dict[str, str]) -> Array:
        answer = inference_pb2.ModelInferResponse.FromString(body)
        return np.frombuffer(answer.raw_output_contents[0], np.float32)

    return Wire(GRPC_METHOD, {}, bodies, decode)


GRPC_METHOD = "/inference.GRPCInferenceService/ModelInfer"
