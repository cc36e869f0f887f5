"""Wrong requests in right HTTP, as tables: a name, what is sent, and what the answer has to say."""

import json
from typing import Any

PREDICT, BATCH, INFER = "/predict", "/predict/batch", "/v2/models/digits/infer"
LENGTH = "Inference-Header-Content-Length"
LIMIT = 200_000
"""Bytes of a body."""
ROW: list[Any] = [0.0] * 64


def inputs(value: Any) -> bytes:
    return json.dumps({"inputs": value}).encode()


def row(*first: Any) -> list[Any]:
    return [*first, *ROW[len(first) :]]


def nested(depth: int) -> Any:
    value: Any = 1.0
    for _ in range(depth):
        value = [value]
    return value


def tensor(drop: str = "", **other: Any) -> dict[str, Any]:
    made = {"name": "pixels", "datatype": "FP32", "shape": [1, 64], "data": ROW} | other
    made.pop(drop, None)
    return made


def oip(*tensors: Any, **other: Any) -> bytes:
    return json.dumps({"inputs": list(tensors)} | other).encode()


def sized(size: Any, **other: Any) -> bytes:
    return oip(tensor("data", parameters={"binary_data_size": size}, **other))


SIMPLE: list[tuple[str, str, bytes, str]] = [
    ("empty", PREDICT, b"", "empty"),
    ("cut off", PREDICT, b'{"inputs": [1, 2', "not valid JSON"),
    ("NaN", PREDICT, b'{"inputs": [NaN]}', "not valid JSON"),
    ("infinity", PREDICT, b'{"inputs": [-Infinity]}', "not valid JSON"),
    ("no UTF-8", PREDICT, b'{"inputs": "\xff"}', "not valid JSON"),
    ("only brackets", PREDICT, b"[" * 100_000, "1024 deep"),
    ("65 deep", PREDICT, inputs(nested(65)), "pixels"),
    ("900 deep", PREDICT, inputs(nested(900)), "pixels"),
    ("two documents", PREDICT, inputs(ROW) * 2, "not valid JSON"),
    ("a list", PREDICT, b"[1]", "inputs"),
    ("null", PREDICT, b"null", "inputs"),
    ("no inputs", PREDICT, b"{}", "inputs"),
    ("one thing more", PREDICT, b'{"inputs": [], "input": 1}', "unexpected 'input'"),
    ("too few", PREDICT, inputs(ROW[1:]), r"\[1,63\]; expected \[-1,64\]"),
    ("too many", PREDICT, inputs([*ROW, 0]), r"\[1,65\]"),
    ("nothing in it", PREDICT, inputs([]), "pixels"),
    ("null for all", PREDICT, inputs(None), "null"),
    ("null inside", PREDICT, inputs(row(None)), "null"),
    ("text inside", PREDICT, inputs(row("1")), "text"),
    ("true inside an object", PREDICT, inputs({"pixels": [True] * 64}), "true or false"),
    ("an object inside", PREDICT, inputs(row({})), "object"),
    ("uneven", PREDICT, inputs([[1.0], [1.0, 2.0]]), "even"),
    ("too large a number", PREDICT, inputs(row(1e39)), "range"),
    ("far too large a number", PREDICT, inputs(row(1)).replace(b"[1,", b"[1e400,"), ""),
    ("a long whole number", PREDICT, inputs(row(10**300)), "range|huge"),
    ("an unknown input", PREDICT, inputs({"pixel": ROW}), "unexpected input 'pixel'"),
    ("a long unknown input", PREDICT, inputs({"p" * 90_000: ROW}), "unexpected input"),
    ("no input", PREDICT, inputs({}), "missing 'pixels'"),
    ("several items", PREDICT, inputs([ROW, ROW]), "/predict/batch"),
    ("a dimension more", PREDICT, inputs([[ROW]]), "pixels"),
    ("no list of items", BATCH, inputs({"pixels": [ROW]}), "list"),
    ("no items", BATCH, inputs([]), "empty list"),
    ("an item that is none", BATCH, inputs([ROW, None]), r"inputs\[1\]"),
    ("a short item", BATCH, inputs([ROW, ROW, ROW[1:]]), r"inputs\[2\]"),
    ("an item with another name", BATCH, inputs([{"pixels": ROW}, {"x": ROW}]), r"inputs\[1\]"),
    ("an item without names", BATCH, inputs([{"pixels": ROW}, {}]), r"inputs\[1\]"),
    ("items that are numbers", BATCH, inputs(ROW), "pixels"),
    ("all items empty", BATCH, inputs([[], []]), "pixels"),
    ("all items nameless", BATCH, inputs([{}, {}]), "pixels"),
]

