"""What is asked of a package on its own server and on ours, and where the answers may differ.

A difference stands here with its reason, or there is none.
"""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

import io
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np

JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}
NPY = {"content-type": "application/x-npy"}


@dataclass(frozen=True)
class Case:
    package: str
    """The folder below `packages/`."""
    name: str
    method: str = "POST"
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ours: dict[str, Any] = field(default_factory=dict)
    """Parts of the answer in which ours differs: status, body, or a header's name; None where there
    is no such header."""
    why: str = ""
    """The reason for that."""


def _npy(value: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


def _say(what: str) -> bytes:
    return json.dumps({"do": what}).encode()


MORE = {"x-request-id"}
"""Headers that ours has where the original may have none: every request has a name in our log."""

PLAIN, SCHEMA, RAW = "azureml/plain", "azureml/schema", "azureml/rawhttp"
LONG = "x" * 101
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nfile\r\n--b--\r\n'
)
NOT_OURS = "a path of no protocol is answered as our other pages are"

AZURE = [
    Case(PLAIN, "an object", path="/score", headers=JSON, body=b'{"a": 1}'),
    Case(PLAIN, "without a content type", path="/score", body=b"[1, 2]"),
    Case(PLAIN, "another content type", path="/score", headers={"content-type": "image/png"}, body=b'"x"'),
    Case(PLAIN, "no body", path="/score"),
    Case(PLAIN, "not JSON", path="/score", body=b"{"),
    Case(PLAIN, "not UTF-8", path="/score", body=b"\xff\xfe"),
    Case(PLAIN, "letters beyond ASCII", path="/score", body='{"a": "ü✓"}'.encode()),
    Case(PLAIN, "None", path="/score", body=_say("none")),
    Case(PLAIN, "an exception", path="/score", body=_say("raise")),
    Case(PLAIN, "what JSON cannot hold", path="/score", body=_say("set")),
    Case(PLAIN, "a header of the request", path="/score", headers={"x-mine": "1"}, body=_say("header")),
    Case(PLAIN, "names of headers", path="/score", headers={"x-mine": "1", **JSON}, body=_say("names")),
    Case(PLAIN, "a megabyte printed", path="/score", body=_say("print")),
    Case(PLAIN, "the model's folder", path="/score", body=_say("ready")),
    Case(PLAIN, "too slow", path="/score", body=_say("sleep")),
    Case(PLAIN, "GET", "GET", "/score"),
    Case(PLAIN, "GET with values", "GET", "/score?a=1&b=[1,2]&c=x&a=2&d=null&e="),
    Case(PLAIN, "GET with a percent", "GET", "/score?a=%C3%BC+b"),
    Case(PLAIN, "OPTIONS", "OPTIONS", "/score"),
    Case(PLAIN, "PUT", "PUT", "/score", body=b"{}"),
    Case(PLAIN, "DELETE", "DELETE", "/score"),
    Case(PLAIN, "health", "GET", "/"),
    Case(PLAIN, "health with ids", "GET", "/", {"x-request-id": "r", "x-ms-client-request-id": "c"}),
    Case(PLAIN, "health, posted", "POST", "/"),
    Case(PLAIN, "health, its head", "HEAD", "/"),
    Case(PLAIN, "health, an id too long", "GET", "/", {"x-request-id": LONG}),
    Case(PLAIN, "x-request-id", path="/score", headers={"x-request-id": "r-1"}, body=b"1"),
    Case(PLAIN, "x-ms-request-id", path="/score", headers={"x-ms-request-id": "m-1"}, body=b"1"),
    Case(PLAIN, "x-ms-client-request-id", path="/score", headers={"x-ms-client-request-id": "c-1"}, body=b"1"),
    Case(PLAIN, "all ids", path="/score", headers={"x-request-id": "r", "x-ms-request-id": "m", "x-ms-client-request-id": "c", "TraceId": "t"}, body=b"1"),
    Case(PLAIN, "x-request-id too long", path="/score", headers={"x-request-id": LONG}, body=b"1"),
    Case(PLAIN, "client's id too long", path="/score", headers={"x-request-id": "r", "x-ms-client-request-id": LONG}, body=b"1"),
    Case(PLAIN, "swagger", "GET", "/swagger.json"),
    Case(PLAIN, "swagger 3", "GET", "/swagger.json?version=3"),
    Case(PLAIN, "swagger 3.1", "GET", "/swagger.json?version=3.1"),
    Case(PLAIN, "swagger 4", "GET", "/swagger.json?version=4"),
    Case(PLAIN, "swagger, posted", "POST", "/swagger.json"),
    Case(PLAIN, "nothing there", "GET", "/nothing", ours={"body": None, "x-ms-run-function-failed": None}, why=NOT_OURS),
    Case(SCHEMA, "by name", path="/score", headers=JSON, body=b'{"data": [[1, 2]], "options": {"scale": 2, "names": []}}'),
    Case(SCHEMA, "all three", path="/score", headers=JSON, body=b'{"data": [[1, 2], [3, 4], [5, 6]], "options": {}, "flag": true}'),
    Case(SCHEMA, "with a charset", path="/score", headers={"content-type": "application/json; charset=utf-8"}, body=b'{"data": [[1, 2]], "options": {}}'),
    Case(SCHEMA, "a suffix of JSON", path="/score", headers={"content-type": "application/x+json"}, body=b'{"data": [[1, 2]], "options": {}}'),
    Case(SCHEMA, "a key too many", path="/score", headers=JSON, body=b'{"data": [[1, 2]], "options": {}, "more": 1}'),
    Case(SCHEMA, "a key missing", path="/score", headers=JSON, body=b'{"data": [[1, 2]]}'),
    Case(SCHEMA, "another shape", path="/score", headers=JSON, body=b'{"data": [[1, 2, 3]], "options": {}}'),
    Case(SCHEMA, "another rank", path="/score", headers=JSON, body=b'{"data": [1, 2], "options": {}}'),
    Case(SCHEMA, "text for numbers", path="/score", headers=JSON, body=b'{"data": [["a", "b"]], "options": {}}'),
    Case(SCHEMA, "numbers as text", path="/score", headers=JSON, body=b'{"data": [["1", "2"]], "options": {}}'),
    Case(SCHEMA, "no list", path="/score", headers=JSON, body=b'{"data": 1, "options": {}}'),
    Case(SCHEMA, "no object for one", path="/score", headers=JSON, body=b'{"data": [[1, 2]], "options": []}'),
    Case(SCHEMA, "a number for true", path="/score", headers=JSON, body=b'{"data": [[1, 2]], "options": {}, "flag": 1}'),
    Case(SCHEMA, "no content type", path="/score", body=b'{"data": [[1, 2]], "options": {}}'),
    Case(SCHEMA, "text", path="/score", headers={"content-type": "text/plain"}, body=b"{}"),
    Case(SCHEMA, "an empty body", path="/score", headers=JSON),
    Case(SCHEMA, "not JSON", path="/score", headers=JSON, body=b"{"),
    Case(SCHEMA, "a list", path="/score", headers=JSON, body=b"[]"),
    Case(SCHEMA, "GET", "GET", "/score?data=[[1,2]]&options={}&flag=true"),
    Case(SCHEMA, "GET without a value", "GET", "/score?data=[[1,2]]"),
    Case(SCHEMA, "OPTIONS", "OPTIONS", "/score"),
    Case(SCHEMA, "swagger", "GET", "/swagger.json"),
    Case(SCHEMA, "swagger 3", "GET", "/swagger.json?version=3"),
    Case(RAW, "a request", path="/score?a=1&a=2", headers={"x-mine": "m", "content-type": "text/x"}, body=b"abc"),
    Case(RAW, "GET", "GET", "/score?b=%20"),
    Case(RAW, "OPTIONS", "OPTIONS", "/score"),
    Case(RAW, "PUT", "PUT", "/score", body=b"x"),
    Case(RAW, "bytes", path="/score?do=bytes"),
    Case(RAW, "text", path="/score?do=text"),
    Case(RAW, "JSON", path="/score?do=json"),
    Case(RAW, "None", path="/score?do=none"),
    Case(RAW, "a status", path="/score?do=teapot"),
    Case(RAW, "a status of failure", path="/score?do=unavailable"),
    Case(RAW, "an exception", path="/score?do=raise"),
    Case(RAW, "a form", path="/score?do=form", headers={"content-type": "application/x-www-form-urlencoded"}, body=b"a=1&b=%20x"),
    Case(RAW, "parts", path="/score?do=form", headers={"content-type": "multipart/form-data; boundary=b"}, body=MULTIPART),
    Case(RAW, "get_json", path="/score?do=get_json", headers=JSON, body=b'{"a": [1]}'),
    Case(RAW, "a compressed body", path="/score", headers={"content-encoding": "gzip"}, body=b"not looked at"),
]  # fmt: skip

