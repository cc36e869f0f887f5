"""A plan gives what the codec gives, or is not made."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from modelfleet_runtime.errors import Refusal
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.protocols.grpc.plans import GrpcInference
from modelfleet_runtime.protocols.message import Incoming
from modelfleet_runtime.signature import DType, Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("x", DType.FP32, (-1, 2)), TensorSpec("n", DType.INT16, (-1, 1))),
    (TensorSpec("y", DType.FP32, (-1, 2)),),
    batched=True,
)


@dataclass
class Loaded:
    signature: Signature = SIGNATURE


def asked(inference: GrpcInference, message: bytes) -> tuple[object, ...]:
    """What came of a message, to compare."""
    incoming = Incoming({}, message, cast("Any", Loaded()), 0.0, cast("Any", None))
    try:
        question = inference.infer(incoming)
    except Refusal as refusal:
        return type(refusal), refusal.message
    tensors = tuple((n, a.dtype, a.shape, a.tobytes()) for n, a in question.tensors.items())
    answer = question.finish({"y": np.ones((2, 2), np.float32), "z": np.zeros(1, np.int8)})
    body = b"".join((answer.body, *answer.tail))
    return tensors, question.time_limit, question.priority, answer.status, body


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    rows = draw(st.integers(0, 2))
    request = pb.ModelInferRequest(model_name="m")
    request.id = draw(st.sampled_from(["", "", "a", "another", "ü"]))
    request.model_version = draw(st.sampled_from(["", "3", "4"]))
    order = draw(st.permutations([("x", "FP32", 2, np.float32), ("n", "INT16", 1, np.int16)]))
    raw = draw(st.booleans())
    for name, datatype, width, dtype in order:
        made = request.inputs.add(name=name, datatype=datatype, shape=[rows, width])
        values = draw(st.lists(st.integers(0, 9), min_size=rows * width, max_size=rows * width))
        if raw:
            request.raw_input_contents.append(np.array(values, dtype).tobytes())
        elif name == "x":
            made.contents.fp32_contents.extend(values)
        else:
            made.contents.int_contents.extend(values)
    if draw(st.booleans()):
        request.outputs.add(name="y")
    if draw(st.booleans()):
        request.parameters["timeout"].int64_param = draw(st.sampled_from([0, 5]))
    if draw(st.booleans()):
        request.parameters["priority"].uint64_param = draw(st.sampled_from([1, 2, 1 << 40]))
    message = bytearray(request.SerializeToString(deterministic=True))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    cut = draw(st.sampled_from([0, 0, 0, 0, 1, 3]))
    return bytes(message[: len(message) - cut]) + draw(st.sampled_from([b"", b"", b"\x3a\x00"]))


@given(st.lists(messages(), min_size=1, max_size=4), st.lists(st.integers(0, 3), max_size=6))
def test_what_came_before_changes_no_request_and_no_answer(
    sent: list[bytes], again: list[int]
) -> None:
    kept = GrpcInference("m", "3")
    for message in [*sent, *(sent[index % len(sent)] for index in again)]:
        assert asked(kept, message) == asked(GrpcInference("m", "3"), message)