PROTOCOL: list[tuple[str, bytes, str]] = [
    ("empty", b"", "empty"),
    ("no inputs", b"{}", "inputs"),
    ("no list", b'{"inputs": {}}', "list"),
    ("an empty list", oip(), "at least one"),
    ("null in the list", oip(None), r"inputs\[0\]"),
    ("no name", oip(tensor("name")), "name"),
    ("a name that is a number", oip(tensor(name=1)), "name"),
    ("another name", oip(tensor(name="x")), "unexpected input 'x'"),
    ("one input twice", oip(tensor(), tensor()), "twice"),
    ("no datatype", oip(tensor("datatype")), "datatype"),
    ("a datatype that is a list", oip(tensor(datatype=["FP32"])), "datatype"),
    ("a datatype of nobody", oip(tensor(datatype="FP8")), "use one of BOOL"),
    ("another datatype", oip(tensor(datatype="FP64")), "expected FP32"),
    ("no shape", oip(tensor("shape")), "shape"),
    ("a shape below zero", oip(tensor(shape=[-1, 64])), "-1"),
    ("a shape of texts", oip(tensor(shape=["1", 64])), "not a size"),
    ("a shape of true", oip(tensor(shape=[True, 64])), "not a size"),
    ("a shape of fractions", oip(tensor(shape=[1.0, 64])), "not a size"),
    ("a shape beyond memory", oip(tensor(shape=[1 << 40] * 32)), "memory"),
    ("a shape of many", oip(tensor(shape=[1] * 33)), "at most 32"),
    ("no rows", oip(tensor(shape=[0, 64], data=[])), "no rows"),
    ("no rows of too much", oip(tensor(shape=[0, 1 << 40, 1 << 40], data=[])), "memory"),
    ("a shape turned round", oip(tensor(shape=[64, 1])), r"\[64,1\]; expected"),
    ("one dimension", oip(tensor(shape=[64])), r"\[64\]; expected"),
    ("fewer values", oip(tensor(data=ROW[1:])), "63 values"),
    ("no data", oip(tensor("data")), "data"),
    ("null for data", oip(tensor(data=None)), "null"),
    ("an object for data", oip(tensor(data={})), "object"),
    ("text for numbers", oip(tensor(data=["1"] * 64)), "text"),
    ("uneven", oip(tensor(data=[[1], [1, 2]])), "even"),
    ("parameters that are none", oip(tensor(parameters=1)), "parameters"),
    ("binary and data", oip(tensor(parameters={"binary_data_size": 256})), "both"),
    ("binary that is not there", sized(256), "0 are there"),
    ("a size of true", sized(True), "binary_data_size"),
    ("a size below zero", sized(-1), "binary_data_size"),
    ("a size of nothing", sized(0), "needs 256"),
    ("no binary for too much", sized(0, shape=[0, 1 << 40, 1 << 40]), "memory"),
    ("shared memory", oip(tensor("data", parameters={"shared_memory_region": "a"})), "shared"),
    ("an id that is a number", oip(tensor(), id=1), "id"),
    ("another output", oip(tensor(), outputs=[{"name": "x"}]), "unexpected output 'x'"),
    ("an output twice", oip(tensor(), outputs=[{"name": "digit"}] * 2), "twice"),
    ("outputs of nothing", oip(tensor(), outputs=1), "list"),
    ("outputs of numbers", oip(tensor(), outputs=[1]), r"outputs\[0\]"),
    ("a flag that is none", oip(tensor(), parameters={"binary_data_output": 1}), "true nor false"),
    ("no time", oip(tensor(), parameters={"timeout": 0}), "timeout"),
    ("classes", oip(tensor(), outputs=[{"name": "digit", "parameters": {"classification": 1}}]),
     "not supported"),
]  # fmt: skip

