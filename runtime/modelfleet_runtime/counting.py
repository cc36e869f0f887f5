"""Numbers that cost next to nothing to count, shown to Prometheus when it asks.

A request changes about six of them, and the client library's own take locks and look for their
bucket from the first one on: together that would be a fifth of a small model's request. These are
written on the event loop's thread and nowhere else, and read there too.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Counter:
    """Only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, by: float = 1) -> None:
        self.value += by


class Gauge:
    """What is set, or what a function says when it is asked."""

    __slots__ = ("_value",)

    def __init__(self) -> None:
        self._value: float | Callable[[], float] = 0.0

    def set(self, value: float) -> None:
        self._value = value

    def set_function(self, function: Callable[[], float]) -> None:
        self._value = function

    @property
    def value(self) -> float:
        given = self._value
        return given() if callable(given) else given


class Histogram:
    """How often a value fell between two bounds, the upper one included."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus has them."""
        made: list[tuple[str, float]] = []
        below = 0
        for bound, count in zip((*self._bounds, float("inf")), self.counts, strict=True):
            below += count
            made.append((floatToGoString(bound), below))  # type: ignore[no-untyped-call]
        return made


Number = Counter | Gauge | Histogram
Labels = tuple[str, ...]


class Family:
    """One metric: its name, what it answers, and its series by the values of their labels."""

    def __init__(self, name: str, text: str, labels: Labels, series: Mapping[Labels, Number]):
        self.name = name
        self.text = text
        self.labels = labels
        self.series = series

    def collect(self) -> Metric:
        first = next(iter(self.series.values()), None)
        if isinstance(first, Histogram):
            spread = HistogramMetricFamily(self.name, self.text, labels=self.labels)
            for labels, number in self.series.items():
                if isinstance(number, Histogram):
                    spread.add_metric(labels, number.buckets(), number.sum)
            return spread
        kind = CounterMetricFamily if isinstance(first, Counter) else GaugeMetricFamily
        made = kind(self.name, self.text, labels=self.labels)
        for labels, number in self.series.items():
            if not isinstance(number, Histogram):
                made.add_metric(labels, number.value)
        return made


class Families(Collector):
    """All metrics of one process, in the order in which they were declared."""

    def __init__(self) -> None:
        self.all: list[Family] = []

    def add(self, family: Family) -> None:
        self.all.append(family)

    def collect(self) -> Iterable[Metric]:
        return [family.collect() for family in self.all]
