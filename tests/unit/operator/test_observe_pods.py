"""What does a pod's status say? The shapes are those that the kubelet and scheduler write."""

from typing import Any

import pytest

from modelfleet_contract import Failure, FailureReason
from modelfleet_operator.api import labels
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.observe.pods import read_pod
from modelfleet_operator.seen import Trouble
from tests.unit.operator.builders import raw_container, raw_pod

UNREADY: dict[str, Any] = {"Ready": {"status": "False", "reason": "ContainersNotReady"}}
READY: dict[str, Any] = {"Ready": {"status": "True"}}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}


def said(reason: FailureReason, message: str) -> str:
    return Failure(reason=reason, message=message).to_termination_log()


def unplaced(message: str) -> dict[str, Any]:
    condition = {"status": "False", "reason": "Unschedulable", "message": message}
    return {"conditions": {"PodScheduled": condition}, "node": None}


def ended(code: int, message: str = "", reason: str = "Error") -> dict[str, Any]:
    return {"exitCode": code, "reason": reason, **({"message": message} if message else {})}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"reason": reason, **({"message": message} if message else {})}


NO_GPU = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are ..."
NO_CPU = "0/3 nodes are available: 3 Insufficient cpu."
NO_IMAGE = 'failed to pull image "r:9": not found'
NO_SECRET = 'secret "models" not found'
MISMATCH = said(FailureReason.DIGEST_MISMATCH, "sha256:aa is not sha256:bb")
INVALID = said(FailureReason.MODEL_INVALID, "model.onnx is damaged")
BY_PROBES = "the container was restarted because its probes did not answer"
FETCH = labels.FETCH_CONTAINER

TROUBLES = [
    pytest.param(
        raw_pod(**unplaced(NO_CPU)), Trouble(Reason.UNSCHEDULABLE, NO_CPU), id="no node for it"
    ),
    pytest.param(
        raw_pod(limits={"nvidia.com/gpu": "1"}, **unplaced(NO_GPU)),
        Trouble(Reason.INSUFFICIENT_ACCELERATORS, NO_GPU),
        id="no accelerators left",
    ),
    pytest.param(
        raw_pod(limits={"nvidia.com/gpu": "1"}, **unplaced(NO_CPU)),
        Trouble(Reason.UNSCHEDULABLE, NO_CPU),
        id="accelerators are there, CPU is not",
    ),
    pytest.param(
        raw_pod(**unplaced("")),
        Trouble(Reason.UNSCHEDULABLE, "the scheduler finds no node"),
        id="the scheduler says nothing",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(waiting=waiting("ErrImagePull", NO_IMAGE), image="r:9")]),
        Trouble(Reason.IMAGE_UNAVAILABLE, f"image r:9: {NO_IMAGE}"),
        id="the image is not there",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(waiting=waiting("ErrImageNeverPull"))]),
        Trouble(Reason.IMAGE_UNAVAILABLE, "image r:1: ErrImageNeverPull"),
        id="the image may not be pulled",
    ),
    pytest.param(
        raw_pod(
            containers=[raw_container(waiting=waiting("CreateContainerConfigError", NO_SECRET))]
        ),
        Trouble(Reason.CONFIG_MISSING, NO_SECRET),
        id="a secret is missing",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(waiting=waiting("RunContainerError", "no such file"))]),
        Trouble(Reason.CRASHED, "the container does not start: no such file"),
        id="it cannot be started",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(last=ended(1, INVALID), waiting=BACK_OFF)]),
        Trouble(Reason.MODEL_INVALID, "model.onnx is damaged"),
        id="the model is damaged, waiting to be restarted",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(terminated=ended(1, INVALID))]),
        Trouble(Reason.MODEL_INVALID, "model.onnx is damaged"),
        id="the model is damaged, ended just now",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(last=ended(1, INVALID), running={"startedAt": "now"})]),
        Trouble(Reason.MODEL_INVALID, "model.onnx is damaged"),
        id="the model is damaged, tried again at this moment",
    ),
    pytest.param(
        raw_pod(
            containers=[raw_container(last=ended(137, reason="OOMKilled"), waiting=BACK_OFF)],
            limits={"memory": "1Gi"},
        ),
        Trouble(
            Reason.OUT_OF_MEMORY,
            "the container used more than its memory limit of 1Gi; raise resources.limits.memory",
        ),
        id="out of memory",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(last=ended(137, reason="OOMKilled"), waiting=BACK_OFF)]),
        Trouble(
            Reason.OUT_OF_MEMORY,
            "the container used more than its memory limit; raise resources.limits.memory",
        ),
        id="out of memory, the limit is a namespace's",
    ),
    *(
        pytest.param(
            raw_pod(containers=[raw_container(last=ended(code, text), running={})]),
            Trouble(Reason.PROBE_FAILED, BY_PROBES),
            id=f"killed by its probes, {code}, {'the log is there' if text else 'no word'}",
        )
        # The kubelet gives the log's end as the message where a container fails without one.
        for code, text in ((0, ""), (137, ""), (143, ""), (137, "INFO: loading"), (143, "INFO: up"))
    ),
    pytest.param(
        raw_pod(containers=[raw_container(last=ended(143, INVALID), running={})]),
        Trouble(Reason.MODEL_INVALID, "model.onnx is damaged"),
        id="killed, and it had said what is wrong",
    ),
    pytest.param(
        raw_pod(containers=[raw_container(last=ended(139), waiting=BACK_OFF)]),
        Trouble(Reason.CRASHED, "the container ended with exit code 139 and said nothing"),
        id="crashed without a word",
    ),
    pytest.param(
        raw_pod(
            containers=[raw_container(last=ended(1, "Traceback:\nKeyError: 'x'"), waiting=BACK_OFF)]
        ),
        Trouble(Reason.CRASHED, "Traceback:\nKeyError: 'x'"),
        id="text that is no JSON",
    ),
    pytest.param(
        raw_pod(
            containers=[raw_container(last=ended(1, '{"reason": "Later", "message": "x"}'))],
        ),
        Trouble(Reason.CRASHED, '{"reason": "Later", "message": "x"}'),
        id="a reason of a later runtime",
    ),
    pytest.param(
        raw_pod(
            init=[raw_container(FETCH, last=ended(1, MISMATCH), waiting=BACK_OFF)],
            containers=[raw_container(waiting=waiting("PodInitializing"))],
        ),
        Trouble(Reason.DIGEST_MISMATCH, "sha256:aa is not sha256:bb"),
        id="what was fetched is not what was meant",
    ),
    pytest.param(
        raw_pod(
            init=[raw_container(FETCH, terminated=ended(0, reason="Completed"))],
            containers=[raw_container(last=ended(1, INVALID), waiting=BACK_OFF)],
        ),
        Trouble(Reason.MODEL_INVALID, "model.onnx is damaged"),
        id="fetched, and damaged",
    ),
]


