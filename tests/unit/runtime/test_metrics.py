"""The numbers are what a scraper expects, and the page about them tells all of them."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from modelfleet_runtime.counting import Histogram
from modelfleet_runtime.errors import Limit
from modelfleet_runtime.gpus import Gpu
from modelfleet_runtime.metrics import SECONDS, Metrics

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def full() -> Metrics:
    metrics = Metrics("m")
    metrics.model("m", "1", "onnx")
    metrics.experiment(["score"], ["clicked"])
    metrics.devices([Gpu("0", 10.0, lambda: 5.0), Gpu("1", 10.0, lambda: math.nan)])
    return metrics


def test_the_page_tells_every_metric_with_its_type_and_labels() -> None:
    told = {}
    for line in PAGE.read_text().splitlines():
        if row := re.match(r"\| `(inference_\w+)` \| (\w+) \| ([^|]*)\|", line):
            told[row[1]] = row[2], set(re.findall(r"`(\w+)`", row[3]))
    found = {}
    for family in text_string_to_metric_families(full().exposition()[1].decode()):
        if family.name.startswith("inference_"):
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = set().union(*(sample.labels for sample in family.samples))
            found[name] = family.type, labels - {"model_name", "le"}
    assert told == found


def test_the_page_tells_every_limit() -> None:
    text = PAGE.read_text()
    assert all(f"`{limit.value}`" in text for limit in Limit)


def test_values_are_what_was_counted() -> None:
    metrics = full()
    metrics.answered(200, 0.001)
    metrics.answered(200, 0.0010001)
    metrics.answered(503, 70.0)
    metrics.answered(418, 0.1)
    metrics.rows.inc(3)
    metrics.limited(Limit.QUEUE)
    metrics.queue_depth.set_function(lambda: 7)
    page = metrics.exposition()[1].decode()
    for line in (
        'inference_requests_total{model_name="m",status="200"} 2.0',
        'inference_requests_total{model_name="m",status="503"} 1.0',
        'inference_requests_total{model_name="m",status="400"} 1.0',
        'inference_errors_total{model_name="m"} 1.0',
        'inference_latency_seconds_bucket{le="0.0005",model_name="m"} 0.0',
        'inference_latency_seconds_bucket{le="0.001",model_name="m"} 1.0',
        'inference_latency_seconds_bucket{le="0.002",model_name="m"} 2.0',
        'inference_latency_seconds_bucket{le="60.0",model_name="m"} 3.0',
        'inference_latency_seconds_bucket{le="+Inf",model_name="m"} 4.0',
        'inference_latency_seconds_count{model_name="m"} 4.0',
        'inference_rows_total{model_name="m"} 3.0',
        'inference_limit_refusals_total{limit="queue",model_name="m"} 1.0',
        'inference_queue_requests{model_name="m"} 7.0',
        'inference_device_memory_bytes{device="0",kind="used",model_name="m"} 5.0',
        'inference_device_memory_bytes{device="1",kind="used",model_name="m"} NaN',
    ):
        assert line in page.splitlines(), line


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    kind, page = full().exposition("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")


@given(st.lists(st.floats(0, 100)), st.sampled_from([SECONDS, (1.0,)]))
def test_a_bucket_holds_what_is_not_above_its_bound(
    values: list[float], bounds: tuple[float, ...]
) -> None:
    histogram = Histogram(bounds)
    for value in values:
        histogram.observe(value)
    for text, count in histogram.buckets():
        assert count == sum(value <= float(text) for value in values)
    assert histogram.count == len(values)
    assert histogram.sum == pytest.approx(sum(values))
