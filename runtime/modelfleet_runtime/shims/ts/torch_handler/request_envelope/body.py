"""The body itself, in place of a dict that has it."""

from typing import Any

from .base import BaseEnvelope


class BodyEnvelope(BaseEnvelope):
    def parse_input(self, data: Any) -> Any:
        return [row.get("data") or row.get("body") for row in data]

    def format_output(self, data: Any) -> Any:
        return data