@pytest.mark.parametrize(("pod", "trouble"), TROUBLES)
def test_what_keeps_a_pod_from_serving(pod: dict[str, Any], trouble: Trouble) -> None:
    told = [*pod["status"]["conditions"], *({"type": t, **c} for t, c in UNREADY.items())]
    assert read_pod({**pod, "status": {**pod["status"], "conditions": told}}).trouble == trouble


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(raw_pod(node=None), id="the scheduler has not come to it"),
        pytest.param(
            raw_pod(containers=[raw_container(waiting=waiting("ContainerCreating"))]),
            id="its volumes are being mounted",
        ),
        pytest.param(raw_pod(containers=[raw_container(running={})]), id="it loads its model"),
        pytest.param(
            raw_pod(
                init=[raw_container(FETCH, running={})],
                containers=[raw_container(waiting=waiting("PodInitializing"))],
            ),
            id="it fetches its model",
        ),
        pytest.param(
            raw_pod(
                init=[
                    raw_container("istio-init", terminated=ended(0, reason="Completed")),
                    raw_container(FETCH, terminated=ended(0), last=ended(1, MISMATCH)),
                ],
                containers=[raw_container(running={})],
            ),
            id="all that has to end before it has ended well",
        ),
    ],
)
def test_a_pod_that_is_starting_has_no_trouble(pod: dict[str, Any]) -> None:
    read = read_pod(pod)
    assert (read.ready, read.trouble) == (False, None)


def test_a_ready_pod_that_crashed_once_before_is_fine() -> None:
    read = read_pod(
        raw_pod(conditions=READY, containers=[raw_container(last=ended(1, INVALID), running={})])
    )
    assert read.ready
    assert read.trouble is None


def test_what_a_pod_is_and_whose() -> None:
    read = read_pod(raw_pod("digits-x-7", revision="digits-x", conditions=READY))
    assert (read.name, read.revision, read.scheduled, read.leaving) == (
        "digits-x-7",
        "digits-x",
        True,
        False,
    )


def test_a_pod_has_an_address_as_soon_as_its_status_says_so() -> None:
    assert read_pod({"metadata": {"name": "x"}, "status": {"podIP": "10.0.0.1"}}).address == (
        "10.0.0.1"
    )
    assert read_pod({"metadata": {"name": "x"}, "status": {}}).address == ""


def test_a_pod_without_our_label_or_any_status_belongs_to_no_revision() -> None:
    read = read_pod({"metadata": {"name": "x"}})
    assert (read.revision, read.ready, read.scheduled) == ("", False, False)


@pytest.mark.parametrize(
    "leaving",
    [
        pytest.param({"metadata": {"deletionTimestamp": "now"}}, id="deleted"),
        pytest.param({"status": {"phase": "Failed", "reason": "Evicted"}}, id="evicted"),
        pytest.param({"status": {"phase": "Succeeded"}}, id="ended"),
    ],
)
def test_a_pod_that_is_going_does_not_count(leaving: dict[str, Any]) -> None:
    pod = raw_pod(conditions=READY)
    pod = {**pod, **{key: {**pod[key], **more} for key, more in leaving.items()}}
    assert read_pod(pod).leaving
