"""Requests that come again and again are read once.

A client's requests differ in their values, and maybe in their `id`; the rest of their bytes are the
same. What `codec.decode` made of those bytes is kept as a plan, and the next such request becomes
tensors at once: views on its bytes. The outputs' description is kept in the same way.

A plan gives what the codec gives, or is not made.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.errors import Refusal
from modelfleet_runtime.protocols.grpc import codec, wire
from modelfleet_runtime.protocols.message import Answer, Incoming, Question
from modelfleet_runtime.protocols.oip import codec as oip
from modelfleet_runtime.protocols.oip.codec import Call
from modelfleet_runtime.protocols.oip.routes import OipRoutes
from modelfleet_runtime.signature import Signature, Tensors

MOST = 256
"""Plans of each kind that are kept; when one more comes, all are forgotten."""
LONGEST_FRAME = 4096
"""Bytes of a request without its values. A longer one is read each time."""
LONGEST_ANSWER = 64 * 1024
"""Bytes. What is longer is not copied into one message."""

_ID_TAG = codec.ID << 3 | 2
_RAW_TAG = codec.RAW_INPUT << 3 | 2
_LENGTH_DELIMITED = 2


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    count: int
    head: bytes
    """Tag and length before its bytes."""
    nbytes: int


@dataclass(frozen=True, slots=True)
class _Plan:
    inputs: tuple[_Input, ...]
    length: int
    """Bytes of the values, with their tags and lengths."""
    outputs: dict[str, bool | None]
    time_limit: float | None
    priority: int


_Key = tuple[tuple[str, np.dtype[np.generic], tuple[int, ...]], ...]


class GrpcInference:
    """ModelInfer of one model: `infer` and `refuse` are a route's endpoint and refusal."""

    def __init__(self, name: str, version: str) -> None:
        self._oip = OipRoutes(name, version)
        self._model = codec.model_fields(name, version)
        self._signature: Signature | None = None
        self._plans: dict[bytes, _Plan] = {}
        self._heads: dict[_Key, tuple[bytes, tuple[bytes, ...]]] = {}

    def infer(self, request: Incoming) -> Question:
        call = self._decode(request.body, request.served)
        return Question(call.tensors, partial(self._encode, call), call.time_limit, call.priority)

    def in_place(self, request: Incoming) -> bool:
        frame = split(request.body)[0]
        signature = request.served.signature
        return frame is not None and oip.in_place(b"%d" % len(frame), signature)

    # -- requests

    def _decode(self, message: bytes, served: Served) -> Call:
        signature = served.signature
        if signature is not self._signature:
            self._signature = signature
            self._plans.clear()
        frame, call_id, at = split(message)
        plan = None if frame is None else self._plans.get(frame)
        if plan is not None and len(message) - at == plan.length:
            call = _follow(plan, message, at, call_id)
            if call is not None:
                return call
        asked = codec.decode(message, signature)
        self._oip.check(asked.model, asked.version or None)
        if frame is not None:
            self._keep(frame, asked.call, len(message) - at)
        return asked.call

    def _keep(self, frame: bytes, call: Call, length: int) -> None:
        if len(frame) > LONGEST_FRAME:
            return
        inputs = []
        for name, array in call.tensors.items():
            # BYTES have lengths of their own, and each byte of BOOL has to be looked at.
            if array.dtype.kind in "Ob":
                return
            head = wire.field_head(codec.RAW_INPUT, array.nbytes)
            inputs.append(_Input(name, array.dtype, array.shape, array.size, head, array.nbytes))
        if sum(len(one.head) + one.nbytes for one in inputs) != length:
            return  # their values stand elsewhere
        if len(self._plans) >= MOST:
            self._plans.clear()
        self._plans[frame] = _Plan(
            tuple(inputs), length, call.outputs, call.time_limit, call.priority
        )

    # -- answers

    def _encode(self, call: Call, outputs: Tensors) -> Answer:
        wanted = call.outputs
        arrays = [outputs.get(name) for name in wanted] if wanted else list(outputs.values())
        names = wanted or outputs
        if all(array is not None and array.dtype.kind != "O" for array in arrays):
            key: _Key = tuple(
                [(n, a.dtype, a.shape) for n, a in zip(names, arrays, strict=True) if a is not None]
            )
            kept = self._heads.get(key)
            if kept is not None:
                head, raw_heads = kept
                parts = [head]
                if call.id is not None:
                    parts.append(codec.id_field(call))
                for raw_head, array in zip(raw_heads, arrays, strict=True):
                    assert array is not None
                    parts += (raw_head, array.tobytes())
                return Answer(200, [], b"".join(parts))
            return self._written(call, outputs, key)
        return self._written(call, outputs, None)

    def _written(self, call: Call, outputs: Tensors, key: _Key | None) -> Answer:
        chosen = codec.outputs_of(call, outputs)
        head = self._model + b"".join(one.described for one in chosen)
        raw_heads = tuple(codec.raw_head(one.raw) for one in chosen)
        size = sum(len(one.raw) for one in chosen)
        if size > LONGEST_ANSWER:
            tail: list[memoryview] = []
            for raw_head, one in zip(raw_heads, chosen, strict=True):
                tail += (memoryview(raw_head), memoryview(one.raw))
            return Answer(200, [], head + codec.id_field(call), tail)
        if key is not None:
            if len(self._heads) >= MOST:
                self._heads.clear()
            self._heads[key] = head, raw_heads
        parts: list[bytes | memoryview] = [head, codec.id_field(call)]
        for raw_head, one in zip(raw_heads, chosen, strict=True):
            parts += (raw_head, one.raw)
        return Answer(200, [], b"".join(parts))


def _follow(plan: _Plan, message: bytes, at: int, call_id: bytes | None) -> Call | None:
    tensors: Tensors = {}
    for part in plan.inputs:
        if not message.startswith(part.head, at):
            return None
        at += len(part.head)
        array = np.frombuffer(message, part.dtype, part.count, at).reshape(part.shape)
        tensors[part.name] = array if array.flags.aligned else array.copy()
        at += part.nbytes
    name = None if call_id is None else call_id.decode("ascii")
    return Call(tensors, name, plan.outputs, True, plan.time_limit, plan.priority)


def split(message: bytes) -> tuple[bytes | None, bytes | None, int]:
    """The bytes before the raw values, without the id; the id; and where the raw values begin.

    None for the bytes where the message is not laid out as clients do it: then it has to be read
    as a whole.
    """
    at, end = 0, len(message)
    id_begin = id_end = 0
    call_id: bytes | None = None
    try:
        while at < end:
            tag = message[at]
            if tag == _RAW_TAG:
                break
            if tag & 7 != _LENGTH_DELIMITED or tag > 0x7F:
                return None, None, 0
            length, start = wire.length_at(message, at + 1)
            stop = start + length
            if tag == _ID_TAG:
                if call_id is not None:
                    return None, None, 0
                call_id = message[start:stop]
                if not call_id.isascii():
                    return None, None, 0
                id_begin, id_end = at, stop
            at = stop
    except (IndexError, ValueError):
        return None, None, 0
    if at > end:
        return None, None, 0
    if call_id is None:
        return message[:at], None, at
    return message[:id_begin] + message[id_end:at], call_id or None, at


def refuse(refusal: Refusal) -> Answer:
    """The sentence, which the transport puts into the trailers."""
    return Answer(refusal.status, [], refusal.message.encode("utf-8", "replace"))


def joined(answer: Answer) -> bytes:
    """An answer's message in one piece."""
    tail: Sequence[memoryview] = answer.tail
    return answer.body if not tail else b"".join((answer.body, *tail))
