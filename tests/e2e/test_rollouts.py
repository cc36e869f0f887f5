"""A new revision takes over by steps behind routers, or goes away by itself; nothing is lost."""

from collections.abc import Callable

from tests.e2e.kube import Json, Kube, condition, has_reason, is_true
from tests.e2e.models import deployment, scale
from tests.e2e.store import Store
from tests.e2e.traffic import Traffic
from tests.e2e.urls import cluster_url

ROUTER = {"mode": "Router"}
STEPS = {
    "strategy": "Progressive",
    "steps": [{"weight": 20, "pause": "2s"}, {"weight": 50, "untilPromoted": True}],
}
PAIR = "app.kubernetes.io/name=modelfleet-router"


def variant(resource: Json, name: str | None = None) -> Json:
    """What is said of it; of the first, where none is named."""
    told = resource.get("status", {}).get("variants", ())
    return next((each for each in told if name in (None, each["name"])), {})


def rollout(resource: Json, name: str | None = None) -> Json:
    found: Json = variant(resource, name).get("rollout") or {}
    return found


def holds_at(weight: int) -> Callable[[Json], bool]:
    """Whether the candidate has this share, and every router serves it."""
    return lambda resource: (
        variant(resource).get("weight") == weight and rollout(resource).get("phase") == "Holding"
    )


def say(
    kube: Kube, namespace: str, name: str, verb: str, more: str = "", variant: str | None = None
) -> None:
    """As a person does it: with the stamp that the status shows."""
    stamp = rollout(kube.get(namespace, "mdep", name), variant)["stamp"]
    kube.kubectl(
        "annotate", "mdep", name, "--namespace", namespace, "--overwrite",
        f"modelfleet.dev/{verb}={stamp} {more}".strip(),
        *(["modelfleet.dev/abort-"] if verb == "retry" else []),  # it would win
    )  # fmt: skip


def test_by_steps_to_the_end(operator: str, kube: Kube, namespace: str, store: Store) -> None:
    one, two = store.put("step1.onnx", scale(1.0)), store.put("step2.onnx", scale(2.0))
    kube.apply(namespace, deployment("steps", one, replicas=2, routing=ROUTER))
    before = kube.until(namespace, "mdep", "steps", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "steps"), "steps") as traffic:
        traffic.until_answered_by(1.0, 50)
        new = deployment("steps", two, replicas=2, routing=ROUTER, rollout=STEPS)
        kube.apply(namespace, new)
        kube.until(namespace, "mdep", "steps", holds_at(20), timeout=90)
        traffic.until_answered_by(2.0, 5)
        held = kube.until(namespace, "mdep", "steps", holds_at(50), timeout=90)
        assert "promoted" in rollout(held)["message"]
        assert variant(held)["stable"] == variant(before)["stable"]
        share = dict(traffic.account.answers)
        traffic.until_answered_by(2.0, int(share.get(2.0, 0)) + 100)
        ones = traffic.account.answers[1.0] - share[1.0]
        assert 60 <= ones <= 150, "half of the traffic"
        say(kube, namespace, "steps", "promote")
        after = kube.until(namespace, "mdep", "steps", is_true("Ready"), timeout=90)
        kube.until_gone(
            namespace, "pod", f"modelfleet.dev/revision={variant(before)['stable']}", timeout=90
        )
        traffic.until_answered_by(2.0, traffic.account.answers[2.0] + 50)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert variant(after)["stable"] != variant(before)["stable"]
    assert "rollout" not in variant(after)


def test_an_abort_gives_everything_back(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    one, two = store.put("abort1.onnx", scale(1.0)), store.put("abort2.onnx", scale(2.0))
    kube.apply(namespace, deployment("aborted", one, routing=ROUTER))
    before = kube.until(namespace, "mdep", "aborted", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "aborted"), "aborted") as traffic:
        traffic.until_answered_by(1.0, 20)
        steps = {"strategy": "Progressive", "steps": [{"weight": 30, "untilPromoted": True}]}
        kube.apply(namespace, deployment("aborted", two, routing=ROUTER, rollout=steps))
        held = kube.until(namespace, "mdep", "aborted", holds_at(30), timeout=90)
        traffic.until_answered_by(2.0, 5)
        say(kube, namespace, "aborted", "abort")
        back = kube.until(
            namespace, "mdep", "aborted", has_reason("Progressing", "RolledBack"), timeout=60
        )
        kube.until_gone(
            namespace, "pod", f"modelfleet.dev/revision={variant(held)['candidate']}", timeout=90
        )
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 50)
        say(kube, namespace, "aborted", "retry")
        again = kube.until(namespace, "mdep", "aborted", holds_at(30), timeout=90)
        say(kube, namespace, "aborted", "promote", "all")
        after = kube.until(namespace, "mdep", "aborted", is_true("Ready"), timeout=90)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []
    assert variant(back)["stable"] == variant(before)["stable"]
    assert condition(back, "Available")["status"] == "True"
    assert rollout(again)["attempt"] == 2
    assert variant(after)["stable"] == variant(held)["candidate"]


