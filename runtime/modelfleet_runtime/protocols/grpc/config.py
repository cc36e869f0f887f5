"""What ModelConfig says of a model: Triton's words for what is true here."""

from datetime import timedelta
from typing import Final

from modelfleet_contract import Batching, OnQueueTimeout, Priorities
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.signature import DType, TensorSpec

_BACKENDS: Final = {"onnx": "onnxruntime", "torchscript": "pytorch", "python": "python"}


def model_config(served: Served, batching: Batching, timeout: float) -> pb.ModelConfig:
    """`timeout` of a request, in seconds. What a package does not declare is TYPE_INVALID and
    [-1]; the rows' dimension is left out where `max_batch_size` is above 0."""
    signature = served.signature
    batched = signature.batched
    rows = batching.max_size if signature.most_rows is None else signature.most_rows
    rows = min(rows, batching.max_size)
    config = pb.ModelConfig(
        name=served.name,
        platform=served.platform,
        backend=_BACKENDS.get(served.platform, served.platform),
        max_batch_size=rows if batched else 0,
    )
    if served.version.isdigit() and len(served.version) < 19:
        config.version_policy.specific.versions.append(int(served.version))
    for spec in signature.inputs:
        config.input.add(name=spec.name, data_type=_type(spec), dims=_dims(spec, batched))
    for spec in signature.outputs:
        config.output.add(name=spec.name, data_type=_type(spec), dims=_dims(spec, batched))
    if batched and rows > 1:
        dynamic = config.dynamic_batching
        dynamic.preserve_ordering = False
        dynamic.max_queue_delay_microseconds = batching.max_delay // timedelta(microseconds=1)
        dynamic.preferred_batch_size.extend(n for n in batching.preferred_sizes if n <= rows)
        policy = dynamic.default_queue_policy
        policy.max_queue_size = batching.queue_size
        _set_wait(policy, batching.queue_timeout, batching.on_queue_timeout)
        if batching.queue_timeout is None:
            policy.default_timeout_microseconds = round(timeout * 1e6)
        if batching.priorities is not None:
            _set_priorities(dynamic, batching.priorities, batching)
    return config


def _set_priorities(
    dynamic: pb.ModelDynamicBatching, priorities: Priorities, batching: Batching
) -> None:
    dynamic.priority_levels = priorities.levels
    dynamic.default_priority_level = priorities.default
    for level in priorities.queues:
        policy = dynamic.priority_queue_policy[level.level]
        _set_wait(
            policy,
            level.queue_timeout or batching.queue_timeout,
            level.on_queue_timeout or batching.on_queue_timeout,
        )
        policy.max_queue_size = level.queue_size or 0


def _set_wait(
    policy: pb.ModelQueuePolicy, longest: timedelta | None, then: OnQueueTimeout | None
) -> None:
    defer = then is OnQueueTimeout.DEFER
    policy.timeout_action = pb.ModelQueuePolicy.DELAY if defer else pb.ModelQueuePolicy.REJECT
    if longest is not None:
        policy.default_timeout_microseconds = longest // timedelta(microseconds=1)
    policy.allow_timeout_override = True


def _type(spec: TensorSpec) -> "pb.DataType | int":
    if spec.dtype is None:
        return pb.TYPE_INVALID
    name = "STRING" if spec.dtype is DType.BYTES else spec.dtype.value
    value: int = pb.DataType.Value(f"TYPE_{name}")
    return value


def _dims(spec: TensorSpec, batched: bool) -> list[int]:
    if spec.shape is None:
        return [-1]
    return list(spec.shape[1:] if batched else spec.shape)
