"""What is done to a ModelDeployment under load: one function a cause, in the order of the table.

Each gets a stage on which version 1 serves with two pods, and leaves it when the traffic is served
as before.
"""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.rollout.stage import Stage, held_steps, steps
from benchmarks.rollout.witness import Witness

WEIGHTS: Final = (1, 5, 20, 50, 80)
"""And after them all of the traffic."""
AWAY_S: Final = 12.0
"""How long the DNS and the API server are away."""

STRICT: Final = {"minRequests": 50, "warmUp": "0s"}

Cause = Callable[[Stage], None]


def promotion(stage: Stage, weights: Sequence[int] = WEIGHTS) -> None:
    before = stage.revision()
    stage.apply(Witness(2), steps(*weights))
    stage.until_ready()
    stage.until_gone(before)
    stage.answers()


def abort_at_each_step(stage: Stage, weights: Sequence[int] = WEIGHTS) -> None:
    for label, until in enumerate(range(1, len(weights) + 1), start=2):
        stage.apply(Witness(label), held_steps(*weights))
        for weight in weights[:until]:
            stage.until_held(weight)
            if weight != weights[until - 1]:
                stage.say("promote")
        stage.answers(label, seconds=1)
        stage.say("abort")
        stage.until_rolled_back()
        stage.answers(1)


def rolling(stage: Stage) -> None:
    before = stage.revision()
    stage.apply(Witness(2))
    stage.until_ready()
    stage.until_gone(before)
    stage.answers()


def blue_green(stage: Stage) -> None:
    """Promoted from its preview, and then another that is aborted while it bakes."""
    preview = {"preview": {"untilPromoted": True}, "bake": "5s"}
    before = stage.revision()
    stage.apply(Witness(2), {"strategy": "BlueGreen", **preview})
    stage.until_held(0)
    stage.say("promote")
    stage.until_ready()
    stage.until_gone(before)
    stage.answers()
    stage.apply(Witness(3), {"strategy": "BlueGreen", "bake": "1h"})
    stage.until_held(100)
    stage.answers(3)
    stage.say("abort")
    stage.until_rolled_back()
    stage.answers(2)


def variants_come_and_go(stage: Stage) -> None:
    """A challenger comes, gets more, rolls out by itself, and wins."""
    stage.apply_variants(Witness(1), Witness(2), 20)
    stage.until_shared(20)
    stage.answers(2)
    stage.apply_variants(Witness(1), Witness(2), 60)
    stage.until_shared(60)
    stage.apply_variants(Witness(1), Witness(3), 60)
    stage.until_shared(60)
    stage.answers(3)
    stage.apply(Witness(3))
    stage.until_ready()
    stage.answers(3)


def drained(stage: Stage) -> None:
    """Everything is evicted from its node, by the rules of disruption budgets, while another
    place is found for it: models and routers."""
    with stage.drain():
        stage.answers()
    stage.until_routers()
    stage.until_whole(stage.revision())
    stage.answers()


def again_and_again(stage: Stage, seconds: float = 240) -> None:
    """Promotions and aborts, one after the other, for so long."""
    end, label = time.monotonic() + seconds, 1
    while time.monotonic() < end:
        good, label = label, label + 1
        stage.apply(Witness(label), held_steps(5, 50))
        stage.until_held(5)
        stage.say("promote")
        stage.until_held(50)
        if label % 3 == 0:
            stage.say("abort")
            stage.until_rolled_back()
            stage.answers(good)
            stage.apply(Witness(good), held_steps(5, 50))
        else:
            stage.say("promote")
        stage.until_ready()
        label = max(label, good)


def rollback_on_errors(stage: Stage) -> None:
    judged = {**steps(20, 50, pause="20s"), "analysis": {**STRICT, "maxErrorRate": "1%"}}
    stage.apply(Witness(2, fails_each=5), judged)
    stage.until_rolled_back()
    stage.answers(1)


def rollback_on_latency(stage: Stage) -> None:
    judged = {**steps(20, 50, pause="20s"), "analysis": {**STRICT, "maxLatency": {"p95": "200ms"}}}
    stage.apply(Witness(2, seconds=0.5), judged)
    stage.until_rolled_back()
    stage.answers(1)


def undo(stage: Stage) -> None:
    """In the middle of a rollout, and after one."""
    stage.apply(Witness(2), held_steps(50))
    stage.until_held(50)
    stage.answers(2)
    stage.apply(Witness(1), held_steps(50))
    stage.until_ready()
    stage.apply(Witness(2), steps(50))
    stage.until_ready()
    stage.apply(Witness(1), steps(50))
    stage.until_ready()
    stage.answers()


def scaling(stage: Stage) -> None:
    for replicas in (3, 1, 3, 2):
        stage.apply(Witness(1), replicas=replicas)
        stage.until_ready()
        stage.answers()


def pods_deleted(stage: Stage, many: int = 2) -> None:
    _each_pod(stage, many)


def pods_force_deleted(stage: Stage, many: int = 2) -> None:
    _each_pod(stage, many, "--grace-period=0", "--force")


def _each_pod(stage: Stage, many: int, *how: str) -> None:
    """So many of each revision, in the middle of a rollout, one after the other."""
    stage.apply(Witness(2), held_steps(50))
    stage.until_held(50)
    for which in ("stable", "candidate"):
        revision = stage.revision(which)
        for pod in stage.pods(revision)[:many]:
            stage.delete(pod, *how)
            stage.until_whole(revision)
            stage.answers(2)
    stage.say("promote", "all")
    stage.until_ready()