def test_a_broken_revision_is_rolled_back_by_itself(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    good, broken = store.put("fine.onnx", scale(1.0)), store.put("bad.onnx", scale(2.0)[:60])
    kube.apply(namespace, deployment("fails", good, routing=ROUTER))
    before = kube.until(namespace, "mdep", "fails", is_true("Ready"), timeout=120)
    with Traffic(cluster_url(kube, namespace, "fails"), "fails") as traffic:
        late = {**STEPS, "progressDeadline": "10s"}
        kube.apply(namespace, deployment("fails", broken, routing=ROUTER, rollout=late))
        told = kube.until(
            namespace, "mdep", "fails", has_reason("Progressing", "RolledBack"), timeout=60
        )
        kube.until_gone(
            namespace, "pod", f"modelfleet.dev/revision={variant(told)['candidate']}", timeout=90
        )
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 20)
    assert traffic.account.answers.keys() == {1.0}
    assert traffic.account.lost == []
    assert "progressDeadline" in condition(told, "Progressing")["message"]
    assert variant(told)["stable"] == variant(before)["stable"]


def test_blue_and_green(operator: str, kube: Kube, namespace: str, store: Store) -> None:
    blue, green = store.put("blue.onnx", scale(1.0)), store.put("green.onnx", scale(2.0))
    kube.apply(namespace, deployment("colours", blue, routing=ROUTER))
    kube.until(namespace, "mdep", "colours", is_true("Ready"), timeout=120)
    rollout = {"strategy": "BlueGreen", "preview": {"untilPromoted": True}, "bake": "5s"}
    with Traffic(cluster_url(kube, namespace, "colours"), "colours") as traffic:
        kube.apply(namespace, deployment("colours", green, routing=ROUTER, rollout=rollout))
        kube.until(namespace, "mdep", "colours", holds_at(0), timeout=90)
        preview = cluster_url(kube, namespace, "colours-preview")
        with Traffic(preview, "colours", per_second=5) as tries:
            tries.until_answered_by(2.0, 5)
        assert traffic.account.answers.keys() == {1.0}
        say(kube, namespace, "colours", "promote")
        kube.until(namespace, "mdep", "colours", holds_at(100), timeout=60)
        assert len(kube.every(namespace, "pod", "app.kubernetes.io/component=model")) == 2
        kube.until(namespace, "mdep", "colours", is_true("Ready"), timeout=90)
        traffic.until_answered_by(2.0, 50)
    assert traffic.account.is_whole()
    assert traffic.account.lost == tries.account.lost == []
    kube.until_gone(namespace, "service", "modelfleet.dev/role=preview")


def test_the_pair_comes_with_the_first_and_goes_with_the_last(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    model = store.put("pair.onnx", scale(1.0))
    kube.apply(namespace, deployment("direct", model, replicas=0))
    kube.until(namespace, "mdep", "direct", has_reason("Ready", "Stopped"), timeout=60)
    assert kube.every(namespace, "deployment", PAIR) == []
    kube.apply(namespace, deployment("first", model, routing=ROUTER))
    kube.apply(namespace, deployment("second", model, routing=ROUTER))
    for name in ("first", "second"):
        kube.until(namespace, "mdep", name, is_true("Ready"), timeout=120)
    assert len(kube.every(namespace, "deployment", PAIR)) == 1
    with Traffic(cluster_url(kube, namespace, "second"), "second") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.delete(namespace, "mdep", "first")
        kube.until_gone(namespace, "configmap", "modelfleet.dev/deployment=first")
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 40)
    assert traffic.account.lost == []
    kube.delete(namespace, "mdep", "second")
    kube.until_gone(namespace, "deployment", PAIR, timeout=90)
    kube.until_gone(namespace, "configmap", PAIR, timeout=90)


def test_from_a_plain_service_to_routers_and_back(
    operator: str, kube: Kube, namespace: str, store: Store
) -> None:
    model = store.put("moves.onnx", scale(1.0))
    kube.apply(namespace, deployment("moves", model))
    kube.until(namespace, "mdep", "moves", is_true("Ready"), timeout=90)
    with Traffic(cluster_url(kube, namespace, "moves"), "moves") as traffic:
        traffic.until_answered_by(1.0, 20)
        kube.apply(namespace, deployment("moves", model, routing=ROUTER))
        kube.until(namespace, "service", "moves", _selects_routers, timeout=120)
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 100)
        kube.apply(namespace, deployment("moves", model))
        kube.until(namespace, "service", "moves", lambda s: not _selects_routers(s), timeout=60)
        traffic.until_answered_by(1.0, traffic.account.answers[1.0] + 100)
    assert traffic.account.is_whole()
    assert traffic.account.lost == []


def _selects_routers(service: Json) -> bool:
    name: str | None = service["spec"]["selector"].get("app.kubernetes.io/name")
    return name == "modelfleet-router"
