"""`run` gets the body as text; what is in it chooses what happens."""

import json
import os
import sys
import time
from typing import Any

READY = False


def init() -> None:
    global READY
    READY = os.path.isdir(os.environ["AZUREML_MODEL_DIR"])


def run(data: str, request_headers: dict[str, str]) -> Any:
    if not data:
        return "empty"
    value = json.loads(data)
    what = value.get("do") if isinstance(value, dict) else None
    if what == "none":
        return None
    if what == "raise":
        raise ValueError("boom")
    if what == "set":
        return {1, 2}
    if what == "header":
        return request_headers.get("X-Mine")
    if what == "names":
        return sorted(name for name in request_headers if name in ("Content-Type", "X-Mine"))
    if what == "sleep":
        time.sleep(5)
    if what == "exit":
        sys.exit(2)
    if what == "print":
        print("x" * 1_000_000)
        return "printed"
    if what == "die":
        os._exit(7)
    if what == "ready":
        return READY
    return {"got": value}
