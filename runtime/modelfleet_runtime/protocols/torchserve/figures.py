"""The metrics that TorchServe has, under its names, and those of the handler's own."""

import re
import socket
import threading
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.whole import Measure

MOST_SERIES = 1000
"""Of the handler's own metrics; what goes beyond is not shown."""
_OURS = ("inference_", "process_", "python_", "ts_inference_", "ts_queue_")
"""How names begin that a handler cannot take."""

_Labels = tuple[tuple[str, str], ...]


class Figures(Collector):
    """Of one model. It is shown once the model is known to be an archive of TorchServe."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self._name = name
        self._host = socket.gethostname()
        self._metrics = metrics
        self._shown = False
        self._lock = threading.Lock()
        self._requests: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._own: dict[tuple[str, str], dict[_Labels, tuple[float, int]]] = {}
        self._series = 0

    def show(self) -> None:
        """From now on, at each scrape."""
        if not self._shown:
            self._shown = True
            self._metrics.registry.register(self)

    def asked(self, version: str) -> None:
        """`version` as the path names it, `default` where it names none."""
        with self._lock:  # a long body is read in a thread
            self._requests[version] = self._requests.get(version, 0) + 1

    def answered(self, version: str, seconds: float) -> None:
        self._seconds[version] = self._seconds.get(version, 0.0) + seconds

    def note(self, measures: Sequence[Measure]) -> None:
        for one in measures:
            name = re.sub(r"[^a-zA-Z0-9_:]", "_", one.name)[:200]
            if not name or name[0].isdigit() or name.startswith(_OURS):
                continue
            labels = tuple((_label(key), value) for key, value in one.labels)
            self._note(name, one.kind, labels, one.value)

    def _note(self, name: str, kind: str, labels: _Labels, value: float) -> None:
        if any(known == name and other != kind for known, other in self._own):
            return  # one name is one metric
        series = self._own.setdefault((name, kind), {})
        first = next(iter(series), labels)
        if [key for key, _ in first] != [key for key, _ in labels]:
            return  # and has the same labels everywhere
        if labels not in series:
            if self._series >= MOST_SERIES:
                return
            self._series += 1
        total, count = series.get(labels, (0.0, 0))
        series[labels] = (value if kind == "gauge" else total + value), count + 1

    def collect(self) -> Iterable[Metric]:
        yield self._of_versions(
            CounterMetricFamily("ts_inference_requests", "Inference requests", labels=_VERSIONED),
            self._requests,
        )
        yield self._untyped(
            "ts_inference_latency_microseconds", "From the whole request to its answer",
            {version: seconds * 1e6 for version, seconds in self._seconds.items()},
        )  # fmt: skip
        yield self._untyped(
            "ts_queue_latency_microseconds", "The time that requests waited for their batches",
            {"default": self._metrics.queue_seconds.sum * 1e6},
        )  # fmt: skip
        for (name, kind), series in self._own.items():
            yield self._family(name, kind, series)

    def _of_versions(
        self, family: CounterMetricFamily, values: dict[str, int]
    ) -> CounterMetricFamily:
        for version, value in values.items():
            family.add_metric((self._name, version, self._host), value)
        return family

    def _untyped(self, name: str, text: str, values: dict[str, float]) -> Metric:
        """A counter whose name has no `_total`, which the client library insists on."""
        made = Metric(name, text, "unknown")
        for version, value in values.items():
            labels = dict(zip(_VERSIONED, (self._name, version, self._host), strict=True))
            made.add_sample(name, labels, value)
        return made

    def _family(self, name: str, kind: str, series: dict[_Labels, tuple[float, int]]) -> Metric:
        text = "Of the model's handler"
        made = GaugeMetricFamily(name, text) if kind == "gauge" else Metric(
            name, text, "summary" if kind == "histogram" else "unknown"
        )  # fmt: skip
        for labels, (value, count) in series.items():
            told = {**dict(labels), "Hostname": self._host}
            if kind == "histogram":
                made.add_sample(f"{name}_sum", told, value)
                made.add_sample(f"{name}_count", told, count)
            else:
                made.add_sample(name, told, value)
        return made


def _label(name: str) -> str:
    made = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"_{made}" if not made or made[0].isdigit() else made


_VERSIONED = ("model_name", "model_version", "hostname")
