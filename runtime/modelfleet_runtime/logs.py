"""Logs as lines of JSON (in a pod) or text (on a terminal), each with whose pod it is."""

import json
import logging
import sys
import time
from typing import Any

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


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


def set_up(form: str, level: str, about: dict[str, str]) -> None:
    """Everything to standard error; `form` is json, text, or auto (text on a terminal)."""
    handler = logging.StreamHandler(sys.stderr)
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextLines() if text else JsonLines(about))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Its start and stop lines repeat ours; what is left of it are warnings worth reading.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
