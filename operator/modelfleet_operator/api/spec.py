"""The spec of a ModelDeployment: what a person may ask for.

The CRD is generated from these types (`crd.py`), so a field's docstring is what `kubectl explain`
prints, and a default here is a default that the API server fills in. Fields that the runtime reads
as well come from `modelfleet_contract`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from modelfleet_contract import Batching, Duration, ModelSource, Shared

Quantity = Annotated[
    str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$", max_length=32)
]
"""An amount as Kubernetes writes it: 500m, 2, 1Gi."""

ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", min_length=1, max_length=253)
]


class EnvVar(Shared):
    """One environment variable of the container that serves."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", min_length=1, max_length=253)
    """The variable's name. Names that begin with MODELFLEET_ belong to the operator."""

    value: str | None = Field(default=None, max_length=32768)
    """The value itself; or use valueFrom."""

    value_from: dict[str, Any] | None = None
    """A secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef, as in a pod."""


class Runtime(Shared):
    """How the model is run."""

    batching: Batching = Batching()
    """How requests are gathered into batches."""

    timeout: Duration = Field(default=timedelta(seconds=30), validate_default=True)
    """How long one request may take from its arrival to its answer; then it is answered 504.
    Pods are given this long to finish when they go away. Default 30s."""

    image: str | None = Field(default=None, min_length=1, max_length=512)
    """The runtime's image. Default: the one that the operator was installed with when the
    revision was made; a later upgrade of the operator does not change it."""

    env: tuple[EnvVar, ...] = Field(default=(), max_length=64)
    """Environment variables for the container that serves."""


class Resources(Shared):
    """CPU and memory of each pod, as in a container of a pod."""

    requests: dict[str, Quantity] = Field(default={}, max_length=16)
    """What each pod is guaranteed."""

    limits: dict[str, Quantity] = Field(default={}, max_length=16)
    """What each pod may use at the most."""


class Accelerator(Shared):
    """The accelerators of each pod."""

    resource_name: str = Field(
        default="nvidia.com/gpu",
        pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$",
        max_length=253,
    )
    """The extended resource: nvidia.com/gpu, a MIG profile such as nvidia.com/mig-1g.10gb, or
    another vendor's. Default nvidia.com/gpu."""

    count: int = Field(default=1, ge=1, le=64)
    """How many each pod gets. Default 1."""

    products: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(
        default=(), max_length=32
    )
    """The models of accelerator that will do, as the node's product label names them (such as
    NVIDIA-L4). Default: any."""

    product_label: str = Field(
        default="nvidia.com/gpu.product",
        pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9._-]+$",
        max_length=317,
    )
    """The node label that names the product. Default nvidia.com/gpu.product, which NVIDIA's
    feature discovery sets."""


class MetricType(StrEnum):
    """What an autoscaler looks at."""

    CPU = "CPU"
    """Average CPU use of the pods, in percent of what they request."""


class ScalingMetric(Shared):
    """One figure that the autoscaler holds near a target."""

    type: MetricType
    """CPU: average use in percent of resources.requests.cpu."""

    target: int = Field(ge=1, le=100000)
    """The value to hold."""


class Autoscaling(Shared):
    """How the number of pods follows the load."""

    min_replicas: int = Field(default=1, ge=1, le=1000)
    """The fewest pods. Default 1."""

    max_replicas: int = Field(ge=1, le=1000)
    """The most pods."""

    metrics: tuple[ScalingMetric, ...] = Field(
        default=(ScalingMetric(type=MetricType.CPU, target=80),), min_length=1, max_length=4
    )
    """What to look at. Default: CPU at 80 percent."""


class Rollout(Shared):
    """How a new revision takes over."""

    progress_deadline: Duration = Field(default=timedelta(minutes=15), validate_default=True)
    """How long a new revision may take to become ready before Progressing says that it is stuck.
    Default 15m."""

    history_limit: int = Field(default=5, ge=0, le=50)
    """How many earlier revisions are kept, without pods, to go back to. Default 5."""


class PodTemplate(Shared):
    """A small overlay on the pods that the operator makes, in the words of a pod's own spec."""

    labels: dict[str, Annotated[str, Field(max_length=63)]] = Field(default={}, max_length=32)
    """Labels for the pods, beside the operator's own."""

    annotations: dict[str, Annotated[str, Field(max_length=8192)]] = Field(
        default={}, max_length=32
    )
    """Annotations for the pods."""

    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default={}, max_length=32
    )
    """Labels that a node must have."""

    tolerations: tuple[dict[str, Any], ...] = Field(default=(), max_length=32)
    """Taints that the pods put up with, beside the accelerator's."""

    affinity: dict[str, Any] | None = None
    """A pod's affinity. The accelerator's products are added to what it requires of nodes."""

    image_pull_secrets: tuple[ObjectName, ...] = Field(default=(), max_length=16)
    """Names of the Secrets with which images are pulled."""

    priority_class_name: ObjectName | None = None
    """The pods' PriorityClass."""

    volumes: tuple[dict[str, Any], ...] = Field(default=(), max_length=32)
    """Volumes of the pods, beside the operator's own."""

    volume_mounts: tuple[dict[str, Any], ...] = Field(default=(), max_length=32)
    """Where the container that serves mounts those volumes."""


class Spec(Shared):
    """What is asked for."""

    model: ModelSource
    """The model. A change here makes a new revision, which takes over when it is ready."""

    runtime: Runtime = Runtime()
    """How the model is run."""

    resources: Resources = Resources()
    """CPU and memory of each pod."""

    accelerator: Accelerator | None = None
    """The accelerators of each pod. Default: none, the model runs on the CPU."""

    replicas: int | None = Field(default=None, ge=0, le=1000)
    """How many pods serve. Default 1. Give this or autoscaling, not both."""

    autoscaling: Autoscaling | None = None
    """How the number of pods follows the load. Give this or replicas, not both."""

    rollout: Rollout = Rollout()
    """How a new revision takes over."""

    pod_template: PodTemplate = PodTemplate()
    """A small overlay on the pods."""
