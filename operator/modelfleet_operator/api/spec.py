"""The spec of a ModelDeployment: what a person may ask for.

The CRD is generated from these types (`crd.py`), so a field's docstring is what `kubectl explain`
prints, a default here is a default that the API server fills in, and a rule here is one that it
holds. Fields that the runtime reads as well come from `modelfleet_contract`; what is handed on to
the pods as it is, from `pod.py`.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import Batching, Duration, EngineSettings, ModelSource, Shared
from modelfleet_operator.api.pod import EnvVar, ObjectName, PodTemplate, Quantity, Resources
from modelfleet_operator.api.rollout import Rollout
from modelfleet_operator.api.routing import Routing
from modelfleet_operator.api.rules import (
    NODE_LABEL_PATTERN,
    RESOURCE_NAME_PATTERN,
    SET,
    bounded_duration,
    is_countable,
    is_duration,
    map_by,
    rule,
    rules,
)

__all__ = [
    "Accelerator",
    "Autoscaling",
    "EnvVar",
    "MetricType",
    "ObjectName",
    "PodTemplate",
    "Quantity",
    "Resources",
    "Rollout",
    "Routing",
    "Runtime",
    "ScalingMetric",
    "Spec",
]

_MODEL = rules(
    rule(
        "!self.uri.startsWith('http') || has(self.digest)",
        "give the digest with an http or https address, so that every pod serves the same bytes: "
        "sha256: and what `curl -sfL ADDRESS | sha256sum` prints.",
    ),
    rule(
        "!self.uri.startsWith('http') || self.uri.matches(r'^https?://[^/]+/.+$')",
        "write the address with a host and a path, like https://host/models/digits.onnx.",
        ".uri",
    ),
    # The spec is read by everyone who may look at the resource, and the address is logged.
    rule(
        "!self.uri.matches(r'^https?://[^/]*@')",
        "leave the user and the password out of the address: it is shown in the status and in "
        "logs. Put the model where none is needed, or on a claim (pvc://claim/path).",
        ".uri",
    ),
    rule(
        "!self.uri.startsWith('file:') || self.uri.matches(r'^file:///[^/]')",
        "write a path from the root, with three slashes, like file:///opt/models/digits.",
        ".uri",
    ),
    rule(
        "!self.uri.startsWith('pvc:') || "
        "self.uri.matches(r'^pvc://[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?(/.*)?$')",
        "write pvc://claim/path, with the name of a PersistentVolumeClaim of the same namespace "
        "(lower-case letters, digits, - and .).",
        ".uri",
    ),
    rule(
        r"!self.uri.matches(r'/\.\.(/|$)')",
        "write the path without .. in it.",
        ".uri",
    ),
)

_BATCHING = rules(
    rule(
        f"self.maxSize > 1 || !{is_countable('self.maxDelay')} || "
        "duration(self.maxDelay) == duration('0s')",
        "maxDelay has no effect while maxSize is 1 (no batching): raise maxSize, "
        "or leave maxDelay out.",
        ".maxDelay",
    ),
    rule(
        "!self.queueBytes.matches('^0+[A-Za-z]*$')",
        "no request would fit: write more than 0 bytes, like 64Mi.",
        ".queueBytes",
    ),
    rule(
        "!has(self.preferredSizes) || self.preferredSizes.all(size, size <= self.maxSize)",
        "a batch never has more rows than maxSize: raise maxSize, or take the larger ones out of "
        "preferredSizes.",
        ".preferredSizes",
    ),
    rule(
        "self.maxSize > 1 || !has(self.padding)",
        "padding has no effect while maxSize is 1 (no batching): raise maxSize, or leave padding "
        "out.",
        ".padding",
    ),
    rule(
        "!has(self.priorities) || self.priorities.default <= self.priorities.levels",
        "there are fewer levels than the default one: raise levels, or lower default.",
        ".priorities.default",
    ),
    rule(
        "!has(self.priorities) || !has(self.priorities.queues) || "
        "self.priorities.queues.all(one, one.level <= self.priorities.levels)",
        "there are fewer levels than that: raise levels, or take the entry out of queues.",
        ".priorities.queues",
    ),
    rule(
        "!has(self.priorities) || !has(self.priorities.queues) || "
        "has(self.queueTimeout) || "
        "self.priorities.queues.all(one, has(one.queueTimeout) || !has(one.onQueueTimeout))",
        "onQueueTimeout has no effect without a queueTimeout: give the level one, or leave "
        "onQueueTimeout out.",
        ".priorities.queues",
    ),
    rule(
        "!has(self.onQueueTimeout) || has(self.queueTimeout) || (has(self.priorities) && "
        "has(self.priorities.queues) && "
        "self.priorities.queues.exists(one, has(one.queueTimeout)))",
        "onQueueTimeout has no effect without a queueTimeout: write one, or leave "
        "onQueueTimeout out.",
        ".onQueueTimeout",
    ),
    rule(
        f"!has(self.queueTimeout) || !{is_countable('self.queueTimeout')} || "
        "duration(self.queueTimeout) > duration('0s')",
        "no request could wait at all: write a queueTimeout above 0s.",
        ".queueTimeout",
    ),
    rule(
        "!has(self.priorities) || !has(self.priorities.queues) || "
        "self.priorities.queues.all(one, !has(one.queueTimeout) || "
        f"!{is_countable('one.queueTimeout')} || duration(one.queueTimeout) > duration('0s'))",
        "no request of the level could wait at all: write a queueTimeout above 0s.",
        ".priorities.queues",
    ),
)


class Runtime(Shared):
    """How the model is run."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"!{is_duration('self.batching.maxDelay')} || !{is_countable('self.timeout')} || "
                f"({is_countable('self.batching.maxDelay')} && "
                "(duration(self.batching.maxDelay) == duration('0s') || "
                "duration(self.batching.maxDelay) < duration(self.timeout)))",
                "a request would time out before its batch is sent: write a batching.maxDelay "
                "shorter than timeout.",
                ".batching.maxDelay",
            ),
            rule(
                "!has(self.batching.queueTimeout) || "
                f"!{is_duration('self.batching.queueTimeout')} || "
                f"!{is_countable('self.timeout')} || "
                f"({is_countable('self.batching.queueTimeout')} && "
                "duration(self.batching.queueTimeout) < duration(self.timeout))",
                "each request's time is over before it has waited for so long: write a "
                "batching.queueTimeout shorter than timeout.",
                ".batching.queueTimeout",
            ),
        )
    )

    batching: Annotated[Batching, Field(json_schema_extra=_BATCHING)] = Batching()
    """How requests are gathered into batches."""

    engine: EngineSettings = EngineSettings()
    """How the model is loaded and run."""

    timeout: Duration = Field(
        default=timedelta(seconds=30),
        validate_default=True,
        json_schema_extra=rules(
            bounded_duration("1us", "1h", "write a timeout above 0s and up to 1h, like 30s.")
        ),
    )
    """How long one request may take from its arrival to its answer; then it is answered 504.
    Pods are given this long to finish when they go away. Default 30s."""

    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        json_schema_extra=rules(
            rule(r"self.matches(r'^\S+$')", "write an image's name, without spaces.")
        ),
    )
    """The runtime's image. Default: the one that the operator was installed with when the
    revision was made; a later upgrade of the operator does not change it."""

    env: tuple[EnvVar, ...] = Field(default=(), max_length=64, json_schema_extra=map_by("name"))
    """Environment variables for the container that serves."""