PREDICTOR, HANDLER = "vertex/predictor", "vertex/handler"

VERTEX = [
    Case(PREDICTOR, "health", "GET", "/health"),
    Case(PREDICTOR, "instances", path="/predict", headers=JSON, body=b'{"instances": [1, 2]}'),
    Case(PREDICTOR, "parameters", path="/predict", headers=JSON, body=b'{"instances": [1, 2], "parameters": {"scale": 3}}'),
    Case(PREDICTOR, "any JSON", path="/predict", headers=JSON, body=b"[1]"),
    Case(PREDICTOR, "with a charset", path="/predict", headers={"content-type": "application/json; charset=utf-8"}, body=b"[1]"),
    Case(PREDICTOR, "no content type", path="/predict", body=b"[1]"),
    Case(PREDICTOR, "another content type", path="/predict", headers={"content-type": "text/plain"}, body=b"[1]"),
    Case(PREDICTOR, "not JSON", path="/predict", headers=JSON, body=b"{"),
    Case(PREDICTOR, "an empty body", path="/predict", headers=JSON),
    Case(PREDICTOR, "accepts anything", path="/predict", headers={**JSON, "accept": "*/*"}, body=b"[1]"),
    Case(PREDICTOR, "accepts JSON", path="/predict", headers={**JSON, "accept": "application/json"}, body=b"[1]"),
    Case(PREDICTOR, "accepts by weight", path="/predict", headers={**JSON, "accept": "text/x;q=0.5, application/json;q=0.3"}, body=b"[1]"),
    Case(PREDICTOR, "accepts another", path="/predict", headers={**JSON, "accept": "text/csv"}, body=b"[1]"),
    Case(PREDICTOR, "what JSON cannot hold", path="/predict", headers=JSON, body=_say("set")),
    Case(PREDICTOR, "an exception", path="/predict", headers=JSON, body=_say("raise")),
    Case(PREDICTOR, "an exception before", path="/predict", headers=JSON, body=b'"preprocess"'),
    Case(PREDICTOR, "an HTTP exception", path="/predict", headers=JSON, body=_say("http")),
    Case(PREDICTOR, "the artifacts", path="/predict", headers=JSON, body=_say("there")),
    Case(PREDICTOR, "GET", "GET", "/predict"),
    Case(PREDICTOR, "health, posted", "POST", "/health"),
    Case(PREDICTOR, "nothing there", "GET", "/nothing", ours={"body": None}, why=NOT_OURS),
    Case(HANDLER, "numbers", path="/predict", body=b"[1, 2]"),
    Case(HANDLER, "text", path="/predict?do=text", headers={"x-mine": "m"}),
    Case(HANDLER, "bytes", path="/predict?do=bytes"),
    Case(HANDLER, "a stream", path="/predict?do=stream"),
    Case(HANDLER, "an HTTP exception", path="/predict?do=http"),
    Case(HANDLER, "an exception", path="/predict?do=raise"),
    Case(HANDLER, "request.json", path="/predict?do=json", body=b'{"a": 1}'),
    Case(HANDLER, "not JSON", path="/predict?do=json", body=b"{"),
    Case(HANDLER, "a compressed body", path="/predict?do=length", headers={"content-encoding": "gzip"}, body=b"not looked at"),
]  # fmt: skip

