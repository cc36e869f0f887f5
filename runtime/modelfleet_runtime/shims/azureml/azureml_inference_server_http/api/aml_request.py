"""`@rawhttp`, and the request that it brings."""

from collections.abc import Callable
from typing import Any, TypeVar

from werkzeug.wrappers import Request

_Run = TypeVar("_Run", bound=Callable[..., Any])

_rawHttpRequested = False  # noqa: N816  (the server looks it up under this name)


def rawhttp(func: _Run) -> _Run:
    """`run` is given the request itself."""
    global _rawHttpRequested
    _rawHttpRequested = True
    return func


class AMLRequest(Request):
    """The request: `method`, `headers`, `args`, `form`, `files`, `get_data()`, `get_json()`."""


WSGI_REQUEST = AMLRequest