def models_killed(stage: Stage) -> None:
    for pod in stage.pods(stage.revision()):
        stage.signal(pod, signal.SIGKILL)
        stage.until_restarted(pod)
        stage.answers()


def models_killed_idempotent(stage: Stage) -> None:
    stage.routing = {**stage.routing, "retries": "Idempotent"}
    stage.apply(Witness(1))
    stage.until_ready()
    stage.answers()
    models_killed(stage)


def routers_deleted(stage: Stage) -> None:
    for pod in stage.routers():
        stage.delete(pod)
        stage.until_routers()
        stage.answers()


def routers_killed(stage: Stage) -> None:
    for pod in stage.routers():
        stage.signal(pod, signal.SIGKILL)
        stage.until_restarted(pod)
        stage.answers()


def routers_rolled(stage: Stage) -> None:
    stage.world.kube.kubectl(
        "rollout", "restart", "deployment/modelfleet-router", "--namespace", stage.world.namespace
    )
    stage.until_routers()
    # Until the earlier ones are gone: that is when the last could still be lost.
    time.sleep(AWAY_S)


def operator_killed_at_each_step(stage: Stage, weights: Sequence[int] = WEIGHTS) -> None:
    before = stage.revision()
    stage.apply(Witness(2), held_steps(*weights))
    stage.kill_operator()
    for weight in weights:
        stage.until_held(weight)
        stage.kill_operator()
        stage.say("promote")
    stage.until_ready()
    stage.until_gone(before)


def model_begins_to_fail(stage: Stage) -> None:
    """One pod of two answers 500 for eight seconds."""
    pod = stage.pods(stage.revision())[0]["metadata"]["name"]
    stage.world.listener.tell(pod, "fail")
    time.sleep(8)
    # It hears of that only when it is asked, and says nothing while it fails: so it is replaced.
    stage.world.kube.delete(stage.world.namespace, "pod", pod)
    stage.until_whole(stage.revision())
    stage.answers()


def model_hangs(stage: Stage) -> None:
    """The code of one pod never comes back."""
    pod = stage.pods(stage.revision())[0]["metadata"]["name"]
    stage.world.listener.tell(pod, "hang")
    time.sleep(30)
    stage.world.kube.delete(stage.world.namespace, "pod", pod)
    stage.until_whole(stage.revision())
    stage.answers()


def process_stops(stage: Stage) -> None:
    """One pod's process is stopped for a while: packets are taken, nothing is answered."""
    pod = stage.pods(stage.revision())[0]
    stage.signal(pod, signal.SIGSTOP)
    time.sleep(AWAY_S)
    stage.signal(pod, signal.SIGCONT)
    stage.answers()


def dns_away(stage: Stage) -> None:
    with stage.without_dns():
        time.sleep(AWAY_S)
    stage.answers()


def dns_away_and_pod_killed(stage: Stage) -> None:
    revision = stage.revision()
    with stage.without_dns():
        stage.delete(stage.pods(revision)[0], "--grace-period=0", "--force")
        stage.until_whole(revision)
        time.sleep(AWAY_S / 2)
    stage.answers()


def dns_away_and_pods_replaced(stage: Stage) -> None:
    with stage.without_dns():
        _replace_pods(stage)
        time.sleep(AWAY_S)
    stage.answers()


def dns_old_and_pods_replaced(stage: Stage) -> None:
    with stage.with_old_dns():
        _replace_pods(stage)
        time.sleep(AWAY_S)
    stage.answers()


def operator_away_and_pods_replaced(stage: Stage) -> None:
    with stage.without_operator():
        _replace_pods(stage)
        time.sleep(AWAY_S)
    stage.answers()


def _replace_pods(stage: Stage) -> None:
    revision = stage.revision()
    for pod in stage.pods(revision):
        stage.delete(pod)
        stage.until_whole(revision)


def api_away(stage: Stage) -> None:
    with stage.without_api():
        time.sleep(AWAY_S)
    stage.answers()


def api_away_and_a_model_killed(stage: Stage) -> None:
    pod = stage.pods(stage.revision())[0]
    with stage.without_api():
        stage.signal(pod, signal.SIGKILL)
        time.sleep(AWAY_S)
    stage.until_whole(stage.revision())
    stage.answers()


CAUSES: Final[dict[str, Cause]] = {
    "promotion in five steps": promotion,
    "abort at each step": abort_at_each_step,
    "rolling": rolling,
    "blue-green": blue_green,
    "variants come and go": variants_come_and_go,
    "rollback on errors": rollback_on_errors,
    "rollback on latency": rollback_on_latency,
    "undo": undo,
    "scale up and down": scaling,
    "pods deleted one by one": pods_deleted,
    "pods force-deleted": pods_force_deleted,
    "node drained": drained,
    "model killed with -9": models_killed,
    "model killed with -9 (Idempotent)": models_killed_idempotent,
    "router deleted": routers_deleted,
    "router killed with -9": routers_killed,
    "routers rolled": routers_rolled,
    "operator killed at each step": operator_killed_at_each_step,
    "model begins to answer 500": model_begins_to_fail,
    "model hangs": model_hangs,
    "process stops answering": process_stops,
    "DNS away": dns_away,
    "DNS away and a pod killed": dns_away_and_pod_killed,
    "DNS away and all pods replaced": dns_away_and_pods_replaced,
    "DNS 30 s old and all pods replaced": dns_old_and_pods_replaced,
    "operator away and all pods replaced": operator_away_and_pods_replaced,
    "API server away": api_away,
    "API server away and a model killed": api_away_and_a_model_killed,
}
"""By what the table calls them."""
