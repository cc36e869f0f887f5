"""What a handler sees of a request's bytes, and the bytes of what it gives."""

import contextlib
import io
import json
import os
import sys
from typing import Any

from modelfleet_runtime.whole import Field


def decoded(field: Field) -> Any:
    """JSON as what it says, text as text, all else as bytes; so too what is neither, whatever its
    type says. `TS_DECODE_INPUT_REQUEST=false` leaves all of it bytes."""
    data = bytearray(field.value)
    if os.environ.get("TS_DECODE_INPUT_REQUEST", "").lower() == "false":
        return data
    kind = field.content_type.partition(";")[0].strip()
    with contextlib.suppress(ValueError, RecursionError):
        if kind == "application/json":
            return json.loads(data.decode())
        if kind.startswith("text"):
            return data.decode()
    return data


def encoded(value: Any) -> bytes:
    """Raises TypeError or ValueError for what has no bytes."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    torch = sys.modules.get("torch")  # without it there are no tensors
    if torch is not None and isinstance(value, torch.Tensor):
        out = io.BytesIO()
        torch.save(value, out)
        return out.getvalue()
    return json.dumps(value, indent=2).encode()
