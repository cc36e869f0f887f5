"""Every reason that a condition or an event can carry, each with a sentence.

`docs/reasons.md` is generated from this list. Code never branches on a reason or on a message: they
are what people and their alerts read. The reasons for which a pod does not serve are the runtime's
(`modelfleet_contract.FailureReason`), and stand here again by name.
"""

from enum import StrEnum


class Reason(StrEnum):
    # The normal course.
    SERVING = "Serving"
    """The wanted revision serves with every pod ready."""
    ROLLED_OUT = "RolledOut"
    """No change is on its way; the last one is complete."""
    STARTING = "Starting"
    """Pods of the wanted revision are starting and none has failed."""
    SWITCHING = "Switching"
    """The wanted revision is ready, and the address is moving to it."""
    DRAINING = "Draining"
    """The address has moved; the earlier revision finishes what it has accepted."""
    HOLDING = "Holding"
    """A share of the traffic is served by the new revision, for as long as the step lasts."""
    SCALING = "Scaling"
    """The number of ready pods is on its way to the wanted number."""
    SCHEDULED = "Scheduled"
    """Every pod has a node."""
    STOPPED = "Stopped"
    """replicas is 0."""
    NO_STABLE = "NoStable"
    """No revision has served yet."""
    NOT_READY = "NotReady"
    """Fewer pods are ready than are wanted."""
    NO_ENDPOINTS = "NoEndpoints"
    """No ready pod stands behind the address."""

    # What people and analyses decide.
    PAUSED = "Paused"
    """Somebody paused the rollout, or it failed and waits for somebody (onFailure: Pause)."""
    ROLLING_BACK = "RollingBack"
    """The new revision is worse, never became ready, or was aborted: the traffic goes back."""
    ROLLED_BACK = "RolledBack"
    """The traffic is back on the stable revision. The new one is not tried again until the spec
    changes, or somebody says retry."""

    # What stands in the way.
    ROUTING_REFUSED = "RoutingRefused"
    """The routers are not given what they should serve, or a Gateway does not take it; the message
    says why. They go on serving what they had."""
    UNSCHEDULABLE = "Unschedulable"
    """A pod finds no node; the message is the scheduler's."""
    INSUFFICIENT_ACCELERATORS = "InsufficientAccelerators"
    """No node has the accelerators that a pod asks for; the message is the scheduler's."""
    PODS_REFUSED = "PodsRefused"
    """The API server does not let pods be made (a quota, a policy); the message is its own."""
    REFUSED = "Refused"
    """The API server refused something that the operator applied; the message is its own."""
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    """The node cannot get the image."""
    CONFIG_MISSING = "ConfigMissing"
    """A Secret or ConfigMap that the pod names is not there."""
    PROBE_FAILED = "ProbeFailed"
    """The server runs and does not become ready."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The new revision did not become ready within rollout.progressDeadline."""
    SPEC_INVALID = "SpecInvalid"
    """The spec passed the API server and still cannot be read; the message says where."""

    # The runtime's own, as `modelfleet_contract.FailureReason` has them.
    DOCUMENT_INVALID = "DocumentInvalid"
    """The runtime cannot read what it should serve (its image may be older than the operator)."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """There is nothing at the model's address."""
    MODEL_UNREACHABLE = "ModelUnreachable"
    """The model's address does not answer, or refuses."""
    DIGEST_MISMATCH = "DigestMismatch"
    """The bytes at the address are not those that the digest names."""
    MODEL_INVALID = "ModelInvalid"
    """The model is there and cannot be loaded."""
    WARM_UP_FAILED = "WarmUpFailed"
    """The model was loaded, and fails on the input that it declares."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The model needs more memory than the container may have."""
    UNSUPPORTED = "Unsupported"
    """The runtime's image cannot serve that format."""
    CRASHED = "Crashed"
    """The server ended by itself; the message is the last that it said."""
