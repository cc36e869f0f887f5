"""Streaming is not served yet."""

from typing import Any


def send_intermediate_predict_response(*_: Any, **__: Any) -> None:
    raise NotImplementedError("answers in pieces (streaming) are not served yet; return the whole")
