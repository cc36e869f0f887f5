"""`context.metrics`: what a handler measures goes with the next answer to the server, which shows
it to Prometheus."""

from collections.abc import Sequence
from typing import Any

from .dimension import Dimension
from .metric_type_enum import MetricTypes

MOST = 1000
"""Values kept between two answers; more are dropped."""


class CachedMetric:
    """One metric, to be updated many times."""

    def __init__(self, store: "MetricsStore", name: str, kind: MetricTypes, labels: Sequence[str]):
        self.metric_name = name
        self.metric_type = kind
        self.dimension_names = list(labels)
        self._store = store

    def add_or_update(
        self, value: float, dimension_values: Sequence[object] = (), request_id: str = "", **_: Any
    ) -> None:
        """`dimension_values` in the order of the names."""
        names = self.dimension_names
        if len(dimension_values) != len(names):
            raise ValueError(
                f"the metric {self.metric_name} has the dimensions {names}, "
                f"and {len(dimension_values)} values were given"
            )
        labels = [(name, str(v)) for name, v in zip(names, dimension_values, strict=True)]
        self._store.note(self.metric_name, self.metric_type, value, labels)

    update = add_or_update


class MetricsStore:
    """Both the older and the newer interface of the original."""

    def __init__(self, request_ids: Any = None, model_name: str = "") -> None:
        self.request_ids = request_ids
        self.model_name = model_name
        self._known: dict[tuple[str, str], CachedMetric] = {}
        self._noted: list[tuple[str, str, float, list[tuple[str, str]]]] = []

    def set_request_ids(self, request_ids: Any) -> None:
        self.request_ids = request_ids

    def note(
        self, name: str, kind: MetricTypes, value: float, labels: list[tuple[str, str]]
    ) -> None:
        if len(self._noted) < MOST:
            self._noted.append((str(name), kind.value, float(value), labels))

    def take(self) -> list[tuple[str, str, float, list[tuple[str, str]]]]:
        """What was measured since it was asked last."""
        noted, self._noted = self._noted, []
        return noted

    def add_metric(
        self,
        name: str,
        value: float,
        unit: str = "",
        idx: Any = None,
        dimensions: Sequence[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> None:
        labels = [(one.name, one.value) for one in dimensions or ()]
        # An installed torchserve has an enumeration of its own, with the same values.
        kind = MetricTypes(getattr(metric_type, "value", metric_type))
        self.note(name, kind, value, [("ModelName", self.model_name), ("Level", "Model"), *labels])

    def add_counter(
        self,
        name: str,
        value: float,
        idx: Any = None,
        dimensions: Sequence[Dimension] | None = None,
    ) -> None:
        self.add_metric(name, value, "", idx, dimensions, MetricTypes.COUNTER)

    def add_time(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "ms",
        dimensions: Sequence[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        self.add_metric(name, value, unit, idx, dimensions, metric_type)

    def add_size(
        self,
        name: str,
        value: float,
        idx: Any = None,
        unit: str = "MB",
        dimensions: Sequence[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        self.add_metric(name, value, unit, idx, dimensions, metric_type)

    def add_percent(
        self,
        name: str,
        value: float,
        idx: Any = None,
        dimensions: Sequence[Dimension] | None = None,
        metric_type: MetricTypes = MetricTypes.GAUGE,
    ) -> None:
        self.add_metric(name, value, "percent", idx, dimensions, metric_type)

    def add_error(
        self, name: str, value: float, dimensions: Sequence[Dimension] | None = None
    ) -> None:
        self.add_metric(name, value, "", None, dimensions, MetricTypes.COUNTER)

    def add_metric_to_cache(
        self,
        metric_name: str,
        unit: str = "",
        dimension_names: Sequence[str] = (),
        metric_type: MetricTypes = MetricTypes.COUNTER,
    ) -> CachedMetric:
        made = CachedMetric(self, metric_name, metric_type, dimension_names)
        self._known[metric_name, metric_type.value] = made
        return made

    def get_metric(
        self, metric_name: str, metric_type: MetricTypes = MetricTypes.COUNTER
    ) -> CachedMetric:
        """Raises KeyError for one that `add_metric_to_cache` has not made."""
        try:
            return self._known[metric_name, metric_type.value]
        except KeyError:
            raise KeyError(
                f"there is no {metric_type.value} {metric_name}; make it with add_metric_to_cache"
            ) from None