class Accelerator(Shared):
    """The accelerators of each pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.productLabel == 'nvidia.com/gpu.product' || "
                "(has(self.products) && self.products.size() > 0)",
                "productLabel has no effect without products: name the products that will do, "
                "or leave productLabel out.",
                ".productLabel",
            ),
            rule(
                "!has(self.products) || self.products.size() == 0 || "
                "self.resourceName.startsWith('nvidia.com/') || "
                "self.productLabel != 'nvidia.com/gpu.product'",
                "products are looked for in an NVIDIA label, and resourceName is another vendor's: "
                "write in productLabel which node label names the product.",
                ".products",
            ),
        )
    )

    resource_name: str = Field(
        default="nvidia.com/gpu", pattern=RESOURCE_NAME_PATTERN, max_length=253
    )
    """The extended resource: nvidia.com/gpu, a MIG profile such as nvidia.com/mig-1g.10gb, or
    another vendor's. Default nvidia.com/gpu."""

    count: int = Field(default=1, ge=1, le=64)
    """How many each pod gets. Default 1."""

    products: tuple[Annotated[str, Field(min_length=1, max_length=63)], ...] = Field(
        default=(), max_length=32, json_schema_extra=SET
    )
    """The models of accelerator that will do, as the node's product label names them (such as
    NVIDIA-L4). Default: any."""

    product_label: str = Field(
        default="nvidia.com/gpu.product", pattern=NODE_LABEL_PATTERN, max_length=317
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
    """What to look at."""

    target: int = Field(ge=1, le=100000)
    """The value to hold."""


class Autoscaling(Shared):
    """How the number of pods follows the load."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas is above maxReplicas: lower the one or raise the other.",
                ".minReplicas",
            )
        )
    )

    min_replicas: int = Field(default=1, ge=1, le=1000)
    """The fewest pods. Default 1."""

    max_replicas: int = Field(ge=1, le=1000)
    """The most pods."""

    metrics: tuple[ScalingMetric, ...] = Field(
        default=(ScalingMetric(type=MetricType.CPU, target=80),),
        min_length=1,
        max_length=4,
        json_schema_extra=map_by("type"),
    )
    """What to look at. Default: CPU at 80 percent."""


class Spec(Shared):
    """What is asked for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(has(self.replicas) && has(self.autoscaling))",
                "replicas and autoscaling exclude each other: take replicas out, and the "
                "autoscaler chooses the number (write replicas: null where kubectl scale put it "
                "in); or take autoscaling out, and the number is fixed.",
                ".replicas",
            ),
            # A limit alone will do: the API server copies it into the pod's request.
            rule(
                "!has(self.autoscaling) || "
                "!self.autoscaling.metrics.exists(metric, metric.type == 'CPU') || "
                "(has(self.resources) && "
                "((has(self.resources.requests) && 'cpu' in self.resources.requests) || "
                "(has(self.resources.limits) && 'cpu' in self.resources.limits)))",
                "autoscaling on CPU is in percent of what a pod requests: "
                "add resources.requests.cpu.",
                ".autoscaling",
            ),
            rule(
                "!has(self.accelerator) || !has(self.resources) || "
                "((!has(self.resources.requests) || "
                "!(self.accelerator.resourceName in self.resources.requests)) && "
                "(!has(self.resources.limits) || "
                "!(self.accelerator.resourceName in self.resources.limits)))",
                "accelerator already asks for that resource: take it out of resources.requests "
                "and resources.limits, and give the number in accelerator.count.",
                ".resources",
            ),
            # With format auto, the runtime says it when it has seen the package.
            rule(
                "!(self.model.format in ['onnx', 'python']) || !has(self.runtime.engine.precision)",
                "precision has no effect on this model's format: convert the model itself, or "
                "leave precision out.",
                ".runtime.engine.precision",
            ),
            rule(
                "!(self.model.format in ['onnx', 'python', 'torchscript']) || "
                "!self.runtime.engine.compile",
                "compile has no effect on this model's format: export the model with torch.export "
                "(format pt2), or leave compile out.",
                ".runtime.engine.compile",
            ),
            rule(
                "self.model.format != 'python' || self.runtime.engine.device == 'auto'",
                "device has no effect on a Python class, which chooses its own: leave it out.",
                ".runtime.engine.device",
            ),
            rule(
                "self.routing.mode == 'Router' || self.rollout.bake == '0s'",
                "bake has no effect without a router: write routing.mode: Router, or leave bake "
                "out.",
                ".rollout.bake",
            ),
            rule(
                "self.rollout.strategy == 'Rolling' || self.routing.mode == 'Router'",
                "a plain Service cannot split the traffic: write routing.mode: Router, or leave "
                "rollout.strategy out.",
                ".rollout.strategy",
            ),
            rule(
                "self.routing.mode != 'Direct' || self.rollout.surge == 'Auto'",
                "without a router all traffic moves at once, to pods beside the earlier ones: write "
                "routing.mode: Router, or leave surge out.",
                ".rollout.surge",
            ),
            rule(
                "self.runtime.engine.device != 'cpu' || !has(self.accelerator)",
                "the accelerator would stand idle while device is cpu: leave one of them out.",
                ".runtime.engine.device",
            ),
        )
    )

    model: Annotated[ModelSource, Field(json_schema_extra=_MODEL)]
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

    routing: Routing = Routing()
    """How requests reach the revisions."""

    pod_template: PodTemplate = PodTemplate()
    """A small overlay on the pods."""
