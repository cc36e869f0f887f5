"""What does a pod's status say: does it serve, and if not, why, in words that help?

The kubelet tells a pod's story in three places (conditions, the state that a container is in, the
state that it was in before). A container that fails goes round between them, so the reason is taken
from wherever it stands at the moment, and reads the same all the way round.
"""

from collections.abc import Iterator
from typing import Final

from modelfleet_contract import Failure, FailureReason
from modelfleet_operator.api import labels
from modelfleet_operator.api.reasons import Reason
from modelfleet_operator.seen import Json, Pod, Trouble

_IMAGE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CONFIG: Final = frozenset({"CreateContainerConfigError"})
_START: Final = frozenset(
    {"CreateContainerError", "RunContainerError", "PreStartHookError", "PostStartHookError"}
)
# An image that listens to SIGTERM and is ended by it ends with 0, any other with 128 + 15 or + 9.
_ENDED_BY_PROBE: Final = frozenset({0, 137, 143})


def read_pod(pod: Json) -> Pod:
    """One pod, without regard to any other."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    ended = status.get("phase") in ("Failed", "Succeeded")
    ready = conditions.get("Ready", {}).get("status") == "True"
    return Pod(
        name=metadata["name"],
        revision=metadata.get("labels", {}).get(labels.REVISION, ""),
        ready=ready,
        leaving="deletionTimestamp" in metadata or ended,
        ended=ended,
        scheduled=bool(pod.get("spec", {}).get("nodeName")),
        trouble=None if ready else _trouble(pod, conditions),
        address=status.get("podIP", ""),
    )


def _trouble(pod: Json, conditions: dict[str, Json]) -> Trouble | None:
    placed = conditions.get("PodScheduled", {})
    if placed.get("status") == "False" and placed.get("reason") == "Unschedulable":
        return _unplaced(pod, placed.get("message", ""))
    status = pod.get("status", {})
    # A step before serving has to end, and to end well.
    running = [c for c in status.get("initContainerStatuses", ()) if not _ended_well(c)]
    for container in (*running, *status.get("containerStatuses", ())):
        found = next(_of_container(container, pod), None)
        if found is not None:
            return found
    return None


def _ended_well(container: Json) -> bool:
    ended = container.get("state", {}).get("terminated")
    return ended is not None and ended.get("exitCode") == 0


def _unplaced(pod: Json, message: str) -> Trouble:
    extended = {
        name
        for container in pod.get("spec", {}).get("containers", ())
        for name in container.get("resources", {}).get("limits", {})
        if "/" in name
    }
    # The scheduler names the resource that is short in its message and nowhere else.
    short = any(f"Insufficient {name}" in message for name in extended)
    reason = Reason.INSUFFICIENT_ACCELERATORS if short else Reason.UNSCHEDULABLE
    return Trouble(reason, message or "the scheduler finds no node")


def _of_container(container: Json, pod: Json) -> Iterator[Trouble]:
    """At most one matters: the first."""
    state, before = container.get("state", {}), container.get("lastState", {})
    waiting = state.get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    image = container.get("image", "")
    if reason in _IMAGE:
        yield Trouble(Reason.IMAGE_UNAVAILABLE, f"image {image}: {message or reason}")
    if reason in _CONFIG:
        yield Trouble(Reason.CONFIG_MISSING, message or reason)
    if reason in _START:
        yield Trouble(Reason.CRASHED, f"the container does not start: {message or reason}")
    ended = state.get("terminated") or before.get("terminated")
    if ended:
        yield from _of_ending(ended, container["name"], pod)


def _of_ending(ended: Json, container: str, pod: Json) -> Iterator[Trouble]:
    if ended.get("reason") == "OOMKilled":
        limit = _memory_limit(container, pod)
        yield Trouble(
            Reason.OUT_OF_MEMORY,
            f"the container used more than its memory limit{f' of {limit}' if limit else ''}; "
            "raise resources.limits.memory",
        )
        return
    said = Failure.from_termination_log(ended.get("message", ""))
    code = ended.get("exitCode", 0)
    # Where nothing was said the kubelet gives the end of the log, which reads as a crash; of one
    # that was ended from outside, that is whatever it did at the moment.
    if code in _ENDED_BY_PROBE and (
        code == 0 or said is None or said.reason is FailureReason.CRASHED
    ):
        yield Trouble(
            Reason.PROBE_FAILED, "the container was restarted because its probes did not answer"
        )
    elif said is not None:
        yield Trouble(Reason(said.reason.value), said.message)
    else:
        yield Trouble(Reason.CRASHED, f"the container ended with exit code {code} and said nothing")


def _memory_limit(container: str, pod: Json) -> str | None:
    spec = pod.get("spec", {})
    for candidate in (*spec.get("initContainers", ()), *spec.get("containers", ())):
        if candidate["name"] == container:
            limit = candidate.get("resources", {}).get("limits", {}).get("memory")
            return None if limit is None else str(limit)
    return None