STEPS, TRANSFORM = "sagemaker/steps", "sagemaker/transform"
PICKLE = "ours unpickles nothing that a client sends"

SAGEMAKER = [
    Case(STEPS, "JSON", path="/invocations", headers=JSON, body=b"[1, 2]"),
    Case(STEPS, "nested JSON", path="/invocations", headers=JSON, body=b"[[1.5, 2], [3, 4]]"),
    Case(STEPS, "JSON to CSV", path="/invocations", headers={**JSON, "accept": "text/csv"}, body=b"[[1, 2], [3, 4]]"),
    Case(STEPS, "JSON to npy", path="/invocations", headers={**JSON, "accept": "application/x-npy"}, body=b"[1, 2]"),
    Case(STEPS, "CSV", path="/invocations", headers=CSV, body=b"1,2\n3,4\n"),
    Case(STEPS, "CSV to CSV", path="/invocations", headers={**CSV, "accept": "text/csv"}, body=b"1,2\n3,4\n"),
    Case(STEPS, "CSV with a gap", path="/invocations", headers=CSV, body=b"1,,3\n"),
    Case(STEPS, "npy", path="/invocations", headers=NPY, body=_npy(np.arange(4, dtype="f4"))),
    Case(STEPS, "npy to npy", path="/invocations", headers={**NPY, "accept": "application/x-npy"}, body=_npy(np.arange(4))),
    Case(STEPS, "npy that is none", path="/invocations", headers=NPY, body=b"abc",
         ours={"body": None}, why=PICKLE),
    Case(STEPS, "objects in npy", path="/invocations", headers={**NPY, "accept": "application/json"}, body=_npy(np.array([1, None, "a"], dtype=object)),
         ours={"body": None}, why=PICKLE),
    Case(STEPS, "accepts several", path="/invocations", headers={**JSON, "accept": "image/x, text/csv"}, body=b"[1, 2]"),
    Case(STEPS, "accepts anything", path="/invocations", headers={**JSON, "accept": "*/*"}, body=b"[1, 2]"),
    Case(STEPS, "accepts another", path="/invocations", headers={**JSON, "accept": "image/x"}, body=b"[1, 2]"),
    Case(STEPS, "another content type", path="/invocations", headers={"content-type": "image/x"}, body=b"abc"),
    Case(STEPS, "no content type", path="/invocations", body=b"[1]"),
    Case(STEPS, "with a charset", path="/invocations", headers={"content-type": "application/json; charset=utf-8"}, body=b"[1, 2]",
         ours={"status": 200, "body": [2, 4], "content-type": "application/json"}, why="a parameter of a known content type changes nothing"),
    Case(STEPS, "not JSON", path="/invocations", headers=JSON, body=b"{"),
    Case(STEPS, "not UTF-8", path="/invocations", headers=JSON, body=b"\xff"),
    Case(STEPS, "an empty body", path="/invocations", headers=JSON),
    Case(STEPS, "uneven lists", path="/invocations", headers=JSON, body=b"[[1], [1, 2]]"),
    Case(STEPS, "an exception", path="/invocations", headers=JSON, body=b'"raise"'),
    Case(STEPS, "a status and a message", path="/invocations", headers=JSON, body=b'"told"'),
    Case(STEPS, "a status without", path="/invocations", headers=JSON, body=b'"generic"'),
    Case(STEPS, "the model's folder", path="/invocations", headers=JSON, body=b'"there"'),
    Case(STEPS, "what JSON cannot hold", path="/invocations", headers=JSON, body=b'"set"'),
    Case(STEPS, "a number", path="/invocations", headers=JSON, body=b'"float"'),
    Case(STEPS, "an array in a dict", path="/invocations", headers=JSON, body=b'"named"'),
    Case(TRANSFORM, "arguments", path="/invocations", headers={"content-type": "image/x", "accept": "text/x"}, body=b"?"),
    Case(TRANSFORM, "text is decoded", path="/invocations", headers=CSV, body="ü".encode()),
    Case(TRANSFORM, "a content type of its own", path="/invocations", headers={"content-type": "x/y"}, body=b"tuple"),
    Case(TRANSFORM, "bytes", path="/invocations", headers={"content-type": "x/y"}, body=b"bytes"),
    Case(TRANSFORM, "what was accepted", path="/invocations", headers={"content-type": "x/y", "accept": "text/csv"}, body=b"plain"),
    Case(TRANSFORM, "a status through the context", path="/invocations", headers={"content-type": "x/y"}, body=b"status"),
    Case(TRANSFORM, "custom attributes", path="/invocations", headers={"content-type": "x/y", "X-Amzn-SageMaker-Custom-Attributes": "c=1"}, body=b"attributes"),
    Case(TRANSFORM, "a dict", path="/invocations", headers={"content-type": "x/y"}, body=b"dict"),
    Case(TRANSFORM, "an exception", path="/invocations", headers={"content-type": "x/y"}, body=b"raise"),
]  # fmt: skip

CASES = {"azureml": AZURE, "vertex": VERTEX, "sagemaker": SAGEMAKER}
