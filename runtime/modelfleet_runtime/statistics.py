"""What the Open Inference Protocol's statistics say of a model, since the start."""

import time
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from modelfleet_runtime.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Duration:
    count: float
    seconds: float

    @property
    def ns(self) -> int:
        return round(self.seconds * 1e9)

    def as_json(self) -> dict[str, int]:
        return {"count": round(self.count), "ns": self.ns}


@dataclass(frozen=True, slots=True)
class Figures:
    success: Duration
    """Requests that were answered with outputs, from their arrival."""
    fail: Duration
    """All others, those whose client left among them."""
    queue: Duration
    """Requests, and how long they waited for their batch."""
    compute: Duration
    """Batches, and how long they took in the engine."""
    rows: int
    """Rows that went through the engine."""
    last_ms: int
    """When the last request was answered, in milliseconds of Unix time; 0 for never."""

    def as_json(self, name: str, version: str) -> dict[str, Any]:
        """As the protocol has it over HTTP."""
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": round(self.compute.count),
            "inference_stats": {
                "success": self.success.as_json(),
                "fail": self.fail.as_json(),
                "queue": self.queue.as_json(),
                "compute_infer": self.compute.as_json(),
            },
        }


class Statistics:
    """Counts answers; the rest is in the metrics already."""

    __slots__ = ("_fail", "_fail_s", "_last", "_success", "_success_s")

    def __init__(self) -> None:
        self._success = self._fail = 0
        self._success_s = self._fail_s = 0.0
        self._last = 0.0

    def answered(self, status: int, seconds: float, now: float) -> None:
        """`status` as over HTTP; `now` as of `time.monotonic`."""
        self._last = now
        if status == 200:
            self._success += 1
            self._success_s += seconds
        else:
            self._fail += 1
            self._fail_s += seconds

    def figures(self, metrics: Metrics) -> Figures:
        series = {
            sample.name: sample.value
            for family in text_string_to_metric_families(metrics.exposition()[1].decode())
            for sample in family.samples
        }
        ago = time.monotonic() - self._last
        return Figures(
            Duration(self._success, self._success_s),
            Duration(self._fail, self._fail_s),
            _duration(series, "inference_queue_seconds"),
            _duration(series, "inference_engine_seconds"),
            round(series.get("inference_rows_total", 0)),
            round((time.time() - ago) * 1000) if self._last else 0,
        )


def _duration(series: dict[str, float], histogram: str) -> Duration:
    return Duration(series.get(f"{histogram}_count", 0), series.get(f"{histogram}_sum", 0))
