"""The same tensors in each server's words, and the answers back."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.runtime.models import Array, Inputs

Decode = Callable[[bytes, dict[str, str]], Array]

DATATYPES = {"float32": "FP32", "int64": "INT64", "object": "BYTES"}


@dataclass(frozen=True)
class Wire:
    """How one protocol carries a model's requests.

    An answer's numbers are the last bytes of its body, or with `json` the list that is its `data`
    (else its last list).
    """

    path: str
    headers: dict[str, str]
    bodies: list[bytes]
    decode: Decode
    json: bool = False
    grpc: bool = False
    port: int = 0
    """Added to the server's port."""

    def request(self, body: bytes, more: dict[str, str]) -> bytes:
        """One request as it goes over an HTTP/1.1 connection; of gRPC the message alone."""
        if self.grpc:
            return body
        headers = {"Host": "localhost", **self.headers, **more, "Content-Length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def heads(self) -> tuple[bytes, bytes]:
        """The HPACK blocks of a gRPC connection's first request and of all later ones.

        As gRPC's own clients do it: the first puts the headers into the connection's table, and
        later ones name the places in it.
        """
        if not self.grpc:
            return b"", b""
        fields = {
            ":path": self.path,
            ":authority": "localhost",
            "content-type": "application/grpc",
            "te": "trailers",
            "user-agent": "bench",
        }
        first, later = bytearray(b"\x83\x86"), bytearray(b"\x83\x86")  # POST, http
        for number, (name, value) in enumerate(fields.items()):
            for text in (name, value):
                assert len(text) < 127
            first += b"\x40" + bytes([len(name)]) + name.encode()
            first += bytes([len(value)]) + value.encode()
            later.append(0x80 | (62 + len(fields) - 1 - number))
        return bytes(first), bytes(later)


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
        json=True,
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

    return Wire(path, {"Content-Type": "application/json"}, bodies, decode, json=True)


def oip_binary(path: str, requests: list[Inputs]) -> Wire:
    """The same with binary tensors."""
    texts = []
    for request in requests:
        inputs, tail = [], b""
        for name, array in request.items():
            values = _framed(array)
            size = {"binary_data_size": len(values)}
            inputs.append(_described(name, array) | {"parameters": size})
            tail += values
        text = orjson.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}})
        texts.append((text, tail))
    # The header with the length is one for all requests of a run: shorter texts get blanks.
    length = max(len(text) for text, _ in texts)
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(length),
    }

    def decode(body: bytes, answered: dict[str, str]) -> Array:
        return np.frombuffer(body[int(answered["inference-header-content-length"]) :], np.float32)

    return Wire(path, headers, [text.ljust(length) + tail for text, tail in texts], decode)


def oip_grpc(model: str, requests: list[Inputs], port: int) -> Wire:
    """The same over gRPC, with raw contents, on another port of the server."""
    bodies = []
    for request in requests:
        message = _field(1, model.encode())
        for name, array in request.items():
            shape = b"".join(_varint(size) for size in array.shape)
            tensor = _field(1, name.encode()) + _field(2, DATATYPES[str(array.dtype)].encode())
            message += _field(5, tensor + _field(3, shape))
        for array in request.values():
            message += _field(7, _framed(array))
        bodies.append(message)
    return Wire(
        "/inference.GRPCInferenceService/ModelInfer", {}, bodies,
        lambda body, _: np.frombuffer(body, np.float32), grpc=True, port=port,
    )  # fmt: skip


def _field(number: int, value: bytes) -> bytes:
    """A protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def _described(name: str, array: Array) -> dict[str, Any]:
    return {"name": name, "shape": list(array.shape), "datatype": DATATYPES[str(array.dtype)]}


def _framed(array: Array) -> bytes:
    if array.dtype != object:
        return array.tobytes()
    return b"".join(struct.pack("<I", len(item)) + item for item in array.ravel().tolist())
