"""`run` gets the request, and may answer with one of its own."""

from typing import Any

from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init() -> None:
    pass


@rawhttp
def run(request: AMLRequest) -> Any:
    what = request.args.get("do")
    if what == "bytes":
        return AMLResponse(bytes(range(256)), 201, {"Content-Type": "image/x", "X-Two": "a, b"})
    if what == "text":
        return AMLResponse("hello", 200)
    if what == "json":
        return AMLResponse({"a": [1]}, 202, json_str=True)
    if what == "none":
        return AMLResponse(None, 200)
    if what == "teapot":
        return AMLResponse("short and stout", 418, {"X-A": "1"})
    if what == "unavailable":
        return AMLResponse("later", 503)
    if what == "raise":
        raise KeyError("boom")
    if what == "form":
        files = {name: file.read().decode() for name, file in request.files.items()}
        return {"form": dict(request.form), "files": files}
    if what == "get_json":
        return request.get_json()
    return {
        "method": request.method,
        "path": request.path,
        "args": request.args.to_dict(flat=False),
        "type": request.content_type,
        "length": len(request.get_data()),
        "mine": request.headers.get("x-mine"),
    }
