"""`transform_fn` alone, with the context."""

from typing import Any


def model_fn(model_dir: str, context: Any) -> Any:
    return context.system_properties["model_dir"] == model_dir


def transform_fn(model: Any, data: Any, content_type: str, accept: str, context: Any) -> Any:
    if data == b"tuple":
        return "a,b", "text/csv"
    if data == b"bytes":
        return bytes(range(256)), "image/x"
    if data == b"plain":
        return "x"
    if data == b"status":
        context.set_response_status(code=202, phrase="later")
        return "later"
    if data == b"attributes":
        sent = context.request_processor[0].get_request_properties()
        return sent.get("X-Amzn-SageMaker-Custom-Attributes", "none")
    if data == b"dict":
        return {"a": 1}
    if data == b"raise":
        raise RuntimeError("no\nway")
    return f"{type(data).__name__} {content_type} {accept} {model}"
