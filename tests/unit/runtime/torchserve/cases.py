"""Requests, good and bad, that are sent to the original and to ours."""

from dataclasses import dataclass, field

BOUNDARY = "sep"


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    path: str = "/predictions/probe"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    management: bool = False
    """Sent to the management port."""


def part(name: str, value: bytes, *more: str, file: str | None = None) -> bytes:
    named = f'; filename="{file}"' if file is not None else ""
    head = "\r\n".join((f'content-disposition: form-data; name="{name}"{named}', *more))
    return b"--" + BOUNDARY.encode() + b"\r\n" + head.encode() + b"\r\n\r\n" + value + b"\r\n"


def multipart(*parts: bytes, end: bytes = b"--sep--\r\n") -> tuple[dict[str, str], bytes]:
    return {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}, b"".join(parts) + end


JSON = {"content-type": "application/json"}
TEXT = {"content-type": "text/plain"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


def _body(name: str, headers: dict[str, str], body: bytes) -> Case:
    return Case(f"body: {name}", headers=headers, body=body)


def _parts(name: str, given: tuple[dict[str, str], bytes]) -> Case:
    return _body(f"multipart {name}", *given)


def _do(do: str) -> Case:
    return Case(f"do: {do}", headers={"x-do": do}, body=b"x")


def _route(method: str, path: str, **more: str) -> Case:
    return Case(f"route: {method} {path}", path, method, more, b"x")


def _manage(method: str, path: str) -> Case:
    return Case(f"management: {method} {path}", path, method, {}, b"", True)


CASES = [
    _body("bytes without a type", {}, b"\x00\xff"),
    _body("nothing", {}, b""),
    _body("JSON object", JSON, b'{"a": [1, 2.5, null, true]}'),
    _body("JSON list", JSON, b"[1]"),
    _body("JSON text", JSON, b'"a"'),
    _body("JSON that is broken", JSON, b'{"a": '),
    _body("JSON that is empty", JSON, b""),
    _body("JSON with charset", {"content-type": "application/json; charset=utf-8"}, b'{"a": 1}'),
    _body("JSON in capitals", {"content-type": "Application/JSON"}, b'{"a": 1}'),
    _body("JSON of another kind", {"content-type": "application/vnd.a+json"}, b'{"a": 1}'),
    _body("JSON with NaN", JSON, b'{"a": NaN}'),
    _body("JSON that is no UTF-8", JSON, b'"\xff"'),
    _body("text", TEXT, "grüß".encode()),
    _body("text that is no UTF-8", TEXT, b"a\xff"),
    _body("CSV", {"content-type": "text/csv"}, b"1,2"),
    _body("image", {"content-type": "image/png"}, b"\x89PNG"),
    _body("octets", {"content-type": "application/octet-stream"}, b"\x00"),
    _body("form", FORM, b"a=1&b=x%20y"),
    _body("form without =", FORM, b"abc"),
    _body("form with one key twice", FORM, b"a=1&a=2"),
    _body("form with an empty value", FORM, b"a="),
    _body("form with plus and umlaut", FORM, b"a=x+y&b=%C3%BC"),
    _parts("file", multipart(part("data", b"\x00\xff", 'content-type: image/png'))),
    _parts("text", multipart(part("data", b"a"), part("other", b"b"))),
    _parts("typed text", multipart(part("data", b"a", "content-type: text/plain"))),
    _parts("JSON", multipart(part("data", b'{"a": 1}', "content-type: application/json"))),
    _parts("two of one name", multipart(part("a", b"1"), part("a", b"2"))),
    _parts("with line ends", multipart(part("data", b"a\r\n\r\nb\n", "content-type: image/png"))),
    _parts("empty", multipart(part("data", b""))),
    *(
        _do(f"give:{what}")
        for what in (
            "text", "bytes", "dict", "list", "none", "int", "float", "true", "empty", "no-bytes",
            "bytearray", "nested", "nan", "set", "object", "number-keys", "tuple", "text-json",
            "unicode",
        )
    ),
    *(_do(f"all-of-it:{what}") for what in ("none", "dict", "tuple", "empty", "two", "text")),
    *(_do(f"status:{code}") for code in (200, 201, 400, 404, 418, 429, 500, 503)),
    _do("all-status:202"),
    _do("kind:text/html"),
    _do("kind:application/json"),
    _do("headers"),
    _do("about"),
    *(
        _do(f"fail:{how}")
        for how in (
            "prediction", "prediction-default", "value", "memory", "cuda", "key", "assertion",
        )
    ),
    _do("unknown"),
    *(
        Case(
            f"seen: {name}",
            path,
            headers={"x-do": f"header:{name}", "x-a": "b"},
            body=b"x",
        )
        for name, path in (
            ("explain", "/explanations/probe"),
            ("url_path", "/predictions/probe/1.0/a/b"),
            ("x-a", "/predictions/probe"),
        )
    ),
    _route("POST", "/predictions/probe/1.0"),
    _route("PUT", "/predictions/probe"),
    _route("GET", "/predictions/probe"),
    _route("DELETE", "/predictions/probe"),
    _route("POST", "/predictions/probe/9.9"),
    _route("POST", "/predictions/nothing"),
    _route("POST", "/predictions/nothing/1.0"),
    _route("POST", "/predictions"),
    _route("POST", "/predictions/"),
    _route("POST", "/explanations/nothing"),
    _route("POST", "/explanations"),
    _route("POST", "/predictions/probe?data=1"),
    _route("POST", "/predictions/pr%6fbe"),
    _route("POST", "/predictions/function"),
    _route("POST", "/nowhere"),
    Case("route: GET /ping", "/ping", "GET"),
    _route("POST", "/ping"),
    _manage("GET", "/models"),
    _manage("GET", "/models?limit=1"),
    _manage("GET", "/models?limit=0"),
    _manage("GET", "/models?limit=x"),
    _manage("GET", "/models?next_page_token=5"),
    _manage("GET", "/models/probe"),
    _manage("GET", "/models/probe/1.0"),
    _manage("GET", "/models/probe/all"),
    _manage("GET", "/models/probe/9.9"),
    _manage("GET", "/models/nothing"),
    _manage("GET", "/models/probe?customized=true"),
    _manage("GET", "/nowhere"),
    _manage("POST", "/models?url=a.mar"),
    _manage("POST", "/models"),
    _manage("DELETE", "/models/nothing"),
    _manage("PUT", "/models/nothing?min_worker=1"),
    _manage("PUT", "/models/probe/9.9/set-default"),
    _manage("GET", "/predictions/probe"),
]  # fmt: skip
