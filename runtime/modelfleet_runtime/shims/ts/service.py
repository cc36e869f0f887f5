"""Handlers import this name only for what they annotate."""

from typing import Any

from .context import Context


class Service:
    """A handler with its context."""

    def __init__(self, context: Context, entry_point: Any) -> None:
        self.context = context
        self.entry_point = entry_point

    def predict(self, batch: list[dict[str, Any]]) -> Any:
        return self.entry_point(batch, self.context)
