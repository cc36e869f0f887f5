"""A real Prometheus is asked while a step is held, and its answer decides."""

from collections.abc import Callable, Iterator

import pytest

from dev import install
from dev.cluster import Cluster
from dev.images import Images
from tests.e2e.kube import Json, Kube, condition, has_reason, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.prometheus import Prometheus, scraping
from tests.e2e.store import Store
from tests.e2e.test_rollouts import ROUTER, holds_at, rollout, say, variant
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url

MEMORY = 'max(process_resident_memory_bytes{namespace="{{namespace}}",pod=~"{{revision}}-.*"})'


@pytest.fixture(scope="module")
def prometheus(
    operator: str,
    cluster: Cluster,
    tools: install.Tools,
    images: Images,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """The operator asks it while these tests run."""
    with scraping((), tmp_path_factory.mktemp("prometheus"), cluster.host_ip) as server:
        install.install(tools, images, "--set-string", f"prometheus.url={server.url}")
        try:
            yield server
        finally:
            install.install(tools, images)


def judged_by(**query: object) -> Json:
    """Half of the traffic, until the query is answered well."""
    analysis = {
        "compareToStable": False,
        "minRequests": 1,
        "warmUp": "0s",
        "queries": [{"name": "memory", "query": MEMORY, **query}],
    }
    return {"strategy": "Progressive", "steps": [{"weight": 50}], "analysis": analysis}


def says(words: str) -> Callable[[Json], bool]:
    """Whether the query's check does."""
    return lambda resource: words in _check(resource).get("message", "")


def _check(resource: Json) -> Json:
    checks = rollout(resource).get("analysis", {}).get("checks", ())
    found: Json = next((each for each in checks if each["name"] == "query memory"), {})
    return found


def scrape(prometheus: Prometheus, kube: Kube, namespace: str, held: Json) -> None:
    """The candidate's pods."""
    selector = f"modelfleet.dev/revision={variant(held)['candidate']}"
    prometheus.scrape(kube.every(namespace, "pod", selector))


def test_an_answer_beyond_the_limit_rolls_back(
    prometheus: Prometheus, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("query1.onnx", scale(1.0)), store.put("query2.onnx", scale(2.0))
    kube.apply(namespace, deployment("large", one, routing=ROUTER))
    before = kube.until(namespace, "mdep", "large", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "large"), "large") as traffic:
        traffic.until_answered_by(1.0, 20)
        rollout_ = judged_by(max="1e3", failures=2)
        kube.apply(namespace, deployment("large", two, routing=ROUTER, rollout=rollout_))
        kube.until(namespace, "mdep", "large", holds_at(50), timeout=90)
        # Nobody scrapes it so far: no answer is no reason to go anywhere.
        held = kube.until(namespace, "mdep", "large", says("no series has a value"), timeout=30)
        assert (variant(held)["weight"], rollout(held)["phase"]) == (50, "Holding")
        scrape(prometheus, kube, namespace, held)
        back = kube.until(
            namespace, "mdep", "large", has_reason("Progressing", "RolledBack"), timeout=60
        )
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 40)
    assert traffic.account.lost == []
    message = condition(back, "Progressing")["message"]
    assert "query memory: " in message
    assert "at most 1e3 is good: 2 of 2 looks in a row" in message
    assert variant(back)["stable"] == variant(before)["stable"]


def test_an_answer_within_the_limits_lets_the_step_pass(
    prometheus: Prometheus, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("small1.onnx", scale(1.0)), store.put("small2.onnx", scale(2.0))
    kube.apply(namespace, deployment("small", one, routing=ROUTER))
    kube.until(namespace, "mdep", "small", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "small"), "small") as traffic:
        traffic.until_answered_by(1.0, 20)
        rollout_ = judged_by(min="1e3", max="1e12")
        kube.apply(namespace, deployment("small", two, routing=ROUTER, rollout=rollout_))
        held = kube.until(namespace, "mdep", "small", says("no series has a value"), timeout=120)
        scrape(prometheus, kube, namespace, held)
        after = kube.until(namespace, "mdep", "small", is_true("Ready"), timeout=60)
        traffic.until_answered_by(2.0, traffic.account.answers[2.0] + 40)
    assert traffic.account.lost == []
    assert variant(after)["stable"] == variant(held)["candidate"]


def test_what_prometheus_does_not_understand_is_said_and_holds(
    prometheus: Prometheus, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("wrong1.onnx", scale(1.0)), store.put("wrong2.onnx", scale(2.0))
    kube.apply(namespace, deployment("wrong", one, routing=ROUTER))
    kube.until(namespace, "mdep", "wrong", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "wrong"), "wrong") as traffic:
        traffic.until_answered_by(1.0, 20)
        rollout_ = judged_by(query="sum(", max="1")
        kube.apply(namespace, deployment("wrong", two, routing=ROUTER, rollout=rollout_))
        held = kube.until(namespace, "mdep", "wrong", says("parse error"), timeout=120)
        assert (variant(held)["weight"], rollout(held)["phase"]) == (50, "Holding")
        say(kube, namespace, "wrong", "abort")
        kube.until(namespace, "mdep", "wrong", has_reason("Progressing", "RolledBack"), timeout=60)
    assert traffic.account.lost == []
