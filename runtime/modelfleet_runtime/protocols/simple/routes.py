"""`/predict` and `/predict/batch`."""

import asyncio
import contextvars
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

from modelfleet_runtime.errors import BadInput, DeadlinePassed, EngineBroken, Refusal
from modelfleet_runtime.protocols.message import (
    JSON_HEADERS,
    Answer,
    Incoming,
    Question,
    check_json_type,
)
from modelfleet_runtime.protocols.simple import codec
from modelfleet_runtime.signature import Signature, Tensors

T = TypeVar("T")

PREDICT = "/predict"
PREDICT_BATCH = "/predict/batch"
STEP_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Steps of the model's author that run at once. One more waits, within its request's time."""


class SimpleRoutes:
    """The two endpoints of one model."""

    def __init__(self, name: str, version: str) -> None:
        self._head = codec.answer_head(name, version)
        # Their own: steps that hang must not take the threads that all else runs in.
        self._steps = ThreadPoolExecutor(STEP_THREADS, "author-step")

    def predict(self, request: Incoming) -> Question | Coroutine[Any, Any, Answer]:
        check_json_type(request.headers)
        served = request.served
        signature = served.signature
        item = codec.inputs_of(request.body)
        if served.preprocess is not None or served.postprocess is not None:
            return self._predict_in_steps(request, item)
        tensors = codec.decode_item(item, signature)
        _check_is_one(tensors, signature)

        def finish(outputs: Tensors) -> Answer:
            return Answer(200, JSON_HEADERS, codec.encode_item(outputs, signature, self._head))

        return Question(tensors, finish)

    async def _predict_in_steps(self, request: Incoming, item: Any) -> Answer:
        served, signature = request.served, request.served.signature
        preprocess, postprocess = served.preprocess, served.postprocess
        if preprocess is not None:
            tensors = await _off_loop(self._steps, request, lambda: preprocess(item))
            if signature.batched:
                _check_one_row(tensors)
        else:
            tensors = codec.decode_item(item, signature)
            _check_is_one(tensors, signature)
        outputs = await request.ask(tensors)
        if postprocess is not None:
            written = await _off_loop(self._steps, request, lambda: postprocess(outputs))
            body = codec.encode_written(written, self._head)
        else:
            body = codec.encode_item(outputs, signature, self._head)
        return Answer(200, JSON_HEADERS, body)

    def predict_batch(self, request: Incoming) -> Question | Coroutine[Any, Any, Answer]:
        check_json_type(request.headers)
        served = request.served
        items = codec.items_of(request.body)
        if not served.signature.batched:
            raise BadInput("this model takes one item at a time; send it to /predict")
        if served.preprocess is not None or served.postprocess is not None:
            return self._predict_batch_in_steps(request, items)
        tensors = codec.decode_items(items, served.signature)

        def finish(outputs: Tensors) -> Answer:
            return Answer(200, JSON_HEADERS, codec.encode_items(outputs, len(items), self._head))

        return Question(tensors, finish)

    async def _predict_batch_in_steps(self, request: Incoming, items: list[Any]) -> Answer:
        served = request.served
        preprocess, postprocess = served.preprocess, served.postprocess
        if preprocess is not None:
            each = preprocess

            def prepare() -> list[Tensors]:
                rows = []
                for index, item in enumerate(items):
                    try:
                        row = each(item)
                        _check_one_row(row)
                        rows.append(row)
                    except BadInput as error:
                        raise BadInput(f"inputs[{index}]: {error.message}") from error
                return rows

            tensors = codec.join_rows(await _off_loop(self._steps, request, prepare))
        else:
            tensors = codec.decode_items(items, served.signature)
        outputs = await request.ask(tensors)
        if postprocess is not None:
            rows = [codec.row_of(outputs, index) for index in range(len(items))]
            written = await _off_loop(
                self._steps, request, lambda: [postprocess(row) for row in rows]
            )
            body = codec.encode_written(written, self._head)
        else:
            body = codec.encode_items(outputs, len(items), self._head)
        return Answer(200, JSON_HEADERS, body)


def _check_is_one(tensors: Tensors, signature: Signature) -> None:
    if signature.batched and signature.rows(tensors) != 1:
        raise BadInput("/predict takes one item; send several to /predict/batch")


def _check_one_row(tensors: Tensors) -> None:
    """Of a preprocess: with more of them, the items after it would be given its rows."""
    for name, array in tensors.items():
        if array.shape[:1] != (1,):
            raise EngineBroken(
                f"preprocess gave {name!r} the shape {list(array.shape)}; one item is one row"
            )


async def _off_loop(threads: Executor, request: Incoming, step: Callable[[], T]) -> T:
    """A step of the model's author, in a thread. When the request's time is over it is left to
    itself: a thread cannot be ended."""
    try:
        async with asyncio.timeout(max(0.0, request.deadline - time.monotonic())):
            context = contextvars.copy_context()
            return await asyncio.get_running_loop().run_in_executor(threads, context.run, step)
    except TimeoutError as error:
        raise DeadlinePassed("the request's time is over") from error


def refuse(refusal: Refusal) -> Answer:
    """A refusal as this protocol (and every route that is not of another) words it."""
    return Answer(refusal.status, JSON_HEADERS, codec.encode_error(refusal.message))
