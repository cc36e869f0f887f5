"""What stands between a request in some envelope and a handler that wants what is in it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class BaseEnvelope(ABC):
    def __init__(self, handle_fn: Callable[[Any, Any], Any]) -> None:
        self._handle_fn = handle_fn
        self.context: Any = None

    def handle(self, data: Any, context: Any) -> Any:
        self.context = context
        given = self._handle_fn(self.parse_input(data) if data else data, context)
        return self.format_output(given) if given else given

    @abstractmethod
    def parse_input(self, data: Any) -> Any:
        """The batch as the handler takes it."""

    @abstractmethod
    def format_output(self, data: Any) -> Any:
        """What the handler gave, with one item for each request."""
