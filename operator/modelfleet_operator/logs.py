"""Logs as JSON, a line each, with the resource's name where a line is about one."""

import json
import logging
import sys
from datetime import UTC, datetime

_EXTRA = ("namespace", "deployment")


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: getattr(record, key) for key in _EXTRA if hasattr(record, key)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(level: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # kopf tells each of its own steps at INFO, for every event of every object.
    logging.getLogger("kopf").setLevel(max(logging.WARNING, logging.getLevelName(level)))
    # It warns that it leaves the signals alone, which is what we want of it.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)
