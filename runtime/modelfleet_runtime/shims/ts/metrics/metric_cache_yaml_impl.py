"""The newer name of what `context.metrics` is."""

from .metrics_store import MetricsStore


class MetricsCacheYamlImpl(MetricsStore):
    pass