BINARY: list[tuple[str, str, bytes, str]] = [
    ("no number", "x", b"{}", "not a number"),
    ("below zero", "-1", b"{}", "not a number"),
    ("a long number", "9" * 30, b"{}", "not a number"),
    ("an empty length", "", b"{}", "not a number"),
    ("more than the body", "9999", oip(tensor()), "9999"),
    ("less than the JSON", "20", oip(tensor()), "not valid JSON"),
    ("bytes of nobody", str(len(oip(tensor()))), oip(tensor()) + b"\0" * 8, "belong to no input"),
    ("too few bytes", str(len(sized(256))), sized(256) + b"\0" * 255, "255 are there"),
    ("a raw body of no row", "0", b"", "no rows"),
    ("a raw body of half a row", "0", b"\0" * 128, "no multiple"),
    ("a size beyond numbers", str(len(sized(1 << 62))), sized(1 << 62), "0 are there"),
]

HEADERS: list[tuple[str, str, str, dict[str, str], bytes, int, str]] = [
    ("xml", "POST", PREDICT, {"Content-Type": "text/xml"}, inputs(ROW), 400, "application/json"),
    ("xml to the protocol", "POST", INFER, {"Content-Type": "text/xml"}, oip(tensor()), 400,
     "application/json"),
    ("brotli", "POST", PREDICT, {"Content-Encoding": "br"}, inputs(ROW), 415, "gzip"),
    ("no gzip", "POST", PREDICT, {"Content-Encoding": "gzip"}, inputs(ROW), 400, "Encoding"),
    ("an empty gzip", "POST", PREDICT, {"Content-Encoding": "gzip"}, b"", 400, "cut off"),
    *(
        (f"a timeout of {text!r}", "POST", PREDICT, {"x-request-timeout-ms": text}, inputs(ROW),
         400, "milliseconds")
        for text in ("0", "-5", "1.5", "soon", "", "9" * 13)
    ),
    ("oversized", "POST", PREDICT, {}, b" " * (LIMIT + 1), 413, str(LIMIT)),
    ("oversized to the protocol", "POST", INFER, {}, b" " * (LIMIT + 1), 413, str(LIMIT)),
    ("GET", "GET", PREDICT, {}, b"", 405, "POST"),
    ("DELETE of the protocol", "DELETE", INFER, {}, b"", 405, "POST"),
    ("POST to a probe", "POST", "/health/ready", {}, b"", 405, "GET"),
    ("POST to a page", "POST", "/health", {}, b"", 405, "GET"),
    ("an unknown model", "POST", "/v2/models/x/infer", {}, oip(tensor()), 404, "'x' is not found"),
    ("an unknown version", "POST", "/v2/models/digits/versions/9/infer", {}, oip(tensor()), 404,
     "version '9'"),
    ("an unknown model's metadata", "GET", "/v2/models/x", {}, b"", 404, "'x' is not found"),
    ("an unknown model's readiness", "GET", "/v2/models/x/ready", {}, b"", 404, "not found"),
    ("an unknown address", "GET", "/predict/", {}, b"", 404, "/docs"),
    ("an address that goes up", "GET", "/docs/..%2f..%2fetc/passwd", {}, b"", 404, "/docs"),
]  # fmt: skip
