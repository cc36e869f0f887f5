"""Bytes that are wrong HTTP, or HTTP that asks for what is not there.

A row: a name, the bytes, the status of the answer, and a word of it.
"""

# ruff: noqa: E501  (a case a line: a table is read by its columns)

import json

ROW = [0.0] * 64
GOOD = json.dumps({"inputs": ROW}).encode()
BIG = 64 * 1024

Row = tuple[str, bytes, int, str]


def post(
    *lines: str | bytes, body: bytes = GOOD, length: bool = True, path: str = "/predict"
) -> bytes:
    """A request that is right but for the lines given."""
    head = [f"POST {path} HTTP/1.1".encode(), b"host: a"]
    head += [line.encode() if isinstance(line, str) else line for line in lines]
    if length:
        head.append(b"content-length: %d" % len(body))
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def line(first: bytes, body: bytes = b"") -> bytes:
    """A request with that first line."""
    return first + b"\r\nhost: a\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def chunked(raw: bytes, *lines: str) -> bytes:
    return post("transfer-encoding: chunked", *lines, body=raw, length=False)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


FIRST_LINES: list[Row] = [
    ("nothing but line breaks and a word", b"\r\n\r\nhello\r\n\r\n", 400, "Invalid HTTP"),
    ("a greeting of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "Invalid"),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "Invalid"),
    ("HTTP/9.9", line(b"GET /health/live HTTP/9.9"), 400, "Invalid"),
    ("a version that is none", line(b"GET /health/live HTTP/x"), 400, "Invalid"),
    ("another protocol", line(b"GET /health/live ICY/1.0"), 400, "Invalid"),
    ("no path", line(b"GET HTTP/1.1"), 400, ""),
    ("a method in lower case", line(b"post /predict HTTP/1.1", GOOD), 400, "Invalid"),
    ("a method of nobody", line(b"PREDICT /predict HTTP/1.1", GOOD), 400, "Invalid"),
    ("a method with a space", line(b"PO ST /predict HTTP/1.1", GOOD), 400, "Invalid"),
    ("PUT", line(b"PUT /predict HTTP/1.1", GOOD), 405, "use POST"),
    ("PATCH", line(b"PATCH /predict HTTP/1.1", GOOD), 405, "use POST"),
    ("OPTIONS", line(b"OPTIONS /predict HTTP/1.1"), 405, "use POST"),
    ("TRACE", line(b"TRACE /predict HTTP/1.1"), 405, "use POST"),
    ("CONNECT", b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", 400, ""),
    ("a path with a space", line(b"POST /pre dict HTTP/1.1", GOOD), 400, "Invalid"),
    ("a path with a line break", line(b"POST /pre\ndict HTTP/1.1", GOOD), 400, "Invalid"),
    ("a path with a NUL", line(b"POST /predict\0 HTTP/1.1", GOOD), 400, "Invalid"),
    ("a path that is not ASCII", line(b"POST /pr\xc3\xa9dict HTTP/1.1", GOOD), 400, ""),
    ("a path with an encoded NUL", line(b"POST /predict%00 HTTP/1.1", GOOD), 404, "nothing at"),
    ("a path with half an escape", line(b"POST /predict% HTTP/1.1", GOOD), 404, "nothing at"),
    ("two slashes", line(b"POST //predict HTTP/1.1", GOOD), 404, "nothing at"),
    ("a slash at the end", line(b"POST /predict/ HTTP/1.1", GOOD), 404, "nothing at"),
    ("a path that goes up", line(b"POST /x/../predict HTTP/1.1", GOOD), 404, "nothing at"),
    ("an encoded path that goes up", line(b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1"), 404, "nothing at"),
    ("a path in capitals", line(b"POST /PREDICT HTTP/1.1", GOOD), 404, "nothing at"),
    ("a star for a path", line(b"POST * HTTP/1.1", GOOD), 404, "nothing at"),
    ("a URL of 64 KiB", line(b"POST /" + b"a" * BIG + b" HTTP/1.1", GOOD), 431, "too long"),
    ("a query of 64 KiB", line(b"POST /predict?" + b"a" * BIG + b" HTTP/1.1", GOOD), 431, "too long"),
    ("a model with a slash in its name", line(b"POST /v2/models/a%2Fb/infer HTTP/1.1", b"{}"), 404, ""),
    ("a model without a name", line(b"POST /v2/models//infer HTTP/1.1", b"{}"), 404, "nothing at"),
    ("a version without a name", line(b"POST /v2/models/digits/versions//infer HTTP/1.1", b"{}"), 404, ""),
]  # fmt: skip

HEADERS: list[Row] = [
    ("a header without a colon", post("nonsense"), 400, "Invalid"),
    ("a header without a name", post(": x"), 400, "Invalid"),
    ("a space before the colon", post("x-a : 1"), 400, "Invalid"),
    ("a name with a space", post("x a: 1"), 400, "Invalid"),
    ("a name with a NUL", post(b"x\0a: 1"), 400, "Invalid"),
    ("a value with a NUL", post(b"x-a: \0"), 400, "Invalid"),
    ("a name that is not ASCII", post(b"x-\xc3\xa9: 1"), 400, "Invalid"),
    ("a value that goes on in the next line", post("x-a: 1\r\n 2"), 400, "Invalid"),
    ("a bare line feed in a value", post(b"x-a: 1\n2"), 400, "Invalid"),
    ("a bare carriage return in a value", post(b"x-a: 1\r2"), 400, "Invalid"),
    ("a value of 64 KiB", post("x-a: " + "a" * BIG), 431, "too long"),
    ("a name of 64 KiB", post("a" * BIG + ": 1"), 431, "too long"),
    ("ten thousand headers", post(*(f"x-{n}: {n}" for n in range(10_000))), 431, "too long"),
    ("a content type that is none", post("content-type: \xff"), 400, "send JSON"),
    ("a content type of an image", post("content-type: image/png"), 400, "send JSON"),
    ("a content type of many letters", post("content-type: a/" + "b" * 9000), 400, "send JSON"),
    ("brotli", post("content-encoding: br"), 415, "neither gzip nor deflate"),
    ("two encodings", post("content-encoding: gzip, gzip"), 415, "neither gzip nor deflate"),
    ("an encoding of nobody", post("content-encoding: none"), 415, "neither gzip nor deflate"),
    ("gzip that is none", post("content-encoding: gzip"), 400, "Content-Encoding"),
    ("deflate that is none", post("content-encoding: deflate"), 400, "Content-Encoding"),
    ("a timeout below zero", post("x-request-timeout-ms: -1"), 400, "milliseconds"),
    ("a timeout of other digits", post("x-request-timeout-ms: ١٠".encode()), 400, "milliseconds"),
    ("a timeout with a plus", post("x-request-timeout-ms: +10"), 400, "milliseconds"),
    ("a timeout of fractions", post("x-request-timeout-ms: 1e3"), 400, "milliseconds"),
    ("an upgrade", post("connection: upgrade", "upgrade: h2c"), 400, "without Upgrade"),
    ("a websocket", line(b"GET /predict HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket"), 400, "without Upgrade"),
]  # fmt: skip

FRAMING: list[Row] = [
    ("a length below zero", post("content-length: -1", length=False), 400, "Invalid"),
    ("a length with a plus", post("content-length: +4", length=False), 400, "Invalid"),
    ("a length of letters", post("content-length: x", length=False), 400, "Invalid"),
    ("a length in hexadecimal", post("content-length: 0x10", length=False), 400, "Invalid"),
    ("a length of fractions", post("content-length: 1.0", length=False), 400, "Invalid"),
    ("an empty length", post("content-length:", length=False), 400, "Invalid"),
    ("two lengths", post("content-length: 1"), 400, "Invalid"),
    ("two lengths in one", post("content-length: 1, 2", length=False), 400, "Invalid"),
    ("a length beyond 64 bits", post("content-length: " + "9" * 30, length=False), 400, "Invalid"),
    ("a length of a billion", post("content-length: 1000000000", length=False), 413, "larger than"),
    ("no length and no body", post(body=b"", length=False), 400, "empty"),
    ("a length and chunks", post("transfer-encoding: chunked", body=chunk(GOOD) + b"0\r\n\r\n"), 400, "Invalid"),
    ("chunks twice", chunked(chunk(GOOD) + b"0\r\n\r\n", "transfer-encoding: chunked"), 400, ""),
    ("chunks within gzip", post("transfer-encoding: gzip, chunked", body=chunk(GOOD) + b"0\r\n\r\n", length=False), 415, "chunked alone"),
    ("chunks that are not the last", post("transfer-encoding: chunked, gzip", body=GOOD, length=False), 400, ""),
    ("an encoding that is nearly chunked", post("transfer-encoding: xchunked", body=b"", length=False), 400, "Invalid"),
    ("an encoding with a tab", post("transfer-encoding:\tchunked\x0b", body=GOOD, length=False), 400, ""),
    ("a chunk without a size", chunked(b"\r\n" + GOOD + b"\r\n0\r\n\r\n"), 400, "Invalid"),
    ("a chunk's size of letters", chunked(b"zz\r\n"), 400, "Invalid"),
    ("a chunk's size below zero", chunked(b"-1\r\n"), 400, "Invalid"),
    ("a chunk's size beyond 64 bits", chunked(b"f" * 17 + b"\r\n"), 400, "Invalid"),
    ("a chunk's size in 0x", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), 400, "Invalid"),
    ("a chunk that is longer than its size", chunked(b"2\r\nhello\r\n0\r\n\r\n"), 400, "Invalid"),
    ("a chunk that is shorter than its size", chunked(b"9\r\nhello\r\n0\r\n\r\n"), 400, ""),
    ("chunks of no JSON", chunked(chunk(b"{") + b"0\r\n\r\n"), 400, "not valid JSON"),
    ("chunks of nothing", chunked(b"0\r\n\r\n"), 400, "empty"),
    ("chunks beyond the largest body", chunked(chunk(b" " * 150_000) * 2 + b"0\r\n\r\n"), 413, "larger than"),
    ("a body that stops", post("content-length: 9999", "x-request-timeout-ms: 50", length=False), 408, "did not arrive"),
    ("chunks that stop", chunked(chunk(b"{"), "x-request-timeout-ms: 50"), 408, "did not arrive"),
    ("chunks that never begin", chunked(b"", "x-request-timeout-ms: 50"), 408, "did not arrive"),
]  # fmt: skip

ENCODINGS: list[Row] = [
    ("UTF-16", post(body=GOOD.decode().encode("utf-16")), 400, "not valid JSON"),
    ("UTF-16 without a mark", post(body=GOOD.decode().encode("utf-16-le")), 400, "not valid JSON"),
    ("UTF-32", post(body=GOOD.decode().encode("utf-32")), 400, "not valid JSON"),
    ("a byte order mark", post(body=b"\xef\xbb\xbf" + GOOD), 400, "not valid JSON"),
    ("Latin-1", post(body='{"inputs": "é"}'.encode("latin-1")), 400, "not valid JSON"),
    ("half a pair of surrogates", post(body=b'{"inputs": "\\ud800"}'), 400, ""),
    ("UTF-8 that is too long", post(body=b'{"inputs": "\xc0\xaf"}'), 400, "not valid JSON"),
    ("a NUL after it", post(body=GOOD + b"\0"), 400, "not valid JSON"),
    ("a comma too many", post(body=b'{"inputs": [1,]}'), 400, "not valid JSON"),
    ("single quotes", post(body=b"{'inputs': [1]}"), 400, "not valid JSON"),
    ("a comment", post(body=b'{"inputs": [1] /* one */}'), 400, "not valid JSON"),
    ("a number with a leading zero", post(body=b'{"inputs": [01]}'), 400, "not valid JSON"),
    ("a number with a plus", post(body=b'{"inputs": [+1]}'), 400, "not valid JSON"),
    ("a number in hexadecimal", post(body=b'{"inputs": [0x1]}'), 400, "not valid JSON"),
    ("half a fraction", post(body=b'{"inputs": [1.]}'), 400, "not valid JSON"),
    ("infinity as a word", post(body=b'{"inputs": [Infinity]}'), 400, "not valid JSON"),
    ("a form", post(body=b"inputs=1"), 400, "not valid JSON"),
    ("1100 deep", post(body=b'{"inputs": ' + b"[" * 1100 + b"]" * 1100 + b"}"), 400, "1024 deep"),
    ("objects 1100 deep", post(body=b'{"inputs": ' + b'{"a":' * 1100 + b"1" + b"}" * 1101), 400, "1024 deep"),
]  # fmt: skip

ALL: dict[str, list[Row]] = {
    "first line": FIRST_LINES,
    "headers": HEADERS,
    "framing": FRAMING,
    "encoding": ENCODINGS,
}
