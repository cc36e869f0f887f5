"""`{"instances": [...]}` in, `{"predictions": [...]}` out; the handler sees the instances of all
requests of a batch as one list."""

import base64
import json
from typing import Any

from .base import BaseEnvelope


class JSONEnvelope(BaseEnvelope):
    def __init__(self, handle_fn: Any) -> None:
        super().__init__(handle_fn)
        self._lengths: list[int] = []

    def parse_input(self, data: Any) -> Any:
        requests = [
            (row.get("data") or row.get("body") or row)["instances"] for row in data
        ]  # fmt: skip
        self._lengths = [len(instances) for instances in requests]
        return [_plain(instance) for instances in requests for instance in instances]

    def format_output(self, data: Any) -> Any:
        answers = []
        start = 0
        for length in self._lengths:
            answers.append(json.dumps({"predictions": data[start : start + length]}))
            start += length
        return answers


def _plain(instance: Any) -> Any:
    """`{"b64": TEXT}`, alone or as a value, stands for bytes."""
    if not isinstance(instance, dict):
        return instance
    if list(instance) == ["b64"]:
        return base64.b64decode(instance["b64"])
    return {
        key: base64.b64decode(value["b64"])
        if isinstance(value, dict) and list(value) == ["b64"]
        else value
        for key, value in instance.items()
    }
