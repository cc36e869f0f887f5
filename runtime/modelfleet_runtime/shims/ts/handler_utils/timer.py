"""How long the steps of a handler take, as one metric."""

import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def timed(func: F) -> F:
    """A method whose time is the metric `ts_handler_NAME`, in ms, when the model's configuration
    has `handler: {profile: true}`."""

    @functools.wraps(func)
    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        config = getattr(self, "model_yaml_config", None) or {}
        handler = config.get("handler")
        if not (isinstance(handler, dict) and handler.get("profile")):
            return func(self, *args, **kwargs)
        began = time.perf_counter()
        made = func(self, *args, **kwargs)
        ms = (time.perf_counter() - began) * 1000
        self.context.metrics.add_time(f"ts_handler_{func.__name__}", ms)
        return made

    return measured  # type: ignore[return-value]
