"""Variants share the traffic; each rolls out on its own; nothing is lost while they come and go."""

import json
import math
from collections import Counter

import httpx

from tests.e2e.kube import Json, Kube, is_true
from tests.e2e.models import REQUEST, deployment, scale
from tests.e2e.store import Store
from tests.e2e.test_rollouts import say, variant
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url

BY_STEPS = {"strategy": "Progressive", "steps": [{"weight": 50, "untilPromoted": True}]}


def ab(name: str, one: Json, two: Json, *, routing: Json | None = None, **spec: object) -> Json:
    """The control goes on with what served before, and the challenger has a fifth."""
    variants = [
        {"name": "default", "weight": 80},
        {"name": "challenger", "weight": 20, "model": two},
    ]
    return deployment(
        name,
        one,
        routing={"mode": "Router", **(routing or {})},
        variants=variants,
        rollout=BY_STEPS,
        **spec,
    )


def shares(resource: Json) -> dict[str, int]:
    told = resource.get("status", {}).get("variants", [])
    return {each["name"]: each.get("share", 0) for each in told}


def ask(client: httpx.Client, url: str, model: str, **headers: str) -> float:
    answer = client.post(f"{url}/v2/models/{model}/infer", json=REQUEST, headers=headers)
    assert answer.status_code == 200, answer.text
    found: float = answer.json()["outputs"][0]["data"][0]
    return found


def follows(times: int, of: int, share: float) -> bool:
    """Four standard deviations of the binomial distribution."""
    return abs(times - of * share) <= 4 * math.sqrt(of * share * (1 - share))


def test_a_challenger_comes_rolls_out_and_wins(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two, three = (store.put(f"ab{n}.onnx", scale(float(n))) for n in (1, 2, 3))
    kube.apply(namespace, deployment("ab", one, routing={"mode": "Router"}))
    before = kube.until(namespace, "mdep", "ab", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "ab"), "ab") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, ab("ab", one, two))
        both = kube.until(
            namespace,
            "mdep",
            "ab",
            lambda r: shares(r) == {"default": 8000, "challenger": 2000} and is_true("Ready")(r),
            timeout=90,
        )
        assert variant(both, "default")["stable"] == variant(before, "default")["stable"]
        start = Counter(traffic.account.answers)
        traffic.until_answered_by(2.0, start[2.0] + 60)
        grown = traffic.account.answers - start
        assert follows(int(grown[2.0]), int(grown[1.0] + grown[2.0]), 0.2), grown

        # The challenger gets a new model; the control's share stands.
        kube.apply(namespace, ab("ab", one, three))
        held = kube.until(
            namespace,
            "mdep",
            "ab",
            lambda r: variant(r, "challenger").get("rollout", {}).get("phase") == "Holding",
            timeout=90,
        )
        assert shares(held) == {"default": 8000, "challenger": 2000}
        assert "rollout" not in variant(held, "default")
        traffic.until_answered_by(3.0, 20)
        say(kube, namespace, "ab", "promote", variant="challenger")
        kube.until(
            namespace,
            "mdep",
            "ab",
            lambda r: is_true("Ready")(r) and "rollout" not in variant(r, "challenger"),
            timeout=90,
        )

        # It wins.
        kube.apply(namespace, deployment("ab", three, routing={"mode": "Router"}))
        after = kube.until(
            namespace,
            "mdep",
            "ab",
            lambda r: is_true("Ready")(r) and set(shares(r)) == {"default"},
            timeout=120,
        )
        traffic.until_answered_by(3.0, traffic.account.answers[3.0] + 40)
        kube.until_gone(namespace, "pod", "modelfleet.dev/variant=challenger", timeout=90)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert after["status"]["replicas"] == 1


def test_callers_stick_and_a_header_chooses(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = (store.put(f"stick{n}.onnx", scale(float(n))) for n in (1, 2))
    routing: Json = {
        "sticky": {"header": "x-user-id"},
        "matches": [
            {"headers": [{"name": "X-Variant", "value": "challenger"}], "variant": "challenger"}
        ],
    }
    kube.apply(namespace, ab("stick", one, two, routing=routing))
    kube.until(namespace, "mdep", "stick", is_true("Ready"), timeout=120)
    url = cluster_url(kube, namespace, "stick")
    with httpx.Client(timeout=20) as client:
        chosen = {
            ask(client, url, "stick", **{"x-variant": "challenger", "x-user-id": str(user)})
            for user in range(20)
        }
        assert chosen == {2.0}
        first = [ask(client, url, "stick", **{"x-user-id": f"user-{n}"}) for n in range(200)]
        again = [ask(client, url, "stick", **{"x-user-id": f"user-{n}"}) for n in range(200)]
    assert first == again
    assert follows(first.count(2.0), 200, 0.2)


def test_a_shadow_gets_copies_and_hurts_nobody(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = (store.put(f"shadow{n}.onnx", scale(float(n))) for n in (1, 2))
    arms = [{"name": "default", "weight": 100}, {"name": "shadow", "model": two}]
    routing = {"mode": "Router", "mirror": [{"variant": "shadow"}]}
    kube.apply(namespace, deployment("shadowed", one, routing=routing, variants=arms))
    kube.until(namespace, "mdep", "shadowed", is_true("Ready"), timeout=120)
    url = cluster_url(kube, namespace, "shadowed")
    with Traffic(url, "shadowed") as traffic:
        traffic.until_answered_by(1.0, 100)
        pods = kube.every(namespace, "pod", "modelfleet.dev/variant=shadow")
        metrics = httpx.get(f"http://{pods[0]['status']['podIP']}:8080/metrics", timeout=10).text
        copied = sum(
            float(line.rpartition(" ")[2])
            for line in metrics.splitlines()
            if line.startswith("inference_requests_total{")
        )
        assert copied >= 90, metrics
        kube.kubectl(
            "delete", "pod", "--namespace", namespace, "--force", "--grace-period=0",
            "--selector", "modelfleet.dev/variant=shadow",
        )  # fmt: skip
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 100)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert set(traffic.account.answers) == {1.0}


def test_dedicated_routers_serve_nobody_else(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one = store.put("own.onnx", scale(1.0))
    own = deployment("own", one, routing={"mode": "Router", "router": "Dedicated"})
    kube.apply(namespace, own, deployment("other", one, routing={"mode": "Router"}))
    for name in ("own", "other"):
        kube.until(namespace, "mdep", name, is_true("Ready"), timeout=120)
    mine = kube.get(namespace, "service", "own")["spec"]["selector"]
    theirs = kube.get(namespace, "service", "other")["spec"]["selector"]
    assert mine["app.kubernetes.io/instance"] == "own-router"
    assert theirs["app.kubernetes.io/instance"] == "modelfleet-router"
    with httpx.Client(timeout=20) as client:
        for name in ("own", "other"):
            assert ask(client, cluster_url(kube, namespace, name), name) == 1.0
    shared = deployment("own", one, routing={"mode": "Router"})
    refused = kube.kubectl(
        "apply", "--namespace", namespace, "--filename", "-", stdin=json.dumps(shared), check=False
    )
    assert "write mode: Direct first" in refused.stderr
    kube.delete(namespace, "mdep", "own")
    kube.until_gone(namespace, "pod", "app.kubernetes.io/instance=own-router", timeout=90)
    with httpx.Client(timeout=20) as client:
        assert ask(client, cluster_url(kube, namespace, "other"), "other") == 1.0
