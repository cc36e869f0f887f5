"""A real Prometheus scrapes the pods, and the figures are true."""

from pathlib import Path

import httpx

from tests.e2e.kube import Kube, is_true
from tests.e2e.models import REQUEST, deployment, scale
from tests.e2e.prometheus import scraping
from tests.e2e.store import Store
from tests.e2e.urls import cluster_url

GOOD, BAD = 25, 4


def test_prometheus_scrapes_the_pods_and_the_figures_are_true(
    operator: str, kube: Kube, namespace: str, store: Store, tmp_path: Path
) -> None:
    kube.apply(namespace, deployment("counted", store.put("counted.onnx", scale(1.0)), replicas=2))
    kube.until(namespace, "mdep", "counted", is_true("Ready"), timeout=90)
    target = f"{cluster_url(kube, namespace, 'counted')}/v2/models/counted/infer"
    serving = kube.every(namespace, "pod", "modelfleet.dev/deployment=counted")
    with scraping(serving, tmp_path) as prometheus:
        prometheus.until('count(up{job="pods"} == 1)', 2)
        for _ in range(GOOD):  # a new connection each, so that both pods get some
            assert httpx.post(target, json=REQUEST).status_code == 200
        for _ in range(BAD):
            assert httpx.post(target, json={"inputs": []}).status_code == 400
        name = 'model_name="counted"'
        total = f"sum(inference_requests_total{{{name}}})"
        prometheus.until(total, GOOD + BAD)
        prometheus.until(f'sum(inference_requests_total{{{name},status="200"}})', GOOD)
        prometheus.until(f'sum(inference_requests_total{{{name},status="400"}})', BAD)
        prometheus.until(f"sum(inference_errors_total{{{name}}})", 0)  # no fault of the server
        prometheus.until(f"sum(inference_latency_seconds_count{{{name}}})", GOOD + BAD)
        prometheus.until(f"sum(inference_in_progress{{{name}}})", 0)
        prometheus.until(f"sum(inference_rows_total{{{name}}})", GOOD)
        pods = prometheus.query("count by (pod) (inference_requests_total)")
        assert len(pods) == 2
