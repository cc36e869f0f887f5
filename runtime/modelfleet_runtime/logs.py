"""Logs as lines of JSON (in a pod) or text (on a terminal), each with whose pod it is.

What clients can bring about is bounded: of each kind of line so many are written in a while, and
the next one says how many were not. The access log, which is off unless asked for, has them all.
"""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

ACCESS = "modelfleet.access"
REFUSALS = "modelfleet.refusals"
"""Bounded where they are written, so that what is held back costs no line."""

# Loggers that write what a request or a collector makes them write. A model's own are not bounded:
# its author decides what is worth a line.
_BOUNDED = ("modelfleet", "uvicorn", "asyncio", "opentelemetry")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Throttle:
    """So many of each kind in a window of time. May be asked from any thread."""

    def __init__(
        self, most: int = 20, seconds: float = 10.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._now = now
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, list[float]] = {}
        """Of each kind: when its window began, how many passed in it, how many did not since."""

    def ask(self, kind: Hashable) -> int | None:
        """How many of this kind were held back since the last that passed; None to hold this one
        back as well. There must be a bound on how many kinds there are."""
        now = self._now()
        with self._lock:
            seen = self._kinds.setdefault(kind, [now, 0, 0])
            if now - seen[0] >= self._seconds:
                seen[0], seen[1] = now, 0
            if seen[1] >= self._most:
                seen[2] += 1
                return None
            seen[1] += 1
            suppressed, seen[2] = int(seen[2]), 0
            return suppressed


class Bounded(logging.Filter):
    """Of each place in the code, and each kind it names itself, what `throttle` lets pass."""

    def __init__(self, throttle: Throttle) -> None:
        super().__init__()
        self._throttle = throttle

    def filter(self, record: logging.LogRecord) -> bool:
        name = record.name
        if name in (ACCESS, REFUSALS) or name.partition(".")[0] not in _BOUNDED:
            return True
        suppressed = self._throttle.ask((name, record.pathname, record.lineno))
        if suppressed is None:
            return False
        if suppressed:
            record.suppressed = suppressed
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: ts, level, message, the resource, and the record's extras."""

    def __init__(self, about: dict[str, str]) -> None:
        super().__init__()
        self._about = {key: value for key, value in about.items() if value}

    def format(self, record: logging.LogRecord) -> str:
        moment = time.gmtime(record.created)
        line: dict[str, Any] = {
            "ts": f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **self._about,
        }
        line |= {k: v for k, v in vars(record).items() if k not in _STANDARD}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextLines(logging.Formatter):
    """For people at a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        # A path may hold what a terminal obeys, or what looks like another line.
        record.message = _CONTROL.sub(lambda found: repr(found[0])[1:-1], record.message)
        line = super().formatMessage(record)
        if request := getattr(record, "request_id", ""):
            line += f" [{request}]"
        if suppressed := getattr(record, "suppressed", 0):
            line += f" ({suppressed} more like this were held back)"
        return line


def set_up(form: str, level: str, about: dict[str, str]) -> None:
    """Everything to standard error; `form` is json, text, or auto (text on a terminal)."""
    handler = logging.StreamHandler(sys.stderr)
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextLines() if text else JsonLines(about))
    handler.addFilter(Bounded(Throttle()))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Its start and stop lines repeat ours; what is left of it are warnings worth reading.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # It warns of each body that a client has broken.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
