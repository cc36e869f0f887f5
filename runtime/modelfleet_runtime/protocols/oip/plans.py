"""Texts that come again and again are read, and written, once.

A client sends the same JSON before its binary tensors with every request: only the values differ.
What `codec.decode` made of such a text is kept as a plan, and the next body with it becomes tensors
at once: views on its bytes, at the same places. And outputs of the same names, datatypes and shapes
have the same JSON before them.

A plan gives what the codec gives, or is not made.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from modelfleet_runtime.protocols.message import Answer, Headers
from modelfleet_runtime.protocols.oip import codec
from modelfleet_runtime.protocols.oip.codec import Call
from modelfleet_runtime.signature import Array, Signature, Tensors

MOST = 256
"""Plans of each kind that are kept; when one more comes, all are forgotten."""
LONGEST_TEXT = 4096
"""Bytes. A longer text is read each time."""
LONGEST_ANSWER = 64 * 1024
"""Bytes. A longer answer is written by the codec, which does not copy it."""


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    count: int
    start: int
    """Bytes from the beginning of the body."""


@dataclass(frozen=True, slots=True)
class _Plan:
    inputs: tuple[_Input, ...]
    length: int
    """Bytes of the whole body."""
    outputs: dict[str, bool | None]
    binary: bool
    time_limit: float | None
    priority: int


_Head = tuple[Headers, bytes]
_Key = tuple[tuple[str, np.dtype[np.generic], tuple[int, ...]], ...]


class Plans:
    """Of one model."""

    def __init__(self, name: str, version: str) -> None:
        self._name = name
        self._version = version
        self._signature: Signature | None = None
        self._plans: dict[bytes, _Plan] = {}
        self._heads: dict[_Key, _Head] = {}

    def decode(self, length: bytes | None, body: bytes, signature: Signature) -> Call:
        """See `codec.decode`."""
        if length is None or len(length) > 4 or not length.isdigit():
            return codec.decode(length, body, signature)
        if signature is not self._signature:
            self._signature = signature
            self._plans.clear()
        size = int(length)
        text = body[:size]
        plan = self._plans.get(text)
        if plan is None or len(body) != plan.length:
            call = codec.decode(length, body, signature)
            self._keep(text, call, len(body))
            return call
        tensors: Tensors = {}
        for part in plan.inputs:
            array = np.frombuffer(body, part.dtype, part.count, part.start).reshape(part.shape)
            tensors[part.name] = array if array.flags.aligned else array.copy()
        return Call(tensors, None, plan.outputs, plan.binary, plan.time_limit, plan.priority)

    def encode(self, call: Call, outputs: Tensors) -> Answer:
        """See `codec.encode`."""
        if call.id is not None or not _all_binary(call):
            return codec.encode(call, outputs, self._name, self._version)
        chosen = outputs
        if call.outputs:
            chosen = {name: outputs[name] for name in call.outputs if name in outputs}
            if len(chosen) != len(call.outputs):
                return codec.encode(call, outputs, self._name, self._version)  # says what is wrong
        key = tuple([(name, array.dtype, array.shape) for name, array in chosen.items()])
        head = self._heads.get(key)
        if head is None:
            answer = codec.encode(call, outputs, self._name, self._version)
            self._keep_head(key, chosen.values(), answer)
            return answer
        headers, text = head
        return Answer(200, headers, b"".join([text, *[a.tobytes() for a in chosen.values()]]))

    def _keep(self, text: bytes, call: Call, length: int) -> None:
        if not 0 < len(text) <= LONGEST_TEXT or call.id is not None:
            return
        inputs = []
        start = len(text)
        for name, array in call.tensors.items():
            # BYTES have lengths of their own, and each byte of BOOL has to be looked at.
            if array.dtype.kind in "Ob":
                return
            inputs.append(_Input(name, array.dtype, array.shape, array.size, start))
            start += array.nbytes
        if start != length:
            return  # some of them stand in the JSON
        if len(self._plans) >= MOST:
            self._plans.clear()
        self._plans[text] = _Plan(
            tuple(inputs), length, call.outputs, call.binary, call.time_limit, call.priority
        )

    def _keep_head(self, key: _Key, arrays: Iterable[Array], answer: Answer) -> None:
        size = sum(array.nbytes for array in arrays)
        if answer.tail or size > LONGEST_ANSWER or any(a.dtype.kind == "O" for a in arrays):
            return
        if len(self._heads) >= MOST:
            self._heads.clear()
        self._heads[key] = answer.headers, answer.body[: len(answer.body) - size]


def _all_binary(call: Call) -> bool:
    if not call.outputs:
        return call.binary
    return all(call.binary if binary is None else binary for binary in call.outputs.values())
