"""The spec of a ModelDeployment: what a person may ask for.

The CRD is generated from these types (`crd.py`), so a field's docstring is what `kubectl explain`
prints, a default here is a default that the API server fills in, and a rule here is one that it
holds. Fields that the runtime reads as well come from `modelfleet_contract`; what is handed on to
the pods as it is, from `pod.py`.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field

from modelfleet_contract import (
    MOST_FEEDBACK,
    MOST_VALUES,
    Batching,
    Duration,
    EngineSettings,
    ModelSource,
    ModelValue,
    Shared,
    ValueName,
)
from modelfleet_operator.api.experiment import Experiment
from modelfleet_operator.api.model import MODEL
from modelfleet_operator.api.pod import EnvVar, ObjectName, PodTemplate, Quantity, Resources
from modelfleet_operator.api.rollout import Rollout
from modelfleet_operator.api.routing import Routing
from modelfleet_operator.api.rules import (
    SET,
    bounded_duration,
    is_countable,
    is_duration,
    map_by,
    rule,
    rules,
)
from modelfleet_operator.api.sizes import Accelerator, Autoscaling, MetricType, ScalingMetric
from modelfleet_operator.api.variants import MOST, Variant

__all__ = [
    "Accelerator",
    "Autoscaling",
    "EnvVar",
    "Experiment",
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
    "Variant",
]

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
            rule(
                "!has(self.values) || !has(self.feedback) || "
                "self.values.all(one, !(one.name in self.feedback))",
                "values and feedback name the same: give each a name of its own.",
                ".feedback",
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

    values: tuple[ModelValue, ...] = Field(
        default=(), max_length=MOST_VALUES, json_schema_extra=map_by("name")
    )
    """Numbers that the model returns, counted for experiments."""

    feedback: tuple[ValueName, ...] = Field(
        default=(), max_length=MOST_FEEDBACK, json_schema_extra=SET
    )
    """Names of numbers that callers may post back to /feedback, counted for experiments. With any,
    each answer has the id for it in its header x-modelfleet-feedback."""

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
                "!(self.model.format in ['onnx', 'python', 'torchserve', 'sagemaker', 'azureml', "
                "'vertex']) || "
                "!has(self.runtime.engine.precision)",
                "precision has no effect on this model's format: convert the model itself, or "
                "leave precision out.",
                ".runtime.engine.precision",
            ),
            rule(
                "!(self.model.format in ['onnx', 'python', 'torchscript', 'torchserve', "
                "'sagemaker', 'azureml', 'vertex']) || !self.runtime.engine.compile",
                "compile has no effect on this model's format: export the model with torch.export "
                "(format pt2), or leave compile out.",
                ".runtime.engine.compile",
            ),
            rule(
                "!(self.model.format in ['python', 'sagemaker', 'azureml', 'vertex']) || "
                "self.runtime.engine.device == 'auto'",
                "device has no effect on a model that is Python code, which chooses its own: leave "
                "it out.",
                ".runtime.engine.device",
            ),
            rule(
                "self.routing.mode != 'Direct' || self.rollout.bake == '0s'",
                "bake has no effect without a router: write routing.mode: Router, or leave bake "
                "out.",
                ".rollout.bake",
            ),
            rule(
                "self.rollout.strategy == 'Rolling' || self.routing.mode != 'Direct'",
                "a plain Service cannot split the traffic: write routing.mode: Router, or leave "
                "rollout.strategy out.",
                ".rollout.strategy",
            ),
            rule(
                "self.routing.mode != 'Gateway' || !has(self.rollout.analysis)",
                "what a Gateway counts cannot be read: write routing.mode: Router, or leave "
                "rollout.analysis out.",
                ".rollout.analysis",
            ),
            rule(
                "self.routing.mode != 'Gateway' || !has(self.experiment)",
                "what a Gateway counts cannot be read: write routing.mode: Router, or leave "
                "experiment out.",
                ".experiment",
            ),
            rule(
                "self.routing.mode != 'Direct' || self.rollout.surge == 'Auto'",
                "without a router all traffic moves at once, to pods beside the earlier ones: "
                "write routing.mode: Router, or leave surge out.",
                ".rollout.surge",
            ),
            rule(
                "!has(self.variants) || self.routing.mode != 'Direct'",
                "a plain Service cannot split the traffic: write routing.mode: Router, or leave "
                "variants out.",
                ".variants",
            ),
            rule(
                "!has(self.variants) || self.variants.map(one, one.weight).sum() == 100",
                "the weights of all variants must sum to 100.",
                ".variants",
            ),
            rule(
                "!has(self.variants) || self.variants.all(one, !has(one.autoscaling) || "
                "!one.autoscaling.metrics.exists(metric, metric.type == 'CPU') || "
                "(has(one.resources) ? "
                "(has(one.resources.requests) && 'cpu' in one.resources.requests) || "
                "(has(one.resources.limits) && 'cpu' in one.resources.limits) : "
                "has(self.resources) && "
                "((has(self.resources.requests) && 'cpu' in self.resources.requests) || "
                "(has(self.resources.limits) && 'cpu' in self.resources.limits))))",
                "autoscaling on CPU is in percent of what a pod requests: "
                "add resources.requests.cpu.",
                ".variants",
            ),
            rule(
                "!has(self.experiment) || (has(self.variants) && self.variants.size() > 1 && "
                "(!has(self.experiment.control) || self.variants.exists(v, "
                "v.name == self.experiment.control && v.weight > 0)))",
                "write two variants or more to compare, and as control one that has a weight.",
                ".experiment",
            ),
            rule(
                "!has(self.experiment) || !has(self.experiment.metrics) || "
                "self.experiment.metrics.all(m, m.type != 'Value' || m.name == '' || "
                "(has(self.runtime.values) && "
                "self.runtime.values.exists(v, v.name == m.name)) || "
                "(has(self.runtime.feedback) && m.name in self.runtime.feedback))",
                "write the name of each Value into runtime.values or runtime.feedback as well.",
                ".experiment.metrics",
            ),
            rule(
                "!has(self.routing.matches) || (has(self.variants) && "
                "self.routing.matches.all(one, self.variants.exists(v, v.name == one.variant)))",
                "routing.matches names a variant that is not there: write the name of one of "
                "spec.variants.",
                ".routing.matches",
            ),
            rule(
                "!has(self.routing.mirror) || (has(self.variants) && "
                "self.routing.mirror.all(one, self.variants.exists(v, v.name == one.variant)))",
                "routing.mirror names a variant that is not there: write the name of one of "
                "spec.variants.",
                ".routing.mirror",
            ),
            rule(
                "!has(self.routing.mirror) || !has(self.variants) || "
                "self.routing.mirror.all(one, "
                "self.variants.all(v, v.name != one.variant || v.weight == 0)) && "
                "(!has(self.routing.matches) || self.routing.mirror.all(one, "
                "self.routing.matches.all(m, m.variant != one.variant)))",
                "a variant that gets copies cannot answer callers as well: write weight 0 for it, "
                "and leave it out of routing.matches.",
                ".routing.mirror",
            ),
            rule(
                "self.runtime.engine.device != 'cpu' || !has(self.accelerator)",
                "the accelerator would stand idle while device is cpu: leave one of them out.",
                ".runtime.engine.device",
            ),
        )
    )

    model: Annotated[ModelSource, Field(json_schema_extra=MODEL)]
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

    variants: tuple[Variant, ...] = Field(
        default=(), min_length=1, max_length=MOST, json_schema_extra=map_by("name")
    )
    """Arms that share the traffic for as long as they stand, to be compared. Each is this spec
    with changes, and rolls out on its own. Default: one, without a name."""

    experiment: Experiment | None = None
    """How variants are compared. Default: by ErrorRate."""

    pod_template: PodTemplate = PodTemplate()
    """A small overlay on the pods."""
