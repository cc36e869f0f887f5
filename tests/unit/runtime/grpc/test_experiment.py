"""What is counted for an experiment of requests that come over gRPC, with both transports."""

from collections.abc import AsyncIterator

import grpc
import pytest

from modelfleet_contract import ModelValue, Tallies, bucket_of
from modelfleet_runtime.errors import EngineBroken
from modelfleet_runtime.experiment.tallies import BUCKETS
from modelfleet_runtime.protocols.grpc.messages import inference_pb2 as pb
from modelfleet_runtime.signature import Tensors
from tests.unit.runtime.builders import doubling
from tests.unit.runtime.grpc.serving import request, running

pytestmark = pytest.mark.usefixtures("transport")
CALLER = "x-modelfleet-caller"
FEEDBACK = "x-modelfleet-feedback"
VALUES = (ModelValue(name="mean", output="y"),)
BUCKET = bucket_of(b"ada")
TOLD = BUCKET % BUCKETS


async def test_a_call_has_its_callers_bucket_and_an_id_for_feedback() -> None:
    async with running(doubling(), values=VALUES, feedback=["clicked"]) as at:
        call = at.infer(request(), metadata=((CALLER, "ada"), ("x-request-id", "order.5")))
        await call
        told = dict(await call.initial_metadata())
        assert told[FEEDBACK] == f"r2:{BUCKET}.order.5"
        assert told["x-request-id"] == "order.5"
        bare = at.infer(request())
        await bare
        assert dict(await bare.initial_metadata())[FEEDBACK].startswith("r2.")
        page = await at.service.experiment.tallies.page()
    tally = Tallies.from_json(page).revisions["m-r2"]
    assert (tally.requests, tally.callers.requests) == (2, {TOLD: 1})
    assert (tally.values["mean"].sum, tally.values["mean"].callers) == (
        6.0,
        {TOLD: (1, 3.0, 9.0)},
    )


async def test_a_call_that_fails_is_an_error_of_its_caller() -> None:
    def failing(_: Tensors) -> Tensors:
        raise EngineBroken("no")

    async with running(failing, feedback=["clicked"]) as at:
        call = at.infer(request(), metadata=((CALLER, "ada"),))
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        metadata = (*(await call.initial_metadata()), *(await call.trailing_metadata()))
        assert FEEDBACK not in dict(metadata)
        page = await at.service.experiment.tallies.page()
    tally = Tallies.from_json(page).revisions["m-r2"]
    assert (tally.requests, tally.errors, tally.callers.errors) == (1, 1, {TOLD: 1})


async def test_each_message_of_a_stream_counts() -> None:
    async with running(doubling(), values=VALUES, feedback=["clicked"]) as at:

        async def requests() -> AsyncIterator[pb.ModelInferRequest]:
            for _ in range(3):
                yield request()

        answers = [answer async for answer in at.stream(requests())]
        assert len(answers) == 3
        page = await at.service.experiment.tallies.page()
    tally = Tallies.from_json(page).revisions["m-r2"]
    assert (tally.requests, tally.values["mean"].requests) == (3, 3)


async def test_metadata_is_as_ever_where_nothing_may_be_posted() -> None:
    async with running(doubling(), values=VALUES) as at:
        call = at.infer(request(), metadata=(("x-request-id", "a"),))
        await call
        assert FEEDBACK not in dict(await call.initial_metadata())
